// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../vm/host/run_command.ts";
import { decodeFrames } from "./decode_frames.ts";
import type { StackFrame } from "./splat.ts";

const SOURCE = `static inline __attribute__((always_inline)) int inner(int n)
{
	return n / (n - 7);
}
__attribute__((noinline)) int outer(int n)
{
	return inner(n);
}
__attribute__((noinline)) int never(int n)
{
	__builtin_trap();
}
int main(int argc, char **argv)
{
	return outer(argc) + never(argc);
}
`;

async function withProgram(
  flags: string[],
  use: (program: string, sizeOf: (name: string) => Promise<number>) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/x.c`, SOURCE);
    const program = `${directory}/x`;
    const { code, lines } = await runCommand(
      ["gcc", "-O1", "-no-pie", ...flags, "-o", program, `${directory}/x.c`],
    );
    assertEquals(code, 0, lines.join("\n"));
    await use(program, async (name) => {
      const { lines } = await runCommand(["nm", "-S", program]);
      return parseInt(lines.find((line) => line.endsWith(` ${name}`))!.split(" ")[1]!, 16);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function frame(name: string, offset: number, changes: Partial<StackFrame> = {}): StackFrame {
  return { function: name, offset, size: 1, reliable: true, exact: true, ...changes };
}

Deno.test("decodeFrames() finds lines by function and offset, with what is inlined", async () => {
  await withProgram(["-g"], async (program, sizeOf) => {
    const end = await sizeOf("outer");
    const { frames, note } = await decodeFrames(program, [
      // The division, two or three instructions into the function; a return address is that of the next line.
      frame("outer", end - 1, { exact: false }),
      frame("outer", 0),
      frame("nobody", 4),
    ]);
    assertEquals(note, undefined);
    const [call, start, unknown] = frames.map((places) =>
      places.map((place) => place.replace(/at .*\//, ""))
    );
    assertEquals(call, ["inner x.c:3", "outer x.c:7"]);
    assertEquals(start, ["outer x.c:6"]);
    assertEquals(unknown, []);
  });
});

Deno.test("decodeFrames() looks before a return address: the call may be a function's last instruction", async () => {
  await withProgram(["-g"], async (program, sizeOf) => {
    const size = await sizeOf("never");
    const { frames } = await decodeFrames(program, [frame("never", size, { exact: false })]);
    assertStringIncludes(frames[0]?.[0] ?? "", "never at");
  });
});

Deno.test("decodeFrames() says so when a kernel has no debug information, no symbols, or is none", async () => {
  await withProgram(["-g0"], async (program) => {
    const bare = await decodeFrames(program, [frame("outer", 0)]);
    assertEquals(bare.frames, [[]]);
    assertStringIncludes(bare.note ?? "", "has no debug information");
    await runCommand(["strip", program]);
    assertStringIncludes((await decodeFrames(program, [frame("outer", 0)])).note ?? "", "not decoded");
    assertStringIncludes((await decodeFrames(`${program}.c`, [frame("outer", 0)])).note ?? "", "not decoded");
  });
  assertEquals(await decodeFrames("/none", []), { frames: [], note: undefined });
});
