// SPDX-License-Identifier: MIT

import { joinBytes } from "../../lib/bytes.ts";
import { delay } from "../../vm/host/deadline.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { debianRoot } from "../../vm/initramfs/debian_root.ts";
import type { ClosureFile } from "../../vm/initramfs/program_closure.ts";
import type { GuestAgent } from "../run/guest/guest.ts";
import { programFiles } from "../run/guest/scenario_files.ts";
import type { Platform } from "../run/platform.ts";

const BUSYBOX = { argv: ["/bin/busybox"] as const, package: "busybox-static" };
/** What the guest has at the other end of the machine's terminal. */
const TERMINAL = "/dev/hvc0";
const SCRIPT = "/run/ckptest.script";
const MAX_SCRIPT = 1 << 20;
/** After the shell's end, the time without a byte after which nothing more comes. */
const DRAIN_MS = 100;
/** How often the agent is asked whether the shell has ended. */
const POLL_MS = 50;
const [O_RDWR, O_NOCTTY, TIOCSWINSZ] = [2, 0o400, 0x5414];

/** All of busybox by its names, and ckpt. The first terminal that a session leader reads becomes its own. */
const INSTALL = "/bin/busybox --install -s /bin; ln -sf /init /bin/ckpt; ";
const ON_TERMINAL = `${INSTALL}exec <${TERMINAL} >${TERMINAL} 2>&1; exec "$@"`;
/** Bytes go out as they are, as long as somebody has it open. */
const ON_PIPES = `${INSTALL}exec </dev/null >${TERMINAL} 2>&1; stty -F ${TERMINAL} raw -echo; exec "$@"`;

/** Finds busybox: this host's own, or of a 32-bit kernel Debian's. @throws {ExpectedError} saying how to get it */
export async function shellFiles(
  { kernel }: Platform,
  onProgress: (message: string) => void,
): Promise<ClosureFile[]> {
  const root = kernel === "x86_64" ? "" : await debianRoot("i386", [BUSYBOX.package], { onProgress });
  return await programFiles(BUSYBOX, { root });
}

interface ShellOptions {
  readonly agent: GuestAgent;
  /** The host's end of the guest's terminal. */
  readonly terminal: Deno.Conn | undefined;
  /** A program and its arguments in place of a shell. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Has a shell, or a command, talk to whoever talks to us. Where standard input and output are a terminal, so are the
 * guest's; elsewhere a shell is given standard input as its script, and a command has nothing to read.
 *
 * @returns its exit status, as a shell would tell it
 */
export async function runShell({ agent, terminal, command, env }: ShellOptions): Promise<number> {
  if (terminal === undefined) {
    throw new UsageError(
      "a shell needs virtio ports, which this kernel has not",
    );
  }
  const isTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  let words = command.length > 0 ? command : ["/bin/sh"];
  if (command.length === 0 && !isTerminal) {
    await agent.writeFile(SCRIPT, await readScript());
    words = ["/bin/sh", SCRIPT];
  }
  await using _ = isTerminal ? await joinTerminals(agent, terminal) : undefined;
  let heard = performance.now();
  const output = copy(terminal, (bytes) => {
    heard = performance.now();
    writeWhole(bytes);
  });
  output.catch(() => {});
  const { pid } = await agent.exec([
    ...BUSYBOX.argv,
    "sh",
    "-c",
    isTerminal ? ON_TERMINAL : ON_PIPES,
    "sh",
    ...words,
  ], {
    env: { PATH: "/bin", HOME: "/", TERM: Deno.env.get("TERM") ?? "dumb", ...env },
    directory: "/",
  });
  for (;;) {
    const { state, code, signal = 0 } = await agent.quiesce(pid, { limitMs: 0 });
    if (state === "exited") {
      while (performance.now() - heard < DRAIN_MS) await Promise.race([output, delay(DRAIN_MS)]);
      return code ?? 128 + signal;
    }
    // Ends at once where standard output can no longer be written to.
    await Promise.race([output, delay(POLL_MS)]);
  }
}

/** Makes our terminal one with the guest's, until it is disposed of: every key and every change of its size. */
async function joinTerminals(agent: GuestAgent, terminal: Deno.Conn): Promise<AsyncDisposable> {
  const { result: fd } = await agent.call("open", TERMINAL, O_RDWR | O_NOCTTY);
  const resize = async (): Promise<void> => {
    const { rows, columns } = Deno.consoleSize();
    await agent.call("ioctl", fd, TIOCSWINSZ, new Uint8Array(Uint16Array.of(rows, columns, 0, 0).buffer));
  };
  const onResize = (): void => void resize().catch(() => {});
  await resize();
  Deno.addSignalListener("SIGWINCH", onResize);
  Deno.stdin.setRaw(true);
  // What the guest writes is not to be translated either, which setRaw() leaves on, and takes back in the end.
  await new Deno.Command("stty", { args: ["-opost"], stdin: "inherit" }).output();
  copy(Deno.stdin, (bytes) => terminal.write(bytes)).catch(() => {});
  return {
    [Symbol.asyncDispose](): Promise<void> {
      Deno.stdin.setRaw(false);
      Deno.removeSignalListener("SIGWINCH", onResize);
      return Promise.resolve();
    },
  };
}

async function copy(from: Pick<Deno.Conn, "read">, to: (bytes: Uint8Array) => unknown): Promise<void> {
  const buffer = new Uint8Array(64 << 10);
  for (let got; (got = await from.read(buffer)) !== null;) await to(buffer.slice(0, got));
}

function writeWhole(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function readScript(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  await copy(Deno.stdin, (bytes) => {
    length += parts[parts.push(bytes) - 1]!.length;
    if (length > MAX_SCRIPT) {
      throw new UsageError(`standard input: expected a script of ${MAX_SCRIPT} bytes at most`);
    }
  });
  return joinBytes(parts);
}
