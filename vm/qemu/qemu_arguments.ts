// SPDX-License-Identifier: MIT

/** How QEMU runs guest code. */
export type Accelerator = "kvm" | "tcg";

/**
 * How the guest's agent is reached: by two virtio ports, or by a second serial port, which every kernel has but which
 * is slow. The control socket is then the serial line, and the data socket is not used.
 */
export type GuestChannel = "virtio" | "serial";

/** Paths of the UNIX sockets that the host listens on and QEMU connects to. */
export interface QemuSockets {
  control: string;
  data: string;
  console: string;
  qmp: string;
}

/** A disk of the guest. */
export interface QemuDrive {
  path: string;
  format: "raw" | "qcow2";
  readOnly: boolean;
}

/** Everything that decides how QEMU is started. */
export interface QemuOptions {
  accelerator: Accelerator;
  /** A kernel with a PVH entry, or a bzImage. */
  kernel: string;
  initrd: string;
  sockets: QemuSockets;
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
  drives?: readonly QemuDrive[];
  /** A directory of the host that the guest may mount by 9p and write to. */
  share?: string;
  /**
   * Makes a guest of one CPU under TCG the same in every run: time follows the instructions executed, and
   * random numbers come from the seed.
   */
  deterministicSeed?: number;
  /** Off only where QEMU itself is examined. */
  sandbox?: boolean;
}

/** Arguments that belong together, and why they are there. */
export interface ArgumentGroup {
  comment: string;
  args: readonly string[];
}

/** Name of the QEMU program that runs all our kernels. */
export const QEMU_PROGRAM = "qemu-system-x86_64";
/** Names of the ports under which the guest finds its two channels. */
export const PORT_NAMES = { control: "ckptest.control", data: "ckptest.data" } as const;

/** Mount tag of the directory that a guest shares with the host. */
export const SHARE_TAG = "ckptest.share";

/**
 * Kernel parameters of every guest. `loglevel=5` shows warnings and worse; `quiet` would save no more time,
 * but hide what WARN() says. `noapictimer` and `no_timer_check` save a calibration that waits for real time;
 * `panic=-1 reboot=t` with QEMU's `-no-reboot` make a panic end QEMU at once.
 */
export const KERNEL_PARAMETERS: readonly string[] = [
  "console=ttyS0",
  "loglevel=5",
  "noapictimer",
  "no_timer_check",
  "panic=-1",
  "reboot=t",
];

/**
 * The CPU model to use. Under TCG `max` without `erms`: NX is there (PAE kernels need it), AVX state too, and
 * the kernel does not copy by `rep movsb`, which TCG carries out byte by byte. Under KVM the host's own.
 */
export function defaultCpu(accelerator: Accelerator): string {
  return accelerator === "kvm" ? "host" : "max,-erms";
}

/** Arguments of QEMU, without the program's name. Pure. */
export function qemuArguments(options: QemuOptions): string[] {
  return qemuArgumentGroups(options).flatMap(({ args }) => args);
}

/**
 * Arguments of QEMU in groups, each with its reason. Pure.
 *
 * @throws {RangeError} for a size that cannot be.
 */
export function qemuArgumentGroups(options: QemuOptions): ArgumentGroup[] {
  const { accelerator, kernel, initrd, append = [], memoryMiB = 256, cpus = 1, drives = [] } = options;
  checkCount("memoryMiB", memoryMiB, 1024 * 1024);
  checkCount("cpus", cpus, 64);
  const cpu = options.cpu ?? defaultCpu(accelerator);
  const isSerial = options.channel === "serial";
  const parameters = [...KERNEL_PARAMETERS, ...isSerial ? [SERIAL_PARAMETER] : [], ...append];
  return [
    {
      comment: "nothing that was not asked for: no devices, no user's configuration, no network, no window",
      args: ["-nodefaults", "-no-user-config", "-display", "none"],
    },
    isSerial
      ? { comment: "an ordinary machine: it has a second serial port", args: ["-machine", "pc"] }
      : { comment: "a machine without PCI and firmware tables: the fastest to boot", args: machine() },
    { comment: "processor and memory", args: [...processor(), "-m", `${memoryMiB}M`] },
    { comment: "the kernel, loaded by its PVH entry", args: ["-kernel", kernel, "-initrd", initrd] },
    { comment: "kernel parameters", args: ["-append", parameters.join(" ")] },
    { comment: "a reboot ends QEMU, and so does a panic", args: ["-no-reboot"] },
    ...(options.sandbox === false ? [] : [SANDBOX]),
    ...isSerial ? serialChannels(options.sockets) : channels(options.sockets),
    ...(drives.length === 0 ? [] : [{
      comment: "disks",
      args: drives.flatMap((one, index) =>
        drive(one, index, isSerial ? "virtio-blk-pci" : "virtio-blk-device")
      ),
    }]),
    ...(options.share === undefined ? [] : [shared(options.share)]),
    ...deterministic(options),
  ];

  function machine(): string[] {
    return ["-machine", "microvm,acpi=off"];
  }

  function processor(): string[] {
    return ["-accel", accelerator, "-cpu", cpu, "-smp", String(cpus)];
  }
}

const SANDBOX: ArgumentGroup = {
  comment: "QEMU itself may start nothing, become nobody else, and change no priorities",
  args: ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
};

/** Tells the agent: a kernel hands what it does not know to the first process. */
const SERIAL_PARAMETER = "CKPTEST_CHANNEL=serial";

function socket(id: string, path: string): string[] {
  return ["-chardev", `socket,id=${id},path=${escapeValue(path)},server=off`];
}

function serialChannels({ data, ...sockets }: QemuSockets): ArgumentGroup[] {
  return [
    { comment: "no data channel of its own", args: socket("data", data) },
    ...consoleAndMonitor(sockets),
    {
      comment: "control and data channel: the second serial port",
      args: [...socket("control", sockets.control), "-serial", "chardev:control"],
    },
  ];
}

function channels(sockets: QemuSockets): ArgumentGroup[] {
  return [
    {
      comment:
        "control and data channel: two ports of one virtio-serial device (port 0 is kept for a console)",
      args: [
        ...socket("control", sockets.control),
        ...socket("data", sockets.data),
        ...["-device", "virtio-serial-device,id=ports,max_ports=3"],
        ...["-device", `virtserialport,bus=ports.0,nr=1,chardev=control,name=${PORT_NAMES.control}`],
        ...["-device", `virtserialport,bus=ports.0,nr=2,chardev=data,name=${PORT_NAMES.data}`],
      ],
    },
    ...consoleAndMonitor(sockets),
  ];
}

function consoleAndMonitor(sockets: Pick<QemuSockets, "console" | "qmp">): ArgumentGroup[] {
  return [
    {
      comment: "console: the kernel log and nothing else",
      args: [...socket("console", sockets.console), "-serial", "chardev:console"],
    },
    {
      comment: "QEMU's own control socket",
      args: [...socket("qmp", sockets.qmp), "-mon", "chardev=qmp,mode=control"],
    },
  ];
}

function drive({ path, format, readOnly }: QemuDrive, index: number, device: string): string[] {
  const settings = `if=none,id=drive${index},format=${format},cache=unsafe,readonly=${
    readOnly ? "on" : "off"
  }`;
  return [
    ...["-drive", `file=${escapeValue(path)},${settings}`],
    ...["-device", `${device},drive=drive${index}`],
  ];
}

/** Owners and modes of what the guest makes are kept in files: it makes nothing special on the host. */
function shared(path: string): ArgumentGroup {
  const settings = "security_model=mapped-file,fmode=0600,dmode=0700";
  return {
    comment: "a directory of the host, by 9p",
    args: [
      ...["-fsdev", `local,id=share,path=${escapeValue(path)},${settings}`],
      ...["-device", `virtio-9p-device,fsdev=share,mount_tag=${SHARE_TAG}`],
    ],
  };
}

function deterministic({ deterministicSeed, accelerator, cpus = 1 }: QemuOptions): ArgumentGroup[] {
  if (deterministicSeed === undefined) return [];
  if (accelerator !== "tcg" || cpus !== 1) {
    throw new RangeError(`a deterministic guest needs tcg and 1 CPU, found ${accelerator} and ${cpus}`);
  }
  checkCount("deterministicSeed", deterministicSeed, 2 ** 53);
  return [{
    comment: "the same run every time: time by instructions executed, random numbers from a seed",
    args: [
      ...["-icount", "shift=5,sleep=off"],
      ...["-rtc", "base=2020-01-01T00:00:00,clock=vm"],
      ...["-seed", String(deterministicSeed)],
    ],
  }];
}

function checkCount(name: string, value: number, limit: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= limit) return;
  throw new RangeError(`${name}: expected a whole number from 1 to ${limit}, found ${value}`);
}

/** In a value inside a comma-separated list, QEMU reads two commas as one. */
function escapeValue(value: string): string {
  return value.replaceAll(",", ",,");
}
