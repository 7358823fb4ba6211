// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { askHungGuest } from "./hung_guest.ts";
import { ConsoleLog } from "./console_log.ts";
import { DeadlineError, withDeadline } from "../host/deadline.ts";
import { requireTools } from "../host/find_tool.ts";
import { GuestLostError, type GuestLostReason } from "./guest_lost_error.ts";
import { GuestMemory } from "./guest_memory.ts";
import { Qmp } from "./qmp.ts";
import { sendState, type Snapshot } from "./snapshot.ts";
import { QEMU_PROGRAM, qemuArguments, type QemuOptions } from "./qemu_arguments.ts";
import { baseEnvironment } from "../host/run_command.ts";
import { makeSocketDirectory, makeTempDirectory } from "../host/temp_directory.ts";

/** What to start: QEMU's options except the sockets and the shared directory, which are made here. */
export interface VirtualMachineOptions
  extends Omit<QemuOptions, "sockets" | "share" | "gdbSocket" | "incoming" | "memoryFile"> {
  /** A file for the guest's memory, so that {@linkcode takeSnapshot} can be called. */
  snapshotFile?: string;
  /** Where the guest goes on, in place of booting. */
  snapshot?: Snapshot;
  /** Whether the guest gets a directory of the host, which is made for it and goes with it. */
  shares?: boolean;
  /** Whether it gets a terminal, {@linkcode VirtualMachine.terminal}. */
  hasTerminal?: boolean;
  vmlinux?: string | undefined;
  /** Whether gdb may attach to it, at {@linkcode VirtualMachine.gdbSocket}. */
  takesGdb?: boolean;
  /** Time that QEMU has to connect to all sockets, in milliseconds. */
  startDeadlineMs?: number;
}

/** Files of a guest, and directories that go with it. */
interface OwnFiles {
  readonly vmlinux: string | undefined;
  readonly share: string | undefined;
  /** Of the socket on which QEMU listens. */
  readonly gdb: string | undefined;
  readonly memory: GuestMemory | undefined;
}

type Listeners = ReadonlyMap<keyof Connections, Deno.UnixListener>;

interface QemuExit {
  code: number;
  signal: string | null;
  /** The end of what QEMU wrote to standard error and standard output. */
  stderr: string;
}

interface Wait {
  /** In words that follow "waiting for". */
  awaited: string;
  deadlineMs: number;
}

/** Time for a kernel to finish its report after it said that it cannot go on, in milliseconds. */
const CONSOLE_DRAIN_MS = 200;
const START_DEADLINE_MS = 15_000;
/** Time between SIGTERM and SIGKILL, in milliseconds. */
const QUIT_MS = 2_000;
/** Bytes of QEMU's own messages that are kept. */
const STDERR_LIMIT = 16 * 1024;

/** The streams to QEMU; the kernel's log is the console. */
type Connections = Record<keyof QemuOptions["sockets"] | "gdb", Deno.Conn>;

/**
 * A running guest. Dispose of it with `await using` or {@linkcode VirtualMachine.close}. QEMU ends with this
 * process in any case, however this process ends.
 */
export class VirtualMachine implements AsyncDisposable {
  readonly argv: readonly string[];
  readonly console: ConsoleLog = new ConsoleLog();
  /** Settles when QEMU has ended and its console is read to the end; never rejects. */
  readonly exited: Promise<QemuExit>;
  readonly #child: Deno.ChildProcess;
  readonly #listeners = new Set<AccidentListener>();
  #happened: Accident | undefined;
  readonly #own: OwnFiles;
  readonly #conns: Partial<Connections> = {};
  #monitor: Qmp | undefined;
  #consoleEnd: Promise<void> = Promise.resolve();
  #exit: QemuExit | undefined;
  #closing: Promise<void> | undefined;

  /**
   * For {@linkcode startVirtualMachine}. `setpriv` has the kernel kill QEMU when the thread that started it ends.
   *
   * @param own what goes with the guest
   */
  constructor(argv: readonly string[], own: OwnFiles) {
    this.argv = argv;
    this.#own = own;
    this.#child = new Deno.Command("setpriv", {
      args: ["--pdeathsig", "KILL", ...argv],
      clearEnv: true,
      env: baseEnvironment(),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // Ctrl-C in the terminal is for us, who then end it in good order.
      detached: true,
    }).spawn();
    this.exited = this.#watch();
    this.#firstAccident().then((accident) => {
      this.#happened = accident;
      for (const listener of this.#listeners) listener(accident);
    });
  }

  /** Takes QEMU's end of each socket, and begins to collect the console. */
  async connect(listeners: Listeners, deadlineMs: number): Promise<void> {
    for (const [name, listener] of listeners) {
      const wait = { awaited: `QEMU to connect to its ${name} socket`, deadlineMs };
      this.#conns[name] = await this.waitFor(wait, listener.accept());
    }
    this.#consoleEnd = this.#readConsole(this.#conns.console!);
  }

  get control(): Deno.Conn {
    return this.#conns.control!;
  }

  get data(): Deno.Conn {
    return this.#conns.data!;
  }

  /** The other end of the guest's /dev/hvc0, where it has one. */
  get terminal(): Deno.Conn | undefined {
    return this.#conns.terminal;
  }

  /** Where gdb can attach, where it was asked for. */
  get gdbSocket(): string | undefined {
    return this.#own.gdb && join(this.#own.gdb, "gdb");
  }

  /** What gdb would say, until the guest ends. */
  async attach(): Promise<Deno.Conn> {
    // What answers has made its sockets.
    await this.monitor.monitor("info status");
    return this.#conns.gdb = await Deno.connect({ transport: "unix", path: this.gdbSocket! });
  }

  /** Its memory, where the host can read it. */
  get memory(): GuestMemory | undefined {
    return this.#own.memory;
  }

  /** QEMU itself. */
  get monitor(): Qmp {
    return this.#monitor ??= new Qmp(this.#conns.monitor!);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Waits for a piece of work that needs the guest.
   *
   * @param work its own rejection passes through, unless the guest turns out to be lost.
   * @throws {GuestLostError} when the deadline passes, the kernel reports a fatal error, or QEMU ends.
   */
  async waitFor<T>({ awaited, deadlineMs }: Wait, work: Promise<T>): Promise<T> {
    // Not `#accident.then()`: that would keep all that was ever waited for until the guest ends.
    const { promise: accident, reject } = Promise.withResolvers<never>();
    const onAccident: AccidentListener = ({ reason, detail }) => reject(this.lost(reason, awaited, detail));
    if (this.#happened) onAccident(this.#happened);
    else this.#listeners.add(onAccident);
    try {
      return await withDeadline(Promise.race([work, accident]), deadlineMs, awaited);
    } catch (error) {
      if (error instanceof GuestLostError) throw error;
      if (error instanceof DeadlineError && error.awaited === awaited) {
        const { detail: found, consoleTail } = await askHungGuest({
          ...{ console: this.console, keys: this.#conns.console, vmlinux: this.#own.vmlinux },
          monitor: this.#conns.monitor && this.monitor,
        });
        const detail = [`nothing came within ${deadlineMs / 1000} s`, ...found].join("\n");
        throw new GuestLostError({ reason: "timeout", awaited, detail, consoleTail, argv: this.argv });
      }
      // A stream that breaks is a symptom: the guest went away, and its end is about to be known.
      await withDeadline(accident, CONSOLE_DRAIN_MS, "an accident").catch((reason) => {
        if (reason instanceof GuestLostError) throw reason;
      });
      throw error;
    } finally {
      this.#listeners.delete(onAccident);
      accident.catch(() => {});
      work.catch(() => {});
    }
  }

  /** An error for a guest that is lost, for a reason that only the caller may know. */
  lost(reason: GuestLostReason, awaited: string, detail = ""): GuestLostError {
    return new GuestLostError({ reason, awaited, detail, consoleTail: this.console.tail(), argv: this.argv });
  }

  /** Ends QEMU, kindly first, and removes what was made for it. May be called again. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** As {@linkcode VirtualMachine.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#kill("SIGTERM");
    await withDeadline(this.exited, QUIT_MS, "QEMU's end").catch(() => this.#kill("SIGKILL"));
    await this.exited;
    for (const conn of Object.values(this.#conns)) conn.close();
    await removeFiles(this.#own);
  }

  #kill(signal: Deno.Signal): void {
    try {
      if (this.#exit === undefined) this.#child.kill(signal);
    } catch {
      // It ended in between.
    }
  }

  async #readConsole(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let got; (got = await conn.read(buffer)) !== null;) this.console.append(buffer.subarray(0, got));
    } catch {
      // QEMU is gone.
    }
  }

  async #watch(): Promise<QemuExit> {
    const [stderr, stdout, { code, signal }] = await Promise.all([
      readTail(this.#child.stderr),
      readTail(this.#child.stdout),
      this.#child.status,
    ]);
    await this.#consoleEnd;
    return this.#exit = { code, signal, stderr: stderr + stdout };
  }

  /** The first of the two: the kernel says that it cannot go on, or QEMU ends. */
  async #firstAccident(): Promise<Accident> {
    const exit = await Promise.race([this.console.fatal.then(() => undefined), this.exited]);
    if (exit === undefined) {
      await withDeadline(this.exited, CONSOLE_DRAIN_MS, "the end of its report").catch(() => {});
    }
    if (exit === undefined || this.console.sawFatal) {
      return { reason: "panic", detail: this.console.fatalLine ?? await this.console.fatal };
    }
    const { code, signal, stderr } = exit;
    const ending = signal === null ? `QEMU ended with exit status ${code}` : `QEMU was ended by ${signal}`;
    return { reason: "qemu-exit", detail: stderr === "" ? ending : `${ending}: ${stderr}` };
  }
}

/**
 * Starts QEMU and connects to it. The guest boots at once; that it is alive shows only when its agent speaks.
 *
 * @throws {MissingToolError} when QEMU is not installed.
 * @throws {GuestLostError} when QEMU ends or does not connect in time.
 */
export async function startVirtualMachine(options: VirtualMachineOptions): Promise<VirtualMachine> {
  const { program = QEMU_PROGRAM, startDeadlineMs = START_DEADLINE_MS } = options;
  await requireTools(["setpriv", program]);
  const directory = await makeSocketDirectory("ckptest-vm-");
  const pathOf = (name: string) => join(directory, name);
  const { snapshot, snapshotFile = snapshot?.memoryFile } = options;
  const own: OwnFiles = {
    vmlinux: options.vmlinux,
    share: options.shares ? await makeTempDirectory("ckptest-share-") : undefined,
    gdb: options.takesGdb ? await makeSocketDirectory("ckptest-vm-") : undefined,
    memory: snapshotFile === undefined ? GuestMemory.create(pathOf("memory"), options.memoryMiB) : undefined,
  };
  const sockets = {
    ...{ control: pathOf("control"), data: pathOf("data"), console: pathOf("console") },
    monitor: pathOf("monitor"),
    ...options.hasTerminal ? { terminal: pathOf("terminal") } : {},
  };
  const listeners: Listeners = new Map(
    Object.entries(sockets).map(([name, path]) =>
      [name as keyof Connections, Deno.listen({ transport: "unix", path })] as const
    ),
  );
  let machine: VirtualMachine | undefined;
  try {
    const { share, gdb } = own;
    const path = snapshotFile ?? (own.memory && pathOf("memory"));
    const incoming = pathOf("incoming");
    const memory = {
      ...path === undefined ? {} : { memoryFile: { path, isShared: !snapshot } },
      ...snapshot && { incoming },
    };
    const more = { ...memory, ...share && { share }, ...gdb && { gdbSocket: join(gdb, "gdb") } };
    machine = new VirtualMachine([program, ...qemuArguments({ ...options, sockets, ...more })], own);
    if (snapshot) machine.console.append(snapshot.console);
    await machine.connect(listeners, startDeadlineMs);
    if (snapshot) await sendState(machine, incoming, snapshot);
    // What answers has opened the file of its memory.
    if (own.memory) await askMonitor(machine, startDeadlineMs);
    return machine;
  } catch (error) {
    if (machine) await machine.close();
    else await removeFiles(own);
    throw error;
  } finally {
    // Both ends are connected: neither the listeners nor the files are needed any more.
    for (const listener of listeners.values()) listener.close();
    await Deno.remove(directory, { recursive: true });
  }
}

async function askMonitor(machine: VirtualMachine, deadlineMs: number): Promise<void> {
  const wait = { awaited: "QEMU to answer its monitor", deadlineMs };
  await machine.waitFor(wait, machine.monitor.monitor("info status"));
}

async function removeFiles({ share, gdb, memory }: OwnFiles): Promise<void> {
  memory?.[Symbol.dispose]();
  for (const path of [share, gdb]) if (path !== undefined) await Deno.remove(path, { recursive: true });
}

/** What made a guest unusable. */
interface Accident {
  reason: GuestLostReason;
  detail: string;
}

type AccidentListener = (accident: Accident) => void;

/** Reads a stream to its end, keeping the last bytes as text. */
async function readTail(stream: ReadableStream<Uint8Array>): Promise<string> {
  const log = new ConsoleLog(STDERR_LIMIT);
  for await (const chunk of stream) log.append(chunk);
  return log.text(log.offset - STDERR_LIMIT).trim();
}
