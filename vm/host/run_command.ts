// SPDX-License-Identifier: MIT
import { TextLineStream } from "@std/streams";
import { MissingToolError } from "./find_tool.ts";

/** Settings of {@linkcode runCommand}. */
export interface RunCommandOptions {
  cwd?: string;
  /** Environment on top of the few variables that are passed on (see {@linkcode baseEnvironment}). */
  env?: Record<string, string>;
  /** File that all output goes to, appended. */
  logPath?: string;
  /** Called with each line of output, from either stream. */
  onLine?: (line: string) => void;
  /** Number of lines kept for the result, counted from the end. */
  keepLines?: number;
  /** The program is killed with SIGKILL when this fires; the result then says so, and nothing is thrown. */
  signal?: AbortSignal;
  /** Whether it gets a process group of its own, so that Ctrl-C in the terminal ends us alone. */
  detached?: boolean;
}

/** How a program ended. */
export interface CommandResult {
  /** Exit status; 128 + number when a signal ended it. */
  code: number;
  /** Name of the signal that ended it, if one did. */
  signal: string | null;
  seconds: number;
  /** The last lines of output, both streams in the order of their arrival. */
  lines: string[];
}

/** Variables that a program may see of ours. All others could change what it does. */
const PASSED_ON = ["PATH", "HOME", "TMPDIR"] as const;

/** The environment that host tools run in: a few variables of ours, and messages in English. */
export function baseEnvironment(): Record<string, string> {
  const env: Record<string, string> = { LC_ALL: "C" };
  for (const name of PASSED_ON) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/**
 * Runs a program to its end. No shell is involved; standard input is empty.
 *
 * @returns how it ended, whatever the exit status.
 * @throws {MissingToolError} when the program does not exist.
 */
export async function runCommand(
  argv: readonly [string, ...string[]],
  options: RunCommandOptions = {},
): Promise<CommandResult> {
  const start = performance.now();
  const [program, ...args] = argv;
  const sink = new LineSink(options);
  try {
    const child = spawn(program, args, options);
    const drained = Promise.all([sink.drain(child.stdout), sink.drain(child.stderr)]);
    const { code, signal } = await killedBy(options.signal, child);
    // What a killed program started may live on and hold its output open: that is not waited for.
    await Promise.race(options.signal?.aborted === true ? [drained, Promise.resolve()] : [drained]);
    return { code, signal, seconds: (performance.now() - start) / 1000, lines: sink.lines };
  } finally {
    sink.close();
  }
}

function spawn(program: string, args: string[], options: RunCommandOptions): Deno.ChildProcess {
  try {
    return new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { ...baseEnvironment(), ...options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: options.detached ?? false,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    }).spawn();
  } catch (error) {
    // A missing working directory is NotFound too; then the message speaks of the directory.
    if (error instanceof Deno.errors.NotFound && !error.message.includes("cwd")) {
      throw new MissingToolError([program]);
    }
    throw error;
  }
}

/** Waits for a program's end, and hastens it when the signal fires. */
async function killedBy(
  signal: AbortSignal | undefined,
  child: Deno.ChildProcess,
): Promise<Deno.CommandStatus> {
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended in between.
    }
  };
  if (signal?.aborted === true) kill();
  signal?.addEventListener("abort", kill);
  try {
    return await child.status;
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}

/** Takes lines from several streams: to the log, to the caller, and the last ones to a buffer. */
class LineSink {
  readonly lines: string[] = [];
  readonly #log: Deno.FsFile | undefined;
  readonly #keep: number;
  readonly #onLine: ((line: string) => void) | undefined;
  #logError: unknown;

  constructor({ logPath, keepLines = 400, onLine }: RunCommandOptions) {
    if (logPath !== undefined) this.#log = Deno.openSync(logPath, { append: true, create: true });
    this.#keep = keepLines;
    this.#onLine = onLine;
  }

  async drain(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const lines = stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) this.#take(line);
  }

  close(): void {
    this.#log?.close();
  }

  #take(line: string): void {
    this.lines.push(line);
    if (this.lines.length > 2 * this.#keep) this.lines.splice(0, this.lines.length - this.#keep);
    this.#onLine?.(line);
    if (this.#log === undefined || this.#logError !== undefined) return;
    try {
      writeAllSync(this.#log, new TextEncoder().encode(`${line}\n`));
    } catch (error) {
      // The program goes on without its log (a full disk will stop it anyway), and says so once.
      this.#logError = error;
      this.lines.push(`log not written: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function writeAllSync(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
