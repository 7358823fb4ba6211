// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../..", import.meta.url);

async function deno(...args: string[]): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, cwd: ROOT, env: { NO_COLOR: "1" } })
    .output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("the examples in mod.ts run, without any permission", async () => {
  const { code, output } = await deno("test", "--quiet", "--no-prompt", "--doc", "mod.ts");
  const passed = Number(/(\d+) passed/.exec(output)?.[1] ?? 0);
  assertEquals(code, 0, output);
  assert(passed >= 3, `at least 3 examples run: ${output}`);
});

Deno.test("every exported symbol of the library is documented", async () => {
  const { code, output } = await deno("doc", "--lint", "mod.ts");
  assertEquals(code, 0, output);
});

Deno.test("the library can be published: no slow types", async () => {
  const { code, output } = await deno("publish", "--dry-run", "--allow-dirty", "--no-check");
  assertEquals(code, 0, output);
});
