// SPDX-License-Identifier: MIT
import { ERRNO } from "../../lib/abi/errno.ts";
import { blockHashHex } from "../../lib/abi/block_hash.ts";
import type { PhysicalMemory } from "../../lib/x86/page_tables.ts";
import { syscallNumber } from "../../lib/model/syscall_numbers.ts";
import { type Fields, type FieldsOf, fieldsOf, type FieldSpec, readFields } from "./agent_protocol.ts";
import {
  type AttachMethod,
  type CheckpointOptions,
  type CheckpointResult,
  encodeTries,
  type ExecOptions,
  type GuestInfo,
  parseCheckpoint,
  parseEvent,
  parseHello,
  QUIET_STATE,
  type QuietState,
  type RaceOptions,
  RESTARTED,
  type RestartOptions,
  type RestartTry,
  type ResumeOptions,
  type SpawnOptions,
  STARTED,
  type StartedProgram,
  type SyscallArgument,
  type TargetEvent,
} from "./agent_types.ts";
import { GuestCalls, unless } from "./guest_calls.ts";
import { HostLook } from "./host_look.ts";
import { expectLikelySizes } from "./observed_sizes.ts";
import {
  AgentError,
  type Answer,
  blobOf,
  type GuestLink,
  ImageTaker,
  type Request,
  Wires,
} from "./agent_wires.ts";

export type * from "./agent_types.ts";
export { AgentError, type GuestLink } from "./agent_wires.ts";

/** Settings of {@linkcode AgentSession.connect}. */
export interface SessionOptions {
  /** Longest wait for one answer, in milliseconds. */
  deadlineMs?: number;
  /** Longest wait for the hello of a guest that boots, in milliseconds; {@linkcode BOOT_DEADLINE_MS} by default. */
  bootDeadlineMs?: number;
  /** The hello of an agent that has said it before. */
  info?: GuestInfo | undefined;
  /** The most bytes of an answer. */
  maxBytes?: number;
  /** Its memory, where the host can read it. */
  memory?: PhysicalMemory | undefined;
  /** How many times longer all other deadlines are, for a guest whose kernel or whose line is slow. */
  slowdown?: number;
}

interface RequestOptions {
  deadlineMs?: number | undefined;
}

const DEADLINE_MS = 10_000;
/** Time that a plain kernel has for its boot. */
export const BOOT_DEADLINE_MS = 30_000;

/** For a guest with 256 MiB; the largest image of the catalogue has 50 MiB. */
const MAX_ANSWER_BYTES = 64 << 20;
/** Files of the agent: the target's descriptors 3, 4 and 6 (vm/guest/agent/agent.h). */
const PROGRAM_PATH = "/run/ckptest/program";
const RESULTS_PATH = "/run/ckptest/results";
const IMAGE_PATH = "/run/ckptest/image";

/** The number of restart(2), the same in both tables. */
const RESTART_NR = 391;
const PTRACE_POKEUSER = 6;
/** Offsets in struct user by word size. */
const USER_OFFSETS = {
  8: { debug: 848, flags: 144, fs: 200, ax: 80, ss: 160 },
  4: { debug: 252, flags: 56, fs: 36, ax: 24, ss: 64 },
};

/**
 * The talk with the agent of one guest: a method for each of its commands, and for what is done with the system
 * calls that it makes. One command at a time; further ones wait for their turn. Every method throws
 * {@linkcode AgentError} when the agent refuses, and GuestLostError when it does not answer in time or makes no
 * sense; a lost guest stays lost.
 */
export class AgentSession extends GuestCalls {
  /** What the agent said of itself and its kernel. */
  readonly info: GuestInfo;
  /** The id of the last checkpoint that succeeded in this guest; 0: none. A target that makes its own sets it. */
  lastId = 0;
  /** Sees its processes from outside, where the host can read its memory. */
  readonly hostLook: HostLook | undefined;
  /** A directory that was emptied although somebody still held a file there. */
  held: string | undefined;
  /** Whether nothing was done since the last `clean` that could leave something behind. */
  #isClean = false;
  /** What the target's event told of its results, until anything else is asked. */
  #results: Uint8Array | undefined;
  readonly #wires: Wires;
  readonly #deadlineMs: number;
  readonly #slowdown: number;

  /** For {@linkcode AgentSession.connect}. */
  constructor(wires: Wires, info: GuestInfo, options: SessionOptions) {
    super();
    this.#wires = wires;
    this.info = info;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#slowdown = options.slowdown ?? 1;
    this.hostLook = options.memory && new HostLook(options.memory, info.machine);
  }

  /**
   * Waits for the `hello` of an agent that boots.
   *
   * @throws {GuestLostError} when it does not come or makes no sense.
   */
  static async connect(link: GuestLink, options: SessionOptions = {}): Promise<AgentSession> {
    const wires = new Wires(link, options.maxBytes ?? MAX_ANSWER_BYTES);
    const deadlineMs = options.bootDeadlineMs ?? BOOT_DEADLINE_MS;
    const wait = { awaited: "the agent's hello", deadlineMs };
    const info = options.info ??
      await wires.within(wait, async () => parseHello(await wires.lines.next()));
    return new AgentSession(wires, info, options);
  }

  /** The guest's clocks: seconds since 1970, and nanoseconds since some point in the past. */
  time(): Promise<{ realtime: bigint; monotonicNs: bigint }> {
    return this.#read("time", [], { realtime: "bigint", monotonicNs: "bigint" });
  }

  /** Sends the program of the next target: a new file, since a target may still read the old one. */
  async program(bytes: Uint8Array): Promise<void> {
    if (!this.#isClean) await this.call("unlink", PROGRAM_PATH).catch(unless("ENOENT"));
    await this.writeFile(PROGRAM_PATH, bytes);
  }

  /** Starts the target with the program that was sent last; gives its pid. `/work` is emptied first. */
  async spawn(options: SpawnOptions = {}): Promise<number> {
    return (await this.#read("spawn", fieldsOf({ path: "/target", ...options }), { pid: "number" })).pid;
  }

  /** Waits for what the target spawned last does next: it stops at a label, or it ends. */
  event(options?: RequestOptions): Promise<TargetEvent> {
    return this.#ask("event", [], ({ line, blobs }) => {
      this.#results = blobs.get("results");
      return parseEvent(line);
    }, options);
  }

  /** Starts any program. Its standard input stays open; its output goes to the files that are named. */
  exec(argv: readonly string[], { env = {}, ...others }: ExecOptions = {}): Promise<StartedProgram> {
    const fields: Fields = [
      ...Object.entries(others),
      ...Object.entries(env).map(([key, value]) => ["env", `${key}=${value}`] as const),
      ...argv.map((arg) => ["arg", arg] as const),
    ];
    return this.#read("exec", fields, STARTED);
  }

  /** Waits until a process sleeps in a system call, or has ended, or after `limitMs` still runs. */
  quiesce(
    pid: number,
    { limitMs, ...options }: RequestOptions & { limitMs?: number | undefined } = {},
  ): Promise<QuietState> {
    return this.#ask("quiesce", [["pid", pid], ["limit_ms", limitMs]], ({ line }) => {
      const { state, ...end } = readFields(line, QUIET_STATE);
      if (state === "S" || state === "R" || state === "exited") return { state, ...end };
      throw new SyntaxError(`expected the state S, R or exited, found ${state}`);
    }, options);
  }

  /** Stops a process with SIGSTOP and waits until it has stopped; EBUSY when it has not after `limitMs`. */
  stop(pid: number, { limitMs }: { limitMs?: number | undefined } = {}): Promise<void> {
    return this.#ask("stop", [["pid", pid], ["limit_ms", limitMs]], () => {});
  }

  /** The pid of a process that has ended, for which nobody waits. */
  async zombie(): Promise<number> {
    return (await this.#read("zombie", [], { pid: "number" })).pid;
  }

  /**
   * Files of /proc/PID by name, and `pages`: address and entry of pagemap for each page that is present or swapped. A
   * name that ends in `?` may be of a file that the kernel does not have, and is then not in the answer.
   */
  observe(pid: number, what: readonly string[]): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.#ask("observe", [["pid", pid], ["what", what.join(",")]], (answer) => {
      for (const name of what) if (!name.endsWith("?")) blobOf(answer, name);
      expectLikelySizes(answer.blobs);
      return answer.blobs;
    });
  }

  /**
   * The registers of a process as a tracer sees them; it is left as it was, stopped or not. `gpr`: `struct
   * user_regs_struct` of the guest's kernel; `xstate`: the regset NT_X86_XSTATE, or in its place `fpxregs` or `fpregs`;
   * `debugreg`: eight words; `tls`: three `struct user_desc`; `sigmask`: 8 bytes (since Linux 3.11).
   *
   * @param options `fpu`: whether to ask for the FPU's registers, which old kernels take for a use of it; `calls`:
   * whether a stopped process is made to tell `brk` and `ldt`; `signals`: and `sigaltstack`, and `sigactions` of that
   * mask. They are not in the answer where that would leave a trace (vm/guest/agent/inject.c).
   */
  registers(
    pid: number,
    { fpu = true, calls = false, signals }: { fpu?: boolean; calls?: boolean; signals?: bigint | undefined } =
      {},
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.#ask(
      "regs",
      [["pid", pid], ["fpu", fpu ? undefined : 0], ["calls", calls ? 1 : undefined], ["signals", signals]],
      (answer) => {
        for (const name of ["gpr", "debugreg", "tls"]) blobOf(answer, name);
        return answer.blobs;
      },
    );
  }

  /** Becomes a process's tracer and stops it in the tracer's way. One process at a time. */
  attach(pid: number, how: AttachMethod): Promise<void> {
    return this.#ask("attach", [["pid", pid], ["how", how]], () => {});
  }

  /** Lets go of a process. One that was stopped before {@linkcode AgentSession.attach} is stopped again. */
  detach(pid: number): Promise<void> {
    return this.#ask("detach", [["pid", pid]], () => {});
  }

  /** Sets a debug register (0 to 7), or one of a name, of a process, and nothing else. The errno of a refusal, or 0. */
  async setRegister(
    pid: number,
    register: number | "flags" | "fs" | "ax" | "ss",
    value: bigint,
  ): Promise<number> {
    const { wordSize } = this.info;
    const { debug, ...others } = USER_OFFSETS[wordSize];
    const offset = typeof register === "string" ? others[register] : debug + register * wordSize;
    const isNew = await this.attach(pid, "seize").then(() => true, async (error) => {
      if (error instanceof AgentError && error.errno === ERRNO.EBUSY) return false;
      unless("EIO")(error); // Linux 3.4 brought PTRACE_SEIZE.
      await this.attach(pid, "attach");
      return true;
    });
    const nr = syscallNumber("ptrace", wordSize);
    const { result } = await this.syscall(nr, PTRACE_POKEUSER, pid, offset, value);
    if (isNew) await this.detach(pid);
    return Number(-result);
  }

  /** Calls the system call under test and brings the image home. */
  checkpoint(
    { sink, deadlineMs, nr = 390, fd, signals, ...options }: CheckpointOptions,
  ): Promise<CheckpointResult> {
    const words = { fd: fd === "none" ? -1 : fd, ignoresSignals: signals === "ignored" ? 1 : undefined };
    return this.#carry("checkpoint", { nr, ...options, ...words }, { sink, deadlineMs });
  }

  /** Lets a paused checkpoint go on; gives what came of its image since. */
  resume(options: ResumeOptions): Promise<CheckpointResult> {
    return this.#carry("resume", { ...options }, {});
  }

  /** Makes the call again and again. Of each its result, the length of its image (64 bits each), and the image. */
  race({ deadlineMs, ...options }: RaceOptions): Promise<Uint8Array> {
    return this.#ask("race", fieldsOf(options), (answer) => blobOf(answer, "race"), { deadlineMs });
  }

  /**
   * Has a new process restart from an image of a target, and stops it before its first instruction. What it does next
   * is {@linkcode event}'s to tell.
   */
  restart(
    { path = "/target", deadlineMs, ...options }: RestartOptions,
  ): Promise<FieldsOf<typeof RESTARTED>> {
    const fields = fieldsOf({ nr: RESTART_NR, path, ...options });
    return this.#ask("restart", fields, ({ line }) => readFields(line, RESTARTED), { deadlineMs });
  }

  /**
   * Tries to restart from an image with one thing wrong at a time; a child that is restarted is killed before it runs.
   *
   * @returns for each try 0, a negative errno, or what {@linkcode RESTART_DIED} and its neighbour say
   */
  restarts(image: string, tries: readonly RestartTry[], options: RequestOptions = {}): Promise<number[]> {
    const payload = encodeTries(tries);
    const fields = fieldsOf({ nr: RESTART_NR, image, count: tries.length, hash: blockHashHex(payload) });
    const results = (answer: Answer) => new BigInt64Array(blobOf(answer, "restarts", payload.length).buffer);
    return this.#exchange(
      { word: "restarts", fields, payload, ...options },
      (answer) => [...results(answer)].map(Number),
    );
  }

  #carry(
    word: string,
    options: Parameters<typeof fieldsOf>[0],
    { sink, deadlineMs }: Pick<CheckpointOptions, "sink" | "deadlineMs">,
  ): Promise<CheckpointResult> {
    const stream = new ImageTaker(sink, this.#wires.maxBytes);
    return this.#exchange({ word, fields: fieldsOf(options), stream, deadlineMs }, ({ line }) => {
      const found = { ...parseCheckpoint(line), previousId: this.lastId };
      if (found.result > 0n) this.lastId = Number(found.result);
      const image = stream.takeBytes();
      return image === undefined ? found : { ...found, image };
    });
  }

  /** Makes a system call: what it returned, an errno as a negative number, and the bytes of its last buffer. */
  syscall(nr: number, ...args: readonly SyscallArgument[]): Promise<{ result: bigint; bytes: Uint8Array }> {
    const fields: Fields = args.map((arg) =>
      typeof arg === "object" ? ["b", arg.toHex()] : [typeof arg === "string" ? "s" : "n", arg]
    );
    return this.#ask("syscall", [["nr", nr], ...fields], ({ line }) => {
      const { result, bytes } = readFields(line, { result: "bigint", bytes: "text" });
      return { result, bytes: Uint8Array.fromHex(bytes) };
    });
  }

  /**
   * Digests of pages of a process, as `blockHash()` gives them; all bits set where a page cannot be read.
   * Reading a page that is not there brings it there: ask only for pages that are.
   */
  pageHash(pid: number, addresses: readonly bigint[]): Promise<BigUint64Array> {
    const payload = new Uint8Array(BigUint64Array.from(addresses).buffer);
    const fields: Fields = [["pid", pid], ["count", addresses.length], ["hash", blockHashHex(payload)]];
    return this.#exchange(
      { word: "pagehash", fields, payload },
      (answer) => new BigUint64Array(blobOf(answer, "pagehash", payload.length).buffer),
    );
  }

  /** What the target has written to its results file so far. See `decodeResults()`. */
  results(): Promise<Uint8Array> {
    return this.#results ? Promise.resolve(this.#results) : this.readFile(RESULTS_PATH);
  }

  /** The target's own image file, descriptor 6. */
  targetImage(): Promise<Uint8Array> {
    return this.readFile(IMAGE_PATH);
  }

  /** A file of the guest, or `length` bytes of it from `offset` on, as far as there are any. */
  readFile(
    path: string,
    { offset, length }: { offset?: number; length?: number } = {},
  ): Promise<Uint8Array> {
    const fields: Fields = [["path", path], ["offset", offset], ["length", length]];
    return this.#ask("readfile", fields, (answer) => blobOf(answer, "file"));
  }

  /** Writes a file in the guest, which may be run as a program. Serves for switches under /proc and /sys, too. */
  writeFile(path: string, content: Uint8Array | string): Promise<void> {
    const payload = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const fields: Fields = [["path", path], ["length", payload.length], ["hash", blockHashHex(payload)]];
    return this.#exchange({ word: "writefile", fields, payload }, () => {});
  }

  /** Kills all but the agent, and empties the directories of targets; not again where nothing was done since. */
  async clean(): Promise<void> {
    if (this.#isClean) return;
    await this.#ask("clean", [], ({ line }) => {
      const { held } = readFields(line, { held: "text?" });
      // What is mounted within a file system holds it, too.
      if (held !== undefined && !this.hasMounts) this.held = held;
      this.hasMounts = false;
      this.#isClean = true;
    });
  }

  #read<S extends FieldSpec>(word: string, fields: Fields, spec: S): Promise<FieldsOf<S>> {
    return this.#ask(word, fields, ({ line }) => readFields(line, spec));
  }

  #ask<T>(
    word: string,
    fields: Fields,
    read: (answer: Answer) => T,
    options: RequestOptions = {},
  ): Promise<T> {
    return this.#exchange({ word, fields, ...options }, read);
  }

  #exchange<T>(
    request: Omit<Request, "deadlineMs"> & RequestOptions,
    read: (answer: Answer) => T,
  ): Promise<T> {
    const { word, fields: [[, path] = []] } = request;
    this.#results = undefined;
    // A line in the kernel log is nothing that could be cleaned away.
    if (word !== "readfile" && path !== "/dev/kmsg") this.#isClean = false;
    const deadlineMs = (request.deadlineMs ?? this.#deadlineMs) * this.#slowdown;
    return this.#wires.request({ ...request, deadlineMs }, read);
  }
}
