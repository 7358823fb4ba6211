// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { cacheDirectory } from "../host/own_directories.ts";
import { findTool, MissingToolError } from "../host/find_tool.ts";
import { type Accelerator, defaultCpu, QEMU_PROGRAM } from "./qemu_arguments.ts";
import { type CommandResult, runCommand } from "../host/run_command.ts";
import { ExpectedError } from "../host/errors.ts";
import { writeJson } from "../host/write_whole.ts";
import { makeTempDirectory } from "../host/temp_directory.ts";

/** The accelerator to use, and why, in a sentence for the user. */
export interface AcceleratorChoice {
  accelerator: Accelerator;
  reason: string;
}

interface AcceleratorOptions {
  /** What the user asked for; `auto` by default. */
  accel?: "auto" | Accelerator | undefined;
  /** Time that the probe has, in milliseconds. A working KVM needs a tenth of a second. */
  deadlineMs?: number;
  cacheDir?: string;
  program?: string;
  device?: string;
}

/**
 * Guest code for the probe: real mode, protected mode, paging on, some memory traffic, CPUID, then 0x10 to
 * the port of `isa-debug-exit`. It lies at the end of the ROM; the reset vector 16 bytes before the end jumps
 * to its start. A /dev/kvm that only accepts its ioctls does not get through this.
 */
const PROBE_CODE = Uint8Array.fromHex(
  // cli; lgdt cs:[0xff88]; cr0 |= 1; jump to 0x08:0xffffff18
  "fa2e660f011688ff" + "0f20c00c010f22c0" + "66ea18ffffff0800" +
    // ds = es = ss = 0x10; page directory at 0x1000: the first and the last 4 MiB, each mapped to itself
    "66b810008ed88ec08ed0" + "c7050010000083000000" + "c705fc1f00008300c0ff" +
    // cr4 |= PSE; cr3 = 0x1000; cr0 |= PG; jump to the next instruction
    "0f20e00c100f22e0" + "b8001000000f22d8" + "0f20c00d000000800f22c0" + "eb00" +
    // ecx = 0x20000; do [0x2000] += ecx; while (--ecx)
    "b900000200" + "010d00200000" + "e2f8" +
    // cpuid 0; out 0xf4, 0x10; hlt for ever
    "31c00fa2" + "b010e6f4" + "f4ebfd",
);
/** Offset of the descriptor table from the start of the code. */
const GDT_OFFSET = 0x70;
/** Null, flat code, flat data; then limit and address for `lgdt`. */
const GDT = Uint8Array.fromHex(
  "0000000000000000" + "ffff0000009acf00" + "ffff00000092cf00" + "170070ffffff",
);
/** `jmp` from the reset vector to the start of the code. */
const RESET_VECTOR = Uint8Array.fromHex("e90dff");
const CODE_LENGTH = 256;
const ROM_LENGTH = 64 * 1024;
/** isa-debug-exit ends QEMU with twice the value plus one. */
const PROBE_STATUS = 0x10 * 2 + 1;

/** The ROM that the probe runs instead of firmware. Pure. */
export function probeRom(): Uint8Array<ArrayBuffer> {
  const rom = new Uint8Array(ROM_LENGTH).fill(0xf4);
  const start = ROM_LENGTH - CODE_LENGTH;
  rom.set(PROBE_CODE, start);
  rom.set(GDT, start + GDT_OFFSET);
  rom.set(RESET_VECTOR, ROM_LENGTH - 16);
  return rom;
}

/**
 * Chooses between KVM and TCG. KVM is taken only if a guest ran under it just now, or earlier since this
 * machine booted: the device can be there, open, answer every ioctl, and never run a guest. A hung probe is
 * killed.
 *
 * @throws {ExpectedError} when KVM was asked for and runs no guests
 * @throws {MissingToolError} when QEMU is not installed.
 */
export async function chooseAccelerator(options: AcceleratorOptions = {}): Promise<AcceleratorChoice> {
  if (options.accel === "tcg") return { accelerator: "tcg", reason: "as asked for" };
  const choice = await probeKvm(options);
  if (options.accel === "kvm" && choice.accelerator !== "kvm") {
    throw new ExpectedError(`option --accel kvm: ${choice.reason}`);
  }
  return choice;
}

async function probeKvm(options: AcceleratorOptions): Promise<AcceleratorChoice> {
  const { program = QEMU_PROGRAM, device = "/dev/kvm", deadlineMs = 2000 } = options;
  const path = await findTool(program);
  if (path === undefined) throw new MissingToolError([program]);
  const key = await situation(path, device);
  if (key === undefined) return { accelerator: "tcg", reason: `there is no ${device}` };
  const { cacheDir = cacheDirectory() } = options;
  const cachePath = join(cacheDir, "kvm_probe.json");
  const cached = await readCached(cachePath, key);
  // Who asks for KVM may have mended it.
  if (cached && (cached.accelerator === "kvm" || options.accel !== "kvm")) return cached;
  const problem = await runProbe(path, "kvm", deadlineMs);
  const choice: AcceleratorChoice = problem === undefined
    ? { accelerator: "kvm", reason: "a guest ran under KVM" }
    : { accelerator: "tcg", reason: `KVM does not run guests here: ${problem}` };
  // Without it the next run probes again.
  await Deno.mkdir(cacheDir, { recursive: true }).then(() => writeJson(cachePath, { key, ...choice })).catch(
    () => {},
  );
  return choice;
}

/**
 * Runs the probe's guest code under an accelerator.
 *
 * @returns what went wrong, or undefined when the guest ran.
 */
export async function runProbe(
  program: string,
  accelerator: Accelerator,
  deadlineMs: number,
): Promise<string | undefined> {
  const directory = await makeTempDirectory("ckptest-probe-");
  try {
    const rom = join(directory, "rom");
    await Deno.writeFile(rom, probeRom());
    const signal = AbortSignal.timeout(deadlineMs);
    const result = await runCommand([
      "setpriv",
      ...["--pdeathsig", "KILL", program],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-machine", "microvm,acpi=off", "-accel", accelerator, "-cpu", defaultCpu(accelerator), "-m", "16"],
      ...["-bios", rom, "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    ], { signal });
    return judge(result, signal.aborted, deadlineMs);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function judge(
  { code, signal, lines }: CommandResult,
  killed: boolean,
  deadlineMs: number,
): string | undefined {
  if (killed) return `the probe hung and was killed after ${deadlineMs / 1000} s`;
  if (code === PROBE_STATUS) return undefined;
  const ending = signal === null ? `exit status ${code}` : signal;
  const said = lines.find((line) => line.trim() !== "");
  return `a guest that should have ended QEMU with exit status ${PROBE_STATUS} ended it with ${ending}` +
    (said === undefined ? "" : `: ${said.trim()}`);
}

/**
 * What the answer depends on: this boot of the machine, the device, the QEMU program. Undefined when there is
 * no such device. By tools, since Deno keeps /proc and /dev from programs without all permissions.
 */
async function situation(program: string, device: string): Promise<string | undefined> {
  const boot = await runCommand(["cat", "/proc/sys/kernel/random/boot_id"]);
  const node = await runCommand(["stat", "--format=%i %t:%T %a %u:%g", device]);
  if (node.code !== 0) return undefined;
  const { mtime } = await Deno.stat(program);
  return JSON.stringify([...boot.lines, ...node.lines, program, mtime?.getTime()]);
}

async function readCached(path: string, key: string): Promise<AcceleratorChoice | undefined> {
  try {
    const cached = JSON.parse(await Deno.readTextFile(path)) as AcceleratorChoice & { key: string };
    return cached.key === key ? { accelerator: cached.accelerator, reason: cached.reason } : undefined;
  } catch {
    // Absent or damaged: the probe is cheap.
    return undefined;
  }
}
