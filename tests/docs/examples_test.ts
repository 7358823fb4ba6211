// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../..", import.meta.url);

async function deno(...args: string[]): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, cwd: ROOT, env: { NO_COLOR: "1" } })
    .output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))) as {
  exports: Record<string, string>;
};

// One run for all: most of the time goes into the type check that they share.
Deno.test("the examples of each entry point run, without any permission", async () => {
  const { code, output } = await deno("test", "--quiet", "--no-prompt", "--doc", ...Object.values(exports));
  assertEquals(code, 0, output);
  for (const [name, path] of Object.entries(exports)) {
    assert(output.includes(`running 1 test from ${path}#`), `${name}: no example runs: ${output}`);
  }
});

for (const [name, path] of Object.entries(exports)) {
  Deno.test(`all that entry point ${name} exports is documented, and so are the types in it`, async () => {
    const { code, output } = await deno("doc", "--lint", path);
    assertEquals(code, 0, output);
  });
}

Deno.test("the library can be published: no slow types", async () => {
  const { code, output } = await deno("publish", "--dry-run", "--allow-dirty", "--no-check");
  assertEquals(code, 0, output);
});
