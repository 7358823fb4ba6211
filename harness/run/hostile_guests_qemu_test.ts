// SPDX-License-Identifier: MIT
/** Guests that do whatever they can to the harness; each in a process of its own, for its memory. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { HOSTILE_GUESTS } from "./testing/hostile_guests.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const PROGRAM = ["run", "-q", "--no-check", `--config=${ROOT}deno.json`, "-P=vm"];
const MAX_MIB = 256;
/** Two boots, an answer that does not come, a console that is drained: some 5 s on an idle machine. */
const MAX_MS = 60_000;
/** Most of their time is waiting. */
const AT_ONCE = 8;
/** Those that do nothing to fail for: what a real guest might say, too. */
const HARMLESS = new Set(["prints a mark that is not ours"]);

async function run(name: string): Promise<{ code: number; text: string; errors: string }> {
  const out = await Deno.makeTempDir({ prefix: "ckptest-hostile-" });
  try {
    const args = [...PROGRAM, `${ROOT}harness/run/testing/hostile_guests.ts`, name, out];
    const { code, stdout, stderr } = await new Deno.Command("deno", { args }).output();
    const decoder = new TextDecoder();
    return { code, text: decoder.decode(stdout), errors: decoder.decode(stderr) };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

Deno.test("a hostile guest ends in a result, soon, and in little memory", async (test) => {
  const left = Object.keys(HOSTILE_GUESTS);
  assert(left.length >= 40);
  const ended = new Map<string, Awaited<ReturnType<typeof run>>>();
  const work = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) ended.set(name, await run(name));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const [name, { code, text, errors }] of ended) {
    await test.step(`one that ${name}`, () => {
      assertEquals(code, 0, errors);
      const { counts, milliseconds, mib } = JSON.parse(errors.trim().split("\n").at(-1)!);
      if (!HARMLESS.has(name)) {
        assertEquals([counts.passed, counts.failed + counts.lost > 0], [0, true], text);
      }
      assert(milliseconds < MAX_MS, `${milliseconds} ms`);
      assert(mib <= MAX_MIB, `${mib} MiB`);
      // deno-lint-ignore no-control-regex
      const steering = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]|^ok {4}x86_64 {4}all/m;
      assertEquals(steering.exec(text + errors), null, text);
    });
  }
});
