// SPDX-License-Identifier: MIT
import type { GuestChannel } from "../../qemu/qemu_arguments.ts";
import type { KernelConfig } from "./kernel_config.ts";

/** What a kernel is to be booted as. */
export interface NeededFor {
  /** `uname -r`, as far as it is known: some options are younger than some kernels. */
  readonly release: string;
  readonly channel: GuestChannel;
  /** Whether QEMU loads it as an ELF file, by its PVH entry. */
  readonly isElf: boolean;
  /** Whether 32-bit programs are to run on a 64-bit kernel. */
  readonly isCompat: boolean;
  /** Whether the checkpoint code has the option's name that the project gives it. */
  readonly hasOwnPatch: boolean;
}

/** An option without which no scenario can run. */
export interface NeededOption {
  readonly name: string;
  /** `y`, or the least number. */
  readonly wanted: "y" | number;
  /** What it is for. */
  readonly reason: string;
  /** What the configuration has instead; `n` when it does not name it. */
  readonly found: string;
}

type Row = readonly [name: string, reason: string, wanted?: "y" | number];

const ALWAYS: readonly Row[] = [
  ["CONFIG_BLK_DEV_INITRD", "the agent comes in an initramfs"],
  ["CONFIG_BINFMT_ELF", "agent and target are ELF programs"],
  ["CONFIG_PRINTK", "the kernel log is read"],
  ["CONFIG_SERIAL_8250", "the console is a serial port"],
  ["CONFIG_SERIAL_8250_CONSOLE", "the console is a serial port"],
  ["CONFIG_PROC_FS", "what /proc tells is held against the image"],
  ["CONFIG_PROC_PAGE_MONITOR", "pagemap and smaps are held against the image"],
  ["CONFIG_SYSFS", "devices are looked up there"],
  ["CONFIG_TMPFS", "targets and their files live on it"],
];

const VIRTIO: readonly Row[] = [
  ["CONFIG_VIRTIO_MMIO", "the machine has no PCI"],
  ["CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES", "QEMU names the devices on the command line"],
  ["CONFIG_VIRTIO_CONSOLE", "the agent's ports; --channel serial does without"],
  ["CONFIG_X86_MPPARSE", "the machine describes its interrupts by an MP table"],
];

const SERIAL: readonly Row[] = [
  ["CONFIG_SERIAL_8250_NR_UARTS", "the agent's serial port is the second one", 2],
  ["CONFIG_SERIAL_8250_RUNTIME_UARTS", "the agent's serial port is the second one", 2],
];

/** The release in which TTY became an option; before, terminals were always there. */
const TTY_SINCE = [3, 9] as const;

/**
 * The options that a kernel lacks and cannot be tested without.
 *
 * @param config its `.config`, as it came out of Kconfig
 */
export function missingOptions(config: KernelConfig, needed: NeededFor): NeededOption[] {
  const rows: Row[] = [...ALWAYS, ...needed.channel === "virtio" ? VIRTIO : SERIAL];
  if (needed.hasOwnPatch) rows.unshift(["CONFIG_CR_CHECKPOINT", "the code under test"]);
  if (!isOlder(needed.release, TTY_SINCE)) rows.push(["CONFIG_TTY", "the console is a serial port"]);
  if (needed.isElf) {
    rows.push(["CONFIG_PVH", "QEMU loads a vmlinux by its PVH entry; a bzImage does without"]);
  }
  if (needed.isCompat) rows.push(["CONFIG_IA32_EMULATION", "the target is a 32-bit program"]);
  return rows.flatMap(([name, reason, wanted = "y"]) => {
    const found = config.get(name) ?? "n";
    const isThere = wanted === "y" ? found === "y" : Number(found) >= wanted;
    return isThere ? [] : [{ name, wanted, reason, found }];
  });
}

/** Whether a release is older than a version; one that cannot be read is new. */
export function isOlder(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (first === undefined) return false;
  return Number(first) !== major ? Number(first) < major : Number(second) < minor;
}

/** The channel for a kernel: virtio where it has all that the ports need. */
export function channelFor(config: KernelConfig | undefined, release: string): GuestChannel {
  // 2.6.36 brought the ports with names.
  if (isOlder(release, [3, 0])) return "serial";
  if (!config) return "virtio";
  return VIRTIO.every(([name]) => config.get(name) === "y") ? "virtio" : "serial";
}

/** A line for people: which option, what it is for, what there is. */
export function neededText({ name, wanted, reason, found }: NeededOption): string {
  const want = wanted === "y" ? "y" : `${wanted} or more`;
  const have = found === "m" ? "m (there is nobody to load modules)" : found === "n" ? "not set" : found;
  return `${name}: expected ${want}, found ${have}: ${reason}`;
}
