// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MissingToolError } from "./find_tool.ts";
import { runCommand } from "./run_command.ts";

Deno.test("runCommand() gives exit status and the lines of both streams", async () => {
  const seen: string[] = [];
  const result = await runCommand(["sh", "-c", "echo out; echo err >&2; exit 3"], {
    onLine: (line) => void seen.push(line),
  });
  assertEquals(result.code, 3);
  assertEquals(result.signal, null);
  assertEquals(result.lines.toSorted(), ["err", "out"]);
  assertEquals(seen.toSorted(), ["err", "out"]);
});

Deno.test("runCommand() keeps the last lines only, and the log keeps all", async () => {
  const logPath = await Deno.makeTempFile();
  try {
    const { lines } = await runCommand(["sh", "-c", "seq 1 1000"], { keepLines: 10, logPath });
    assertEquals(lines.slice(-10), ["991", "992", "993", "994", "995", "996", "997", "998", "999", "1000"]);
    assert(lines.length <= 20, `${lines.length} lines kept`);
    assertEquals((await Deno.readTextFile(logPath)).split("\n").length, 1001);
  } finally {
    await Deno.remove(logPath);
  }
});

Deno.test("runCommand() does not pass the caller's environment on", async () => {
  // NO_COLOR stands for all variables that we may see and that are nobody else's business, such as MAKEFLAGS.
  const before = Deno.env.get("NO_COLOR");
  Deno.env.set("NO_COLOR", "1");
  try {
    const { lines } = await runCommand(["sh", "-c", 'echo "[$NO_COLOR] [$EXTRA] [$LC_ALL]"'], {
      env: { EXTRA: "given" },
    });
    assertEquals(lines, ["[] [given] [C]"]);
  } finally {
    if (before === undefined) Deno.env.delete("NO_COLOR");
    else Deno.env.set("NO_COLOR", before);
  }
});

Deno.test("runCommand() reports a missing program, and a missing directory as what it is", async () => {
  await assertRejects(() => runCommand(["no-such-program"]), MissingToolError, "no-such-program");
  await assertRejects(() => runCommand(["true"], { cwd: "/nonexistent" }), Deno.errors.NotFound);
});

Deno.test("runCommand() tells the signal that ended the program", async () => {
  const { signal } = await runCommand(["sh", "-c", "kill -9 $$"]);
  assertEquals(signal, "SIGKILL");
});

Deno.test("runCommand() kills the program when its signal fires", async () => {
  const start = performance.now();
  const argv = ["sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"] as const;
  const { signal } = await runCommand([...argv], { signal: AbortSignal.timeout(50) });
  assertEquals(signal, "SIGKILL");
  assert(performance.now() - start < 2000);
});

Deno.test("runCommand() gives a detached program a process group of its own", async () => {
  const groupOf = async (detached: boolean): Promise<boolean> => {
    const { lines } = await runCommand(["cat", "/proc/self/stat"], { detached });
    const [pid, , , , group] = lines[0]!.split(" ");
    return pid === group;
  };
  assertEquals([await groupOf(true), await groupOf(false)], [true, false]);
});
