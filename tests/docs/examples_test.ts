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

/** Files of schemas, whose types are inferred: tools that do not run TypeScript's checker do not see them. */
const SCHEMA_FILES =
  /\/lib\/(schema|model\/(call|call_pid|tracer|target_op|scenario|fields|steps\/\w+|state\/\w+))\.ts:/;

/** What a tool complains of, but for types that are inferred from schemas. */
function complaints(output: string): string[] {
  const parts = output.split(/^(?=error\[)/m).filter((part) => part.startsWith("error["));
  return parts.filter((part) =>
    !(/^error\[(private-type-ref|missing-explicit-type)\]/.test(part) && SCHEMA_FILES.test(part))
  );
}

Deno.test("every exported symbol of the library is documented", async () => {
  const { output } = await deno("doc", "--lint", "mod.ts");
  assertEquals(complaints(output), [], output);
});

Deno.test("the library can be published: no slow types", async () => {
  const { output } = await deno("publish", "--dry-run", "--allow-dirty", "--no-check");
  assertEquals(complaints(output), [], output);
  const slow = await deno("publish", "--dry-run", "--allow-dirty", "--no-check", "--allow-slow-types");
  assertEquals(slow.code, 0, slow.output);
});
