// SPDX-License-Identifier: MIT
import { isOlder } from "../../../lib/abi/series.ts";
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
  /** Whether an option must say that the code under test is there: not where its number is given. */
  readonly needsPatchOption: boolean;
}

/** An option without which no scenario can run. */
interface NeededOption {
  readonly name: string;
  /** `y`, `n`, or the least number. */
  readonly wanted: "y" | "n" | number;
  readonly reason: string;
  /** What the configuration has instead; `n` when it does not name it. */
  readonly found: string;
}

type Row = readonly [name: string, reason: string, wanted?: "y" | "n" | number];

const ALWAYS: readonly Row[] = [
  ["CONFIG_BLK_DEV_INITRD", "the agent comes in an initramfs"],
  ["CONFIG_BINFMT_ELF", "agent and target are ELF programs"],
  ["CONFIG_PRINTK", "the kernel log is read"],
  ["CONFIG_TTY", "the console is a serial port"],
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

const ELSEWHERE = "stack and mappings of a 32-bit program lie elsewhere than the model has them";

/** What makes images and /proc other than the model has them. */
const UNWANTED: readonly Row[] = [
  ["CONFIG_VMSPLIT_3G_OPT", ELSEWHERE, "n"],
  ["CONFIG_VMSPLIT_2G", ELSEWHERE, "n"],
  ["CONFIG_VMSPLIT_2G_OPT", ELSEWHERE, "n"],
  ["CONFIG_VMSPLIT_1G", ELSEWHERE, "n"],
];

/** The name of the project's own option, and the one of the code as posted in 2008. */
const PATCH_OPTIONS = ["CONFIG_CR_CHECKPOINT", "CONFIG_CHECKPOINT_RESTART"] as const;
const PATCH: Row = [
  PATCH_OPTIONS[0],
  `the code under test (${
    PATCH_OPTIONS[1]
  } in 2008). --syscall NR tests a kernel without the option by the number ` +
  "of its call: the i386 code of 2008 had 333",
];

/** Options by the release that made a choice of them: before it, what they stand for was always there. */
const OPTIONAL_SINCE: Readonly<Record<string, string>> = {
  CONFIG_TTY: "3.9",
  CONFIG_X86_16BIT: "3.16",
  CONFIG_DEVMEM: "4.0",
  CONFIG_MODIFY_LDT_SYSCALL: "4.3",
};

/** What a kernel has of an option: its value, `n` without it; undefined where nobody knows. */
export function optionOf(
  name: string,
  { config, release }: { config: KernelConfig | undefined; release: string },
): string | undefined {
  const found = config?.get(name);
  if (found !== undefined) return found;
  const since = OPTIONAL_SINCE[name];
  if (since !== undefined && isOlder(release, since)) return "y";
  return config ? "n" : undefined;
}

/**
 * The options that a kernel lacks and cannot be tested without, and those that it cannot be tested with.
 *
 * @param config its `.config`, as it came out of Kconfig
 */
export function missingOptions(config: KernelConfig, needed: NeededFor): NeededOption[] {
  const rows: Row[] = [...ALWAYS, ...UNWANTED, ...needed.channel === "virtio" ? VIRTIO : SERIAL];
  if (needed.needsPatchOption && !PATCH_OPTIONS.some((name) => config.get(name) === "y")) rows.unshift(PATCH);
  if (needed.isElf) {
    rows.push(["CONFIG_PVH", "QEMU loads a vmlinux by its PVH entry; a bzImage does without"]);
  }
  if (needed.isCompat) rows.push(["CONFIG_IA32_EMULATION", "the target is a 32-bit program"]);
  return rows.flatMap(([name, reason, wanted = "y"]) => {
    const found = optionOf(name, { config, release: needed.release })!;
    const isAsWanted = typeof wanted === "number" ? Number(found) >= wanted : found === wanted;
    return isAsWanted ? [] : [{ name, wanted, reason, found }];
  });
}

/** The channel for a kernel: virtio where it has all that the ports need. */
export function channelFor(config: KernelConfig | undefined, release: string): GuestChannel {
  // 2.6.36 brought the ports with names.
  if (isOlder(release, "2.6.36")) return "serial";
  if (!config) return "virtio";
  return VIRTIO.every(([name]) => config.get(name) === "y") ? "virtio" : "serial";
}

/** A line for people: which option, what it is for, what there is. */
export function neededText({ name, wanted, reason, found }: NeededOption): string {
  const want = typeof wanted === "number" ? `${wanted} or more` : wanted === "n" ? "not set" : wanted;
  const have = found === "m" ? "m (there is nobody to load modules)" : found === "n" ? "not set" : found;
  return `${name}: expected ${want}, found ${have}: ${reason}`;
}
