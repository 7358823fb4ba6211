// SPDX-License-Identifier: MIT
import { blockHashHex } from "../../lib/compare/block_hash.ts";
import {
  checkpointFields,
  parseCheckpoint,
  parseEnd,
  parseEvent,
  parseHello,
  parseQuietState,
  parseStarted,
  parseSyscall,
  syscallFields,
} from "./agent_answers.ts";
import { bigintField, formatCommand, numberField, textField } from "./agent_protocol.ts";
import type {
  CheckpointOptions,
  CheckpointResult,
  ExecOptions,
  GuestInfo,
  MountOptions,
  ProcessEnd,
  QuietState,
  RegisterBlobs,
  ResumeOptions,
  SpawnOptions,
  StartedProgram,
  SyscallArgument,
  TargetEvent,
} from "./agent_types.ts";
import {
  AgentError,
  type Answer,
  type Fields,
  type GuestLink,
  ImageTaker,
  type Request,
  shorten,
  SinkError,
  Wires,
} from "./agent_wires.ts";
import { GuestLostError } from "../qemu/guest_lost_error.ts";

export type * from "./agent_types.ts";
export { AgentError, type GuestLink } from "./agent_wires.ts";
export { decodePages } from "./agent_answers.ts";

/** Settings of {@linkcode AgentSession.connect}. */
export interface SessionOptions {
  /** Longest wait for one answer, in milliseconds. */
  deadlineMs?: number;
  /** Longest wait for the first word of a guest that boots, in ms; {@linkcode BOOT_DEADLINE_MS} by default. */
  bootDeadlineMs?: number;
  /** How many times longer all other deadlines are, for a guest whose kernel or whose line is slow. */
  slowdown?: number;
}

/** Settings of one request. */
export interface RequestOptions {
  /** Longest wait for the answer, in milliseconds. */
  deadlineMs?: number | undefined;
}

const DEADLINE_MS = 10_000;
/** Time that a plain kernel has for its boot. */
export const BOOT_DEADLINE_MS = 30_000;

/**
 * The talk with the agent of one guest: a method for each of its commands. One command at a time; further
 * ones wait for their turn. Every method throws {@linkcode AgentError} when the agent refuses, and
 * GuestLostError when it does not answer in time or makes no sense; a lost guest stays lost.
 */
export class AgentSession {
  /** What the agent said of itself and its kernel. */
  readonly info: GuestInfo;
  readonly #link: GuestLink;
  readonly #wires: Wires;
  readonly #deadlineMs: number;
  readonly #slowdown: number;
  #turn: Promise<unknown> = Promise.resolve();
  #lost: GuestLostError | undefined;

  /** For {@linkcode AgentSession.connect} and {@linkcode AgentSession.resume}. */
  constructor(link: GuestLink, wires: Wires, info: GuestInfo, options: SessionOptions) {
    this.#link = link;
    this.#wires = wires;
    this.info = info;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#slowdown = options.slowdown ?? 1;
  }

  /**
   * Waits for the `hello` of an agent that boots.
   *
   * @throws {GuestLostError} when it does not come or makes no sense.
   */
  static connect(link: GuestLink, options: SessionOptions = {}): Promise<AgentSession> {
    return open(link, options, async (wires) => parseHello(await wires.lines.next()));
  }

  /** For a guest from a snapshot: its agent has said its hello long ago, and is asked for it again. */
  static resume(link: GuestLink, options: SessionOptions = {}): Promise<AgentSession> {
    return open(link, options, async (wires) => {
      await wires.say("hello");
      return parseHello(await wires.lines.next());
    });
  }

  /** Checks that the agent is there. */
  ping(n: number, options?: RequestOptions): Promise<void> {
    return this.#ask("ping", [["n", n]], ({ line }) => {
      if (numberField(line, "n") !== n) {
        throw new SyntaxError(`expected n=${n}, found ${numberField(line, "n")}`);
      }
    }, options);
  }

  /** The guest's clocks: seconds since 1970, and nanoseconds since some point in the past. */
  time(): Promise<{ realtime: bigint; monotonicNs: bigint }> {
    return this.#ask("time", [], ({ line }) => ({
      realtime: bigintField(line, "realtime"),
      monotonicNs: bigintField(line, "monotonic"),
    }));
  }

  /** Sends the program of the next target. */
  program(bytes: Uint8Array, options?: RequestOptions): Promise<void> {
    return this.#send("program", [], bytes, options);
  }

  /** Starts the target with the program that was sent last; gives its pid. `/work` is emptied first. */
  spawn({ path = "/target", uid, gid, personality }: SpawnOptions = {}): Promise<number> {
    const fields: Fields = [["path", path], ["uid", uid], ["gid", gid], ["personality", personality]];
    return this.#ask("spawn", fields, ({ line }) => numberField(line, "pid"));
  }

  /** Waits for what the target spawned last does next: it stops at a label, or it ends. */
  event(options?: RequestOptions): Promise<TargetEvent> {
    return this.#ask("event", [], ({ line }) => parseEvent(line), options);
  }

  /** Starts any program. Its standard input stays open; its output goes to the files that are named. */
  exec(argv: readonly string[], options: ExecOptions = {}): Promise<StartedProgram> {
    const { directory, uid, gid, personality, env = {} } = options;
    const fields: Fields = [
      ["dir", directory],
      ["uid", uid],
      ["gid", gid],
      ["personality", personality],
      ...Object.entries(env).map(([key, value]) => ["env", `${key}=${value}`] as const),
      ...argv.map((arg) => ["arg", arg] as const),
    ];
    return this.#ask("exec", fields, ({ line }) => parseStarted(line));
  }

  /** Waits until a process sleeps in a system call, or has ended. */
  quiesce(pid: number, options?: RequestOptions): Promise<QuietState> {
    return this.#ask("quiesce", [["pid", pid]], ({ line }) => parseQuietState(line), options);
  }

  /** Stops a process with SIGSTOP and waits until it has stopped. */
  stop(pid: number, options?: RequestOptions): Promise<void> {
    return this.#tell("stop", [["pid", pid]], options);
  }

  /** Lets a stopped process go on. */
  cont(pid: number): Promise<void> {
    return this.#tell("cont", [["pid", pid]]);
  }

  /** Sends a signal and waits for nothing. */
  signal(pid: number, signal: number): Promise<void> {
    return this.#tell("signal", [["pid", pid], ["sig", signal]]);
  }

  /**
   * Ends a process with a signal (SIGKILL by default), waits for its end, and kills everything that belongs
   * to it.
   */
  kill(pid: number, options: RequestOptions & { signal?: number } = {}): Promise<ProcessEnd> {
    const { signal = 9, deadlineMs } = options;
    const fields: Fields = [["pid", pid], ["sig", signal]];
    return this.#ask("kill", fields, ({ line }) => parseEnd(line), { deadlineMs });
  }

  /** Files of /proc/PID by name, and `pages`: see {@linkcode decodePages}. */
  observe(
    pid: number,
    what: readonly string[],
    options?: RequestOptions,
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.#ask("observe", [["pid", pid], ["what", what.join(",")]], (answer) => {
      for (const name of what) blobOf(answer, name);
      return answer.blobs;
    }, options);
  }

  /** The registers of a process as a tracer sees them; it is left as it was, stopped or not. */
  registers(pid: number, options?: RequestOptions): Promise<RegisterBlobs> {
    return this.#ask("regs", [["pid", pid]], (answer) => ({
      general: blobOf(answer, "gpr"),
      ...(answer.blobs.has("xstate")
        ? { xstate: blobOf(answer, "xstate") }
        : { fpregs: blobOf(answer, "fpregs") }),
      debug: blobOf(answer, "debugreg"),
      tls: blobOf(answer, "tls"),
    }), options);
  }

  /**
   * Becomes a process's tracer and stops it in the tracer's way: "seize" by PTRACE_INTERRUPT, "attach" by the
   * SIGSTOP of PTRACE_ATTACH. One process at a time.
   */
  attach(pid: number, how: "seize" | "attach" | "step", options?: RequestOptions): Promise<void> {
    return this.#tell("attach", [["pid", pid], ["how", how]], options);
  }

  /** Lets go of a process. One that was stopped before {@linkcode AgentSession.attach} is stopped again. */
  detach(pid: number, options?: RequestOptions): Promise<void> {
    return this.#tell("detach", [["pid", pid]], options);
  }

  /**
   * Sets a debug register of a process by PTRACE_POKEUSER; the process is left as it was, stopped or not.
   *
   * @param register 0 to 7
   * @returns the errno of a refusal, 0 for success
   */
  setDebugRegister(pid: number, register: number, value: bigint): Promise<number> {
    const fields: Fields = [["pid", pid], ["n", register], ["value", `0x${value.toString(16)}`]];
    return this.#ask("debugreg", fields, ({ line }) => numberField(line, "errno"));
  }

  /**
   * Writes 1 to 64 bytes into the memory of a process as a debugger does: past the protection, to a private
   * copy of the page.
   *
   * @returns what was there before
   */
  poke(pid: number, address: bigint, bytes: Uint8Array): Promise<Uint8Array> {
    const fields: Fields = [["pid", pid], ["addr", `0x${address.toString(16)}`], ["bytes", bytes.toHex()]];
    return this.#ask("poke", fields, ({ line }) => Uint8Array.fromHex(textField(line, "old")));
  }

  /**
   * A process id that names no process fit for a checkpoint: of a zombie, of a process that was waited for,
   * or of a thread of `pid` that does not lead it.
   */
  stranger(what: "zombie" | "dead" | "thread", pid?: number): Promise<number> {
    return this.#ask("stranger", [["what", what], ["pid", pid]], ({ line }) => numberField(line, "pid"));
  }

  /** Calls the system call under test and brings the image home. */
  checkpoint(options: CheckpointOptions): Promise<CheckpointResult> {
    const stream = new ImageTaker(options.sink);
    const { deadlineMs } = options;
    const request = { word: "checkpoint", fields: checkpointFields(options), stream, deadlineMs };
    return this.#exchange(request, ({ line }) => parseCheckpoint(line, stream.bytes));
  }

  /** Lets a paused checkpoint go on; gives what came of its image since. */
  resume({ handle, pauseAt, cutAfter, waitMs }: ResumeOptions): Promise<CheckpointResult> {
    const stream = new ImageTaker(undefined);
    const fields: Fields = [
      ...[["handle", handle], ["pauseat", pauseAt], ["cutafter", cutAfter]] as const,
      ["wait", waitMs],
    ];
    return this.#exchange(
      { word: "resume", fields, stream },
      ({ line }) => parseCheckpoint(line, stream.bytes),
    );
  }

  /** Makes a system call: what it returned, an errno as a negative number, and the bytes of its last buffer. */
  syscall(nr: number, ...args: SyscallArgument[]): Promise<{ result: bigint; bytes: Uint8Array }> {
    return this.#ask("syscall", syscallFields(nr, args), ({ line }) => parseSyscall(line));
  }

  /**
   * Digests of pages of a process, as `blockHash()` gives them; all bits set where a page cannot be read.
   * Reading a page that is not there brings it there: ask only for pages that are.
   */
  pageHash(pid: number, addresses: readonly bigint[], options?: RequestOptions): Promise<BigUint64Array> {
    const payload = new Uint8Array(BigUint64Array.from(addresses).buffer);
    const fields: Fields = [["pid", pid], ["count", addresses.length], ["hash", blockHashHex(payload)]];
    return this.#exchange({ word: "pagehash", fields, payload, ...options }, (answer) => {
      const lanes = new Uint32Array(blobOf(answer, "pagehash", payload.length).buffer);
      const hash = (i: number) => BigInt(lanes[2 * i] ?? 0) << 32n | BigInt(lanes[2 * i + 1] ?? 0);
      return BigUint64Array.from(addresses, (_, i) => hash(i));
    });
  }

  /** Memory of a process. */
  peek(pid: number, address: bigint, length: number): Promise<Uint8Array> {
    const fields: Fields = [["pid", pid], ["addr", `0x${address.toString(16)}`], ["length", length]];
    return this.#ask("peek", fields, (answer) => blobOf(answer, "peek", length));
  }

  /** What the target has written to its results file so far. See `decodeResults()`. */
  results(options?: RequestOptions): Promise<Uint8Array> {
    return this.#ask("results", [], (answer) => blobOf(answer, "results"), options);
  }

  /** The target's own image file, descriptor 6. */
  targetImage(options?: RequestOptions): Promise<Uint8Array> {
    return this.#ask("image6", [], (answer) => blobOf(answer, "image6"), options);
  }

  /** A file of the guest, or `length` bytes of it from `offset` on, as far as there are any. */
  readFile(
    path: string,
    options: RequestOptions & { offset?: number; length?: number } = {},
  ): Promise<Uint8Array> {
    const { offset, length, ...request } = options;
    const fields: Fields = [["path", path], ["offset", offset], ["length", length]];
    return this.#ask("readfile", fields, (answer) => blobOf(answer, "file"), request);
  }

  /**
   * Writes a file in the guest, which may be run as a program. Serves for switches under /proc and /sys,
   * too.
   */
  writeFile(path: string, content: Uint8Array | string, options?: RequestOptions): Promise<void> {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return this.#send("writefile", [["path", path]], bytes, options);
  }

  /** Makes a directory; one that is there already will do. */
  mkdir(path: string): Promise<void> {
    return this.#tell("mkdir", [["path", path]]);
  }

  /** Mounts a file system. */
  mount({ type, directory, source, flags, data }: MountOptions): Promise<void> {
    const fields: Fields = [["type", type], ["src", source], ["dir", directory], ["flags", flags], [
      "data",
      data,
    ]];
    return this.#tell("mount", fields);
  }

  /** Switches a swap area on. */
  swapOn(path: string): Promise<void> {
    return this.#tell("swapon", [["path", path]]);
  }

  /** Switches a swap area off, by default the one that was switched on last. */
  swapOff(path?: string, options?: RequestOptions): Promise<void> {
    return this.#tell("swapoff", [["path", path]], options);
  }

  /** Kills everything but the agent and empties the directories of targets and their results. */
  clean(options?: RequestOptions): Promise<void> {
    return this.#tell("clean", [], options);
  }

  /** Ends the guest. The answer comes before it ends. */
  powerOff(): Promise<void> {
    return this.#tell("poweroff", []);
  }

  #tell(word: string, fields: Fields, options: RequestOptions = {}): Promise<void> {
    return this.#exchange({ word, fields, ...options }, () => {});
  }

  #ask<T>(
    word: string,
    fields: Fields,
    read: (answer: Answer) => T,
    options: RequestOptions = {},
  ): Promise<T> {
    return this.#exchange({ word, fields, ...options }, read);
  }

  #send(word: string, fields: Fields, payload: Uint8Array, options: RequestOptions = {}): Promise<void> {
    const announced: Fields = [["length", payload.length], ["hash", blockHashHex(payload)]];
    return this.#exchange({ word, fields: [...fields, ...announced], payload, ...options }, () => {});
  }

  async #exchange<T>(request: Request, read: (answer: Answer) => T): Promise<T> {
    // A command that cannot be written is the caller's mistake, and known before anything is sent.
    const command = formatCommand(request.word, request.fields);
    const result = this.#turn.then(() => this.#exchangeNow(request, command, read));
    this.#turn = result.catch(() => {});
    return await result;
  }

  async #exchangeNow<T>(request: Request, command: string, read: (answer: Answer) => T): Promise<T> {
    if (this.#lost !== undefined) throw this.#lost;
    const awaited = `the answer to "${shorten(command)}"`;
    const deadlineMs = (request.deadlineMs ?? this.#deadlineMs) * this.#slowdown;
    try {
      return await this.#link.waitFor(
        { awaited, deadlineMs },
        this.#wires.exchange(request, command).then(read),
      );
    } catch (error) {
      if (error instanceof AgentError) throw error;
      if (error instanceof SinkError) throw error.cause;
      this.#lost = asLost(this.#link, awaited, error);
      this.#wires.fail(this.#lost);
      throw this.#lost;
    }
  }
}

async function open(
  link: GuestLink,
  options: SessionOptions,
  greet: (wires: Wires) => Promise<GuestInfo>,
): Promise<AgentSession> {
  const wires = new Wires(link);
  const wait = {
    awaited: "the agent's hello",
    deadlineMs: options.bootDeadlineMs ?? BOOT_DEADLINE_MS,
  };
  try {
    return new AgentSession(link, wires, await link.waitFor(wait, greet(wires)), options);
  } catch (error) {
    const lost = asLost(link, wait.awaited, error);
    wires.fail(lost);
    throw lost;
  }
}

/**
 * Anything that an exchange ends with, other than the agent's own `err`, means that the guest makes no
 * sense.
 */
function asLost(link: GuestLink, awaited: string, error: unknown): GuestLostError {
  if (error instanceof GuestLostError) return error;
  return link.lost("protocol", awaited, error instanceof Error ? error.message : String(error));
}

function blobOf({ blobs }: Answer, name: string, length?: number): Uint8Array<ArrayBuffer> {
  const bytes = blobs.get(name);
  if (bytes === undefined) throw new SyntaxError(`expected a blob "${name}", found none`);
  if (length === undefined || bytes.length === length) return bytes;
  throw new SyntaxError(`blob "${name}": expected ${length} bytes, found ${bytes.length}`);
}
