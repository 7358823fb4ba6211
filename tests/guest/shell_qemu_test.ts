// SPDX-License-Identifier: MIT
/** `shell` as a user has it: one command, a script, and a terminal; alone, and beside a target. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readImage } from "../../lib/image/image.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const SHELL = [
  "deno",
  "run",
  "-q",
  `--config=${ROOT}deno.json`,
  "-P=vm",
  `${ROOT}harness/cli/main.ts`,
  "shell",
];

interface Ended {
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly text: string;
  readonly stderr: string;
}

async function shell(args: readonly string[], script?: string): Promise<Ended> {
  const child = new Deno.Command("deno", {
    args: [...SHELL.slice(1), ...args],
    stdin: script === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (script !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(script));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  return { code, stdout, text, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("shell runs one command, or a script, and ends with its status", async () => {
  const one = await shell(["--", "sh", "-c", "uname -m; printf '\\001\\r\\n' ; exit 7"]);
  assertEquals([one.code, one.text], [7, "x86_64\n\x01\r\n"], one.stderr);
  const script = await shell(["--arch", "i386"], "uname -m\nread word || echo nothing to read\nkill -9 $$\n");
  assertEquals([script.code, script.text], [137, "i686\nnothing to read\n"], script.stderr);
});

Deno.test("shell at a stop has its target as the checkpoint finds it, and ckpt makes the call", async () => {
  const at = ["file_unmounted_again:uncovered", "--", "sh", "-c"];
  const { code, stdout, stderr } = await shell([...at, "ckpt $TARGET -"]);
  assertEquals(code, 0, stderr);
  // A whole image, and nothing else.
  assertEquals(readImage(stdout).tasks.length, 1);
  const other = await shell([...at, "echo $TARGET; ckpt $TARGET /tmp/image; ckpt 999 /tmp/none; echo $?"]);
  const [pid, ...said] = other.text.split("\n");
  assertEquals(said, [
    `ckpt: checkpoint 1 of ${pid}: ${stdout.length} bytes in /tmp/image`,
    ...["ckpt: checkpoint(999): errno 3 ESRCH", "1", ""],
  ]);
  const state = await shell(["busybox_sh", "--", "sh", "-c", "grep -E 'Name|State' /proc/$TARGET/status"]);
  assertEquals(state.text, "Name:\tbusybox\nState:\tT (stopped)\n", state.stderr);
});

Deno.test("shell says why it cannot get to a stop, and that a guest is lost", async () => {
  const own = await shell(["namespace_pid_self", "--", "true"]);
  assertEquals([own.code, own.text], [2, ""], own.stderr);
  assertMatch(own.stderr, /makes the call of stop "by itself" itself/);
  const skipped = await shell(["mixed_tls", "--", "true"]);
  assertEquals(skipped.code, 2, skipped.stderr);
  assertStringIncludes(skipped.stderr, "mixed_tls on x86_64: needs a target of i386");
  const lost = await shell(["--", "reboot", "-f"]);
  assertEquals(lost.code, 4, lost.stderr);
  assertStringIncludes(lost.stderr, "QEMU ended");
});

Deno.test("shell boots the machine that it is asked for", async () => {
  const look = [
    "--",
    "sh",
    "-c",
    "cat /proc/cmdline; grep -c ^processor /proc/cpuinfo; grep MemTotal /proc/meminfo",
  ];
  const machine = ["--append", "loglevel=7", "--append", "ckptest.test=1", "--memory", "500M", "--cpus", "2"];
  const { code, text, stderr } = await shell(["--arch", "x86_64-smp", ...machine, ...look]);
  assertEquals(code, 0, stderr);
  assertMatch(text, / loglevel=7 ckptest.test=1 .*\n2\nMemTotal: +4[89]\d{4} kB\n$/);
  const up = await shell(["--cpus", "2", ...look]);
  assertEquals([up.code, up.text], [2, ""], up.stderr);
  assertStringIncludes(up.stderr, "option --cpus: this kernel has no CONFIG_SMP");
});

/** Stands for a change of the terminal's size in place of a line. */
const RESIZE = Symbol();

/** A terminal of ours, with a person at it who waits for a text before each of some lines. */
async function atTerminal(
  args: readonly string[],
  lines: readonly (readonly [awaited: string, line: string | typeof RESIZE])[],
): Promise<{ code: number; text: string }> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-shell-" });
  const resize = `until [ -e ${directory}/resize ]; do sleep 0.1; done; stty rows 40 cols 120 </dev/tty`;
  const start = `stty rows 30 cols 100; (${resize}) & exec ${[...SHELL, ...args].join(" ")}`;
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", start, "/dev/null"],
    env: { TERM: "vt100" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const keys = child.stdin.getWriter();
  let text = "";
  let seen = 0;
  const rest = [...lines];
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let [next] = rest; next && text.indexOf(next[0], seen) >= 0; [next] = rest) {
      const [awaited, line] = next;
      seen = text.indexOf(awaited, seen) + awaited.length;
      rest.shift();
      if (line === RESIZE) await Deno.writeTextFile(`${directory}/resize`, "");
      else await keys.write(new TextEncoder().encode(line));
    }
  }
  await keys.close().catch(() => {});
  const { code } = await child.status;
  await Deno.remove(directory, { recursive: true });
  assertEquals(rest, [], text);
  return { code, text };
}

Deno.test("shell is a terminal: its size, job control, Ctrl-C, and the status of exit", async () => {
  // What is awaited is not in the line that is typed, which comes back, too.
  const { code, text } = await atTerminal(["anon_dirty"], [
    ["# ", 'tty; stty size; echo "on"e=$TARGET\r'],
    ["/dev/hvc0\r\n30 100\r\none=", `sh -c 'echo "he"re; exec sleep 99'\r`],
    ["here\r\n", "\x03"],
    ["# ", 'echo "st"atus=$?\r'],
    ["status=130\r\n", `sh -c 'echo "he"re; exec sleep 99'\r`],
    ["here\r\n", "\x1a"],
    ["Stopped", 'jobs -p | xargs kill -9; echo "ki"lled\r'],
    ["killed\r\n", RESIZE],
    ["# ", "until stty size | grep 120; do sleep 0.1; done\r"],
    ["40 120\r\n", "exit 5\r"],
  ]);
  assertEquals(code, 5, text);
  assertMatch(text, /\$TARGET is \d+: anon_dirty, before the checkpoint of "\w+"/);
  assert(!text.includes("\r\r\n"), "what the guest writes is translated twice");
});
