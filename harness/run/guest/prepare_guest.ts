// SPDX-License-Identifier: MIT

import { abiOf, PAGE_SIZE_BIG, stackTop } from "../../../lib/abi/arch.ts";
import type { Dialect } from "../../../lib/abi/dialect.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { AgentSession, BOOT_DEADLINE_MS, type GuestLink } from "../../../vm/agent/agent_session.ts";
import { chooseAccelerator } from "../../../vm/qemu/accelerator.ts";
import { readElf } from "../../../vm/initramfs/elf_file.ts";
import { buildGuest } from "../../../vm/initramfs/build_guest.ts";
import { SerialLine } from "../../../vm/agent/serial_line.ts";
import { cachedInitramfs, type InitramfsEntry, withParents } from "../../../vm/initramfs/initramfs.ts";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import {
  buildKernel,
  type KernelBuild,
  type KernelBuildOptions,
  planKernel,
} from "../../../vm/kernel/build/build_kernel.ts";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";
import { findStored } from "../../../vm/kernel/kernel_store.ts";
import { PORT_NUMBERS, type SyscallNumbers } from "../../../vm/kernel/syscall_numbers.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import { slowdown } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { OverlayEdit } from "../../../vm/kernel/source/kernel_overlay.ts";
import type { ClosureFile } from "../../../vm/initramfs/program_closure.ts";
import type { GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import {
  startVirtualMachine,
  type VirtualMachine,
  type VirtualMachineOptions,
} from "../../../vm/qemu/virtual_machine.ts";
import type { Guest } from "./guest.ts";
import { kernelText } from "./kernel_build_line.ts";
import { examineKernelFile, modelSeries } from "./user_kernel.ts";
import { type Platform } from "../platform.ts";
import { type KernelAnswer, type KernelQuestion, probeKernel } from "./probe_kernel.ts";
import { scenarioFiles } from "../scenario_files.ts";
import type { Terminal } from "../../report/terminal.ts";
import { selfSkipReason } from "../../../lib/model/self_scenario.ts";
import { withLastWords } from "../../triage/with_last_words.ts";
import { configAt, unmetNeed } from "../unmet_needs.ts";
import { VirtualGuest } from "./virtual_guest.ts";

const MEMORY = 256 << 20;
/** The root file system takes half of the memory at most; gdb and its libraries are 85 MiB. */
const MEMORY_FOR_PROGRAMS = 512 << 20;
/** KASAN's shadow, the red zones of slabs, lockdep's tables and kmemleak's objects. */
const MEMORY_FOR_SHADOW = 512 << 20;

/** A plain kernel boots in less: after it the user is told what is waited for. */
const SLOW_BOOT_MS = 3000;

/** How many times longer everything but the boot may take over a serial line: it carries some 100 KiB a second. */
const SERIAL_SLOWDOWN = 30;

/** Behind the error for a guest that says nothing. */
const NO_CONFIG_HINT =
  "\nhint: this kernel came without its configuration; where it has no virtio ports built in, " +
  "--channel serial reaches the agent";

/** A kernel with everything that runs on it, ready to be booted again and again. */
export interface PreparedGuest {
  readonly platform: Platform;
  /** The kernel in words: its release, or the file that it was given as. */
  readonly kernelName: string;
  /** What the user should know of it, a sentence each. */
  readonly notes: readonly string[];
  /** Whether every stop is a checkpoint of the target by itself. */
  readonly self: boolean;
  /** What was built; undefined for a kernel that was given as a file. */
  readonly build: KernelBuild | undefined;
  readonly acceleratorReason: string;
  /** Whether scenarios can have a swap device. */
  readonly hasSwap: boolean;
  readonly checkpointNr: number;
  /** What scenarios are compiled for. */
  readonly compileTarget: CompileTarget;
  /** Path of the target in the guest. */
  readonly targetPath: string;
  /** By the name of a scenario, the host's files that must be in the guest before it runs. */
  readonly filesOf: ReadonlyMap<string, readonly ClosureFile[]>;
  readonly skipReason: (scenario: Scenario) => string | undefined;
  readonly startGuest: () => Promise<Guest>;
}

/** How {@linkcode prepareGuest} is called. */
export interface PrepareOptions {
  readonly terminal: Terminal;
  readonly accelerator?: string | undefined;
  /** Scenarios that will run. */
  readonly scenarios?: readonly Scenario[];
  /** Files of the host that must be in the guest. */
  readonly files?: readonly ClosureFile[];
  /** Edits that make the kernel wrong on purpose. */
  readonly mutate?: readonly OverlayEdit[];
  /** What is built; Debian's source of the platform's series by default. */
  readonly source?: KernelSource | undefined;
  readonly memoryMiB?: number | undefined;
  /** Kernel parameters beyond the usual ones. */
  readonly append?: readonly string[];
  /** How the agent is reached; by default as a ready kernel's configuration wants it, else `virtio`. */
  readonly channel?: GuestChannel | undefined;
  /** A whole `.config` for what is built, in place of ours. */
  readonly configFile?: string | undefined;
  /** Numbers of the system call; found out by default. */
  readonly syscall?: SyscallNumbers | undefined;
  /** Whether tasks can only checkpoint themselves. */
  readonly self?: boolean;
  /** By whose rules images are judged; by default as their head says, where the kernel is not the project's. */
  readonly dialect?: Dialect | undefined;
  /** A ready vmlinux (with a PVH entry) or bzImage, in place of our own build. */
  readonly kernelFile?: string | undefined;
}

/** What is built. */
export type BuildRequest = Pick<PrepareOptions, "mutate" | "source" | "channel" | "configFile">;

/** Builds the kernel of a platform, with progress. */
export async function buildKernelFor(
  platform: Platform,
  terminal: Terminal,
  request: BuildRequest = {},
): Promise<KernelBuild> {
  const { name } = platform;
  const build = await buildKernel({
    ...buildOptions(platform, request),
    onProgress: ({ stage, message, seconds }) =>
      terminal.status(
        `${name}: kernel, ${stage}: ${message} (${seconds.toFixed(0)} s)`,
        `${name}: kernel, ${stage}`,
      ),
  });
  terminal.clearStatus();
  return build;
}

/** Whether the kernel of a platform need not be built. */
export async function isKernelCached(platform: Platform, request: BuildRequest = {}): Promise<boolean> {
  const { key } = await planKernel(buildOptions(platform, request));
  return await findStored(cacheDirectory(), key) !== undefined;
}

function buildOptions(
  { kernel: arch, target, flavour, series }: Platform,
  { mutate = [], source, channel = "virtio", configFile }: BuildRequest,
): KernelBuildOptions {
  return {
    arch,
    flavour,
    source: source ?? { kind: "debian", series },
    mutate,
    moreFragments: channel === "serial" ? ["serial"] : [],
    configFile,
    bootedAs: { channel, isCompat: arch === "x86_64" && target === "i386" },
  };
}

/** Builds or finds kernel, agent, target and initramfs of an architecture, and chooses the accelerator. */
export async function prepareGuest(named: Platform, options: PrepareOptions): Promise<PreparedGuest> {
  const { terminal, self = false } = options;
  const user = options.kernelFile === undefined ? undefined : await examineKernelFile({
    path: options.kernelFile,
    platform: named,
    channel: options.channel,
    hasNumber: options.syscall !== undefined,
  });
  const build = user ? undefined : await buildKernelFor(named, terminal, options);
  const built = build && modelSeries(build.info.release);
  const release = user?.release ?? build!.info.release;
  const platform = user?.platform ?? (built ? { ...named, series: built.series } : named);
  const channel = user?.channel ?? options.channel ?? "virtio";
  const kernel = build?.bootFile ?? options.kernelFile!;
  const config = user ? user.config : await configAt(build!.config);
  const { agent, target } = await guestPrograms(platform);
  const initrd = await cachedInitramfs(await initramfsEntries(agent, target, options.files ?? []));
  const wanted = (options.scenarios ?? []).filter((scenario) => skipReason(scenario, platform) === undefined);
  const { filesOf, missing } = await scenarioFiles(wanted, platform, (message) => terminal.status(message));
  const { accelerator, reason } = await chooseAccelerator(
    options.accelerator === undefined ? {} : { accel: options.accelerator },
  );
  const memory = (filesOf.size + (options.files?.length ?? 0) > 0 ? MEMORY_FOR_PROGRAMS : MEMORY) +
    (platform.flavour === "debug" ? MEMORY_FOR_SHADOW : 0);
  const startGuest = () =>
    startVirtualGuest(platform, terminal, {
      accelerator,
      kernel,
      initrd,
      memoryMiB: options.memoryMiB ?? memory >> 20,
      append: options.append ?? [],
      channel,
      // A machine with a serial line has no place for the device.
      shares: channel === "virtio" && wanted.some(writesToShare),
    });
  const targetOf = (numbers: SyscallNumbers): CompileTarget => ({
    kernelWordSize: abiOf(platform.kernel).wordSize,
    targetWordSize: platform.target === "x86_64" ? 8 : 4,
    heapStart,
    stackTop: stackTop(platform.kernel, platform.target),
    checkpointNr: numbers[platform.target],
    series: platform.series,
  });
  const heapStart = await heapStartOf(target);
  const syscall = options.syscall ?? build?.info.syscalls;
  const isKnown = build !== undefined && !(self && options.source?.kind === "directory");
  const { numbers, dialect, notes } = isKnown
    ? { numbers: syscall ?? PORT_NUMBERS, dialect: options.dialect ?? "port", notes: [] }
    : await askKernel(startGuest, { syscall, dialect: options.dialect, targetOf, self }).catch((error) => {
      const isGuessed = config === undefined && options.channel === undefined && channel === "virtio";
      if (isGuessed && error instanceof GuestLostError) error.message += NO_CONFIG_HINT;
      throw error;
    });
  return {
    platform,
    kernelName: build ? kernelText(build, options.source) : `Linux ${user!.release} (${kernel})`,
    notes: [...user?.notes ?? [], ...built?.note === undefined ? [] : [built.note], ...notes],
    self,
    build,
    acceleratorReason: `${accelerator}: ${reason}`,
    hasSwap: true,
    checkpointNr: numbers[agentArch(platform)],
    compileTarget: { ...targetOf(numbers), dialect },
    targetPath: "/target",
    filesOf,
    skipReason: (scenario) =>
      unmetNeed(scenario, { platform, config, release }) ?? missing.get(scenario.name) ??
        (self ? selfSkipReason(scenario) : undefined),
    startGuest,
  };
}

async function askKernel(startGuest: () => Promise<Guest>, question: KernelQuestion): Promise<KernelAnswer> {
  await using guest = await startGuest();
  return await probeKernel(guest.agent, question);
}

/** Starts a guest, and waits for its agent. */
async function startVirtualGuest(
  { name, flavour }: Platform,
  terminal: Terminal,
  machineOptions: VirtualMachineOptions & { channel: GuestChannel },
): Promise<Guest> {
  const { channel } = machineOptions;
  const begin = performance.now();
  const machine = await startVirtualMachine(machineOptions);
  const bootDeadlineMs = BOOT_DEADLINE_MS * slowdown(flavour);
  const notice = setTimeout(() => {
    const limit = `${bootDeadlineMs / 1000} s at most`;
    terminal.status(
      `${name}: the kernel boots; waiting for the hello of its agent over ${channel} (${limit})`,
    );
  }, SLOW_BOOT_MS);
  try {
    const session = await AgentSession.connect(linkOf(machine, channel), {
      bootDeadlineMs,
      slowdown: slowdown(flavour) * (channel === "serial" ? SERIAL_SLOWDOWN : 1),
    });
    if (flavour !== "plain") {
      await session.mount({ type: "debugfs", source: "debugfs", directory: "/sys/kernel/debug" });
    }
    return new VirtualGuest(machine, session, performance.now() - begin);
  } catch (error) {
    const lost = await withLastWords(error, machine);
    await machine.close();
    throw lost;
  } finally {
    clearTimeout(notice);
  }
}

function agentArch({ kernel }: Platform): keyof SyscallNumbers {
  return kernel === "x86_64" ? "x86_64" : "i386";
}

/** What an agent is talked to through: the guest's two ports, or two channels on its serial line. */
function linkOf(machine: VirtualMachine, channel: GuestChannel): GuestLink {
  if (channel === "virtio") return machine;
  const { control, data } = new SerialLine(machine.control);
  return {
    control,
    data,
    waitFor: (wait, work) => machine.waitFor(wait, work),
    lost: (reason, awaited, detail) => machine.lost(reason, awaited, detail),
  };
}

async function guestPrograms(platform: Platform): Promise<{ agent: string; target: string }> {
  const { agent, target, target32 } = await buildGuest(platform.kernel);
  const isCompat = platform.kernel === "x86_64" && platform.target === "i386";
  return { agent, target: isCompat ? target32 ?? target : target };
}

/** Where the heap of the target program starts: the end of what is loaded, on a page boundary. */
async function heapStartOf(target: string): Promise<bigint> {
  return (readElf(await Deno.readFile(target), target).loadEnd + PAGE_SIZE_BIG - 1n) & -PAGE_SIZE_BIG;
}

/** Where the heap of a platform's target program starts. */
export async function targetHeapStart(platform: Platform): Promise<bigint> {
  return await heapStartOf((await guestPrograms(platform)).target);
}

/** Whether an image of a scenario goes to a directory that guest and host share. */
function writesToShare({ steps = [] }: Scenario): boolean {
  return steps.some((step) => step.op === "stop" && step.to?.mount === "9p");
}

function skipReason(scenario: Scenario, platform: Platform): string | undefined {
  return unmetNeed(scenario, { platform, config: undefined, release: undefined });
}

async function initramfsEntries(
  agent: string,
  target: string,
  programs: readonly ClosureFile[],
): Promise<InitramfsEntry[]> {
  const files = new Map<string, string>([["/init", agent], ["/target", target]]);
  for (const { path, source } of programs) files.set(path, source);
  const entries: InitramfsEntry[] = ["/dev", "/proc", "/sys", "/run", "/work", "/tmp"].map((path) => ({
    kind: "directory",
    path,
  }));
  for (const [path, source] of files) {
    entries.push({ kind: "file", path, mode: 0o755, data: await Deno.readFile(source) });
  }
  return withParents(entries);
}
