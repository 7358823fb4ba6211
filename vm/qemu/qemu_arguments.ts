// SPDX-License-Identifier: MIT

/** How QEMU runs guest code. */
export type Accelerator = "kvm" | "tcg";

/**
 * How the guest's agent is reached: by two virtio ports, or by a second serial port, which every kernel has but which
 * is slow. The control socket is then the serial line, and the data socket is not used.
 */
export type GuestChannel = "virtio" | "serial";

/** Everything that decides how QEMU is started. */
export interface QemuOptions {
  accelerator: Accelerator;
  /** A kernel with a PVH entry, or a bzImage. */
  kernel: string;
  initrd: string;
  /** Paths of the UNIX sockets that the host listens on and QEMU connects to. */
  sockets: {
    control: string;
    data: string;
    console: string;
    /** Of QEMU's own, as {@linkcode Qmp} speaks. */
    monitor: string;
    /** For a terminal of the guest's, /dev/hvc0, which only `virtio` guests can have. */
    terminal?: string;
  };
  /** `virtio` by default. */
  channel?: GuestChannel;
  /** `qemu-system-x86_64` by default; it runs i386 kernels as well. */
  program?: string;
  /** CPU model; {@linkcode defaultCpu} otherwise. */
  cpu?: string;
  memoryMiB?: number;
  cpus?: number;
  /** Kernel parameters beyond the project's own. */
  append?: readonly string[];
  /** A directory of the host that the guest may mount by 9p and write to. */
  share?: string;
  /** Whether the guest may mount all files of the host by 9p and read them, as far as the user may. */
  hostFiles?: boolean;
  /** A file that holds the guest's memory: all of it, or what it was before this guest changed its own copy. */
  memoryFile?: { readonly path: string; readonly isShared: boolean };
  /** Path of a UNIX socket on which QEMU waits for the state of another guest, from where this one goes on. */
  incoming?: string;
  /** Whether all that comes from outside is recorded, or played again. For one processor under `tcg`, and `virtio`. */
  replay?: Replay;
  /**
   * Whether everything is the same each time: time goes by instructions, chance comes from a fixed seed, and the guest
   * waits for whoever is at gdb's socket. For one processor under `tcg`, and `virtio`.
   */
  isDeterministic?: boolean;
  /** Path of a UNIX socket on which QEMU listens for gdb. */
  gdbSocket?: string;
}

/** A recording of a guest, in a directory. */
export interface Replay {
  readonly mode: "record" | "replay";
  readonly directory: string;
}

/** MiB of a guest for which nothing else is said. */
export const DEFAULT_MEMORY_MIB = 256;
/** Name of the QEMU program that runs all our kernels. */
export const QEMU_PROGRAM = "qemu-system-x86_64";
/** The one that gdb takes a 32-bit kernel from. */
export const QEMU_PROGRAM_32 = "qemu-system-i386";
/** Names of the ports under which the guest finds its two channels. */
const PORT_NAMES = { control: "ckptest.control", data: "ckptest.data" };

/** Mount tag of the directory that a guest shares with the host. */
export const SHARE_TAG = "ckptest.share";
/** That of the files of the host. */
export const HOST_TAG = "ckptest.host";

/**
 * Kernel parameters of every guest. `loglevel=5` shows warnings and worse; `quiet` would save no more time,
 * but hide what WARN() says. `noapictimer` and `no_timer_check` save a calibration that waits for real time;
 * `panic=-1 reboot=t` with QEMU's `-no-reboot` make a panic end QEMU at once.
 */
const KERNEL_PARAMETERS = [
  "console=ttyS0",
  "loglevel=5",
  "noapictimer",
  "no_timer_check",
  "panic=-1",
  "reboot=t",
  // What a configuration may have on that makes pages other than a target's own faults do.
  "transparent_hugepage=never",
];

/**
 * The CPU model to use. Under TCG `max` without `erms`: NX is there (PAE kernels need it), AVX state too, and
 * the kernel does not copy by `rep movsb`, which TCG carries out byte by byte. Under KVM the host's own.
 */
export function defaultCpu(accelerator: Accelerator): string {
  return accelerator === "kvm" ? "host" : "max,-erms";
}

/**
 * Arguments of QEMU, without the program's name. Pure.
 *
 * @throws {RangeError} for a size that cannot be.
 */
export function qemuArguments(options: QemuOptions): string[] {
  const { accelerator, kernel, initrd, sockets, share, append = [], cpus = 1 } = options;
  const { memoryFile, memoryMiB = DEFAULT_MEMORY_MIB } = options;
  checkCount("memoryMiB", memoryMiB, 1024 * 1024);
  checkCount("cpus", cpus, 64);
  const isSerial = options.channel === "serial";
  // The agent is told: a kernel hands what it does not know to the first process.
  const channel = options.isDeterministic ? "lockstep" : isSerial ? "serial" : undefined;
  const parameters = [...KERNEL_PARAMETERS, ...channel ? [`CKPTEST_CHANNEL=${channel}`] : [], ...append];
  return [
    // Nothing that was not asked for: no devices, no user's configuration, no network, no window.
    ...["-nodefaults", "-no-user-config", "-display", "none"],
    // A machine without PCI and firmware tables is the fastest to boot; an ordinary one has a second serial port.
    ...["-machine", `${isSerial ? "pc" : "microvm,acpi=off"}${memoryFile ? MEMORY_BACKEND : ""}`],
    ...memoryFile ? memoryObject(memoryFile, memoryMiB) : [],
    ...options.incoming === undefined ? [] : ["-incoming", `unix:${options.incoming}`],
    ...["-accel", accelerator, "-cpu", options.cpu ?? defaultCpu(accelerator)],
    ...["-smp", String(cpus), "-m", `${memoryMiB}M`],
    // The kernel is loaded by its PVH entry.
    ...["-kernel", kernel, "-initrd", initrd, "-append", parameters.join(" ")],
    // A reboot ends QEMU, and so does a panic.
    "-no-reboot",
    // QEMU itself may start nothing, become nobody else, and change no priorities.
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...options.isDeterministic ? DETERMINISTIC : [],
    ...options.replay ? replayed(options.replay, options) : [
      ...socket("control", sockets.control),
      ...socket("data", sockets.data),
      // The console is the first serial port: the kernel log and nothing else.
      // It takes Ctrl-A b for a break (mux=on).
      ...[...socket("console", sockets.console, ",mux=on"), "-serial", "chardev:console"],
    ],
    ...[...socket("monitor", sockets.monitor), "-mon", "chardev=monitor,mode=control"],
    ...options.gdbSocket === undefined
      ? []
      : ["-gdb", `unix:path=${escapeValue(options.gdbSocket)},server=on,wait=off`],
    ...isSerial ? [] : virtioPorts(options.replay ? REPLAY_PORTS : { control: "control", data: "data" }),
    ...sockets.terminal === undefined ? [] : [
      ...socket("terminal", sockets.terminal),
      ...["-device", "virtconsole,bus=ports.0,nr=0,chardev=terminal"],
    ],
    ...isSerial ? ["-serial", "chardev:control"] : [],
    ...share === undefined ? [] : sharedDirectory(share),
    ...options.hostFiles ? HOST_FILES : [],
  ];
}

const MEMORY_BACKEND = ",memory-backend=memory";

function memoryObject(
  { path, isShared }: NonNullable<QemuOptions["memoryFile"]>,
  memoryMiB: number,
): string[] {
  const settings = `size=${memoryMiB}M,mem-path=${escapeValue(path)},share=${isShared ? "on" : "off"}`;
  return ["-object", `memory-backend-file,id=memory,${settings}`];
}

/** Two nanoseconds an instruction, and none while there is nothing to do. */
const DETERMINISTIC = [
  "-icount",
  "shift=1,sleep=off",
  "-rtc",
  "base=2026-01-01,clock=vm",
  "-seed",
  "1",
  "-S",
];

/** Control and data channel: two ports of one virtio-serial device. Port 0 is kept for a console. */
function virtioPorts(chardevs: { control: string; data: string }): string[] {
  return [
    ...["-device", "virtio-serial-device,id=ports,max_ports=3"],
    ...["-device", `virtserialport,bus=ports.0,nr=1,chardev=${chardevs.control},name=${PORT_NAMES.control}`],
    ...["-device", `virtserialport,bus=ports.0,nr=2,chardev=${chardevs.data},name=${PORT_NAMES.data}`],
  ];
}

/** What QEMU calls the second and third `-serial`: of what is named by -chardev it records nothing. */
const REPLAY_PORTS = { control: "serial1", data: "serial2" };

/** Time goes by instructions; the ports of the agent are serial ports that the machine has no device for. */
function replayed({ mode, directory }: Replay, { sockets, gdbSocket }: QemuOptions): string[] {
  const serial = (path: string) => ["-serial", `unix:${escapeValue(path)}`];
  return [
    ...["-icount", `shift=auto,rr=${mode},rrfile=${escapeValue(`${directory}/recording.bin`)}`],
    ...[...serial(sockets.console), ...serial(sockets.control), ...serial(sockets.data)],
    // Whoever plays it wants to see it from the begin.
    ...mode === "replay" && gdbSocket !== undefined ? ["-S"] : [],
  ];
}

/**
 * The same arguments for a person at a terminal, without the harness: the console is on the terminal, and nobody is at
 * the other end of the agent's ports. The directory of the harness that a guest may have shared is gone.
 */
export function standaloneArguments(args: readonly string[]): string[] {
  const values = new Map([["chardev:console", "mon:stdio"]]);
  const pairs = args.map((arg, index) => [args[index - 1] ?? "", arg] as const);
  const isShared = (arg: string) => arg.startsWith("local,id=share,") || arg.includes("fsdev=share");
  const isOurs = (arg: string) => ["-gdb", "-mon", "-incoming", "-object", "-icount"].includes(arg);
  return pairs.flatMap(([option, arg], index) => {
    if (isOurs(arg) || isOurs(option) || arg === "-S") return [];
    if (isShared(arg) || isShared(args[index + 1] ?? "")) return [];
    // Of a guest that is recorded the console is the first.
    if (arg.startsWith("unix:")) return [args[index - 3] === "-serial" ? "null" : "mon:stdio"];
    const [kind, id] = arg.split(",", 2);
    if (option !== "-chardev" || kind !== "socket") {
      return [values.get(arg) ?? (option === "-machine" ? arg.replace(MEMORY_BACKEND, "") : arg)];
    }
    return [`null,${id}`];
  });
}

function socket(id: string, path: string, more = ""): string[] {
  return ["-chardev", `socket,id=${id},path=${escapeValue(path)},server=off${more}`];
}

/** By 9p. Owners and modes of what the guest makes are kept in files: it makes nothing special on the host. */
function sharedDirectory(path: string): string[] {
  const settings = "security_model=mapped-file,fmode=0600,dmode=0700";
  return [
    ...["-fsdev", `local,id=share,path=${escapeValue(path)},${settings}`],
    ...["-device", `virtio-9p-device,fsdev=share,mount_tag=${SHARE_TAG}`],
  ];
}

/** By 9p, read-only; what lies on several devices of the host gets inode numbers that differ. */
const HOST_FILES = [
  ...["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"],
  ...["-device", `virtio-9p-device,fsdev=host,mount_tag=${HOST_TAG}`],
];

function checkCount(name: string, value: number, limit: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= limit) return;
  throw new RangeError(`${name}: expected a whole number from 1 to ${limit}, found ${value}`);
}

/** In a value inside a comma-separated list, QEMU reads two commas as one. */
function escapeValue(value: string): string {
  return value.replaceAll(",", ",,");
}
