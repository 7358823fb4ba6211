// SPDX-License-Identifier: MIT

import { abiOf, stackTop } from "../lib/abi/arch.ts";
import type { CompileTarget } from "../lib/model/model_state.ts";
import type { Scenario } from "../lib/model/scenario.ts";
import { AgentSession } from "../vm/agent_session.ts";
import { chooseAccelerator } from "../vm/accelerator.ts";
import { readElf } from "../vm/elf_file.ts";
import { buildGuest } from "../vm/guest/build_guest.ts";
import { cachedInitramfs, type InitramfsEntry, withParents } from "../vm/initramfs.ts";
import { cacheDirectory } from "../vm/cache_directory.ts";
import { buildKernel, type KernelBuild, planKernel } from "../vm/kernel/build_kernel.ts";
import type { KernelSource } from "../vm/kernel/kernel_source.ts";
import { findStored } from "../vm/kernel/kernel_store.ts";
import { slowdown } from "../vm/kernel/kernel_flavour.ts";
import type { OverlayEdit } from "../vm/kernel/kernel_overlay.ts";
import { type ClosureFile, programClosure } from "../vm/program_closure.ts";
import { startVirtualMachine } from "../vm/virtual_machine.ts";
import { UsageError } from "./exit_status.ts";
import type { Guest } from "./guest.ts";
import { kernelText } from "./kernel_source_option.ts";
import { type Platform } from "./platform.ts";
import { scenarioFiles } from "./scenario_files.ts";
import type { Terminal } from "./terminal.ts";
import { withLastWords } from "./triage/with_last_words.ts";
import { configOf, unmetNeed } from "./unmet_needs.ts";
import { VirtualGuest } from "./virtual_guest.ts";

/** Number of the checkpoint system call of our port, on both architectures. */
export const CHECKPOINT_NR = 390;

const MEMORY = 256 << 20;
/** The root file system takes half of the memory at most; gdb and its libraries are 85 MiB. */
const MEMORY_FOR_PROGRAMS = 512 << 20;
/** KASAN's shadow, the red zones of slabs, lockdep's tables and kmemleak's objects. */
const MEMORY_FOR_SHADOW = 512 << 20;

/** A kernel with everything that runs on it, ready to be booted again and again. */
export interface PreparedGuest {
  readonly platform: Platform;
  /** The kernel in words: its release, or the file that it was given as. */
  readonly kernelName: string;
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
  /** Programs of the host that must be in the guest, with their libraries. */
  readonly programs?: readonly string[];
  /** Edits that make the kernel wrong on purpose. */
  readonly mutate?: readonly OverlayEdit[];
  /** What is built; Debian's source of the platform's series by default. */
  readonly source?: KernelSource | undefined;
  readonly memoryMiB?: number | undefined;
  /** Kernel parameters beyond the usual ones. */
  readonly append?: readonly string[];
  /** A ready vmlinux (with a PVH entry) or bzImage, in place of our own build. */
  readonly kernelFile?: string | undefined;
}

/** Builds the kernel of a platform, with progress. */
export async function buildKernelFor(
  { name, kernel: arch, flavour, series }: Platform,
  terminal: Terminal,
  { mutate = [], source }: Pick<PrepareOptions, "mutate" | "source"> = {},
): Promise<KernelBuild> {
  const build = await buildKernel({
    arch,
    flavour,
    source: source ?? { kind: "debian", series },
    mutate,
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
export async function isKernelCached(
  { kernel: arch, flavour, series }: Platform,
  source: KernelSource = { kind: "debian", series },
): Promise<boolean> {
  const { key } = await planKernel({ arch, flavour, source });
  return await findStored(cacheDirectory(), key) !== undefined;
}

/** Builds or finds kernel, agent, target and initramfs of an architecture, and chooses the accelerator. */
export async function prepareGuest(platform: Platform, options: PrepareOptions): Promise<PreparedGuest> {
  const { terminal } = options;
  const { kernelFile } = options;
  const build = kernelFile === undefined ? await buildKernelFor(platform, terminal, options) : undefined;
  const kernel = build?.bootFile ?? kernelFile!;
  const config = await configOf(build ? { build } : { file: kernel });
  const { agent, target } = await guestPrograms(platform);
  const files = (await Promise.all((options.programs ?? []).map((name) => programClosure(name)))).flat();
  const initrd = await cachedInitramfs(await initramfsEntries(agent, target, files));
  const wanted = (options.scenarios ?? []).filter((scenario) => skipReason(scenario, platform) === undefined);
  const { filesOf, missing } = await scenarioFiles(wanted, platform, (message) => terminal.status(message));
  const { accelerator, reason } = await chooseAccelerator(
    options.accelerator === undefined ? {} : { accel: options.accelerator },
  ).catch((error) => {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  });
  const compileTarget: CompileTarget = {
    kernelWordSize: abiOf(platform.kernel).wordSize,
    targetWordSize: platform.target === "x86_64" ? 8 : 4,
    heapStart: await heapStartOf(target),
    stackTop: stackTop(platform.kernel, platform.target),
    checkpointNr: CHECKPOINT_NR,
    series: platform.series,
  };
  const memory = (filesOf.size + files.length > 0 ? MEMORY_FOR_PROGRAMS : MEMORY) +
    (platform.flavour === "debug" ? MEMORY_FOR_SHADOW : 0);
  return {
    platform,
    kernelName: build ? kernelText(build, options.source) : kernel,
    build,
    acceleratorReason: `${accelerator}: ${reason}`,
    hasSwap: true,
    checkpointNr: CHECKPOINT_NR,
    compileTarget,
    targetPath: "/target",
    filesOf,
    skipReason: (scenario) =>
      skipReason(scenario, platform) ?? unmetNeed(scenario, { platform, config }) ??
        missing.get(scenario.name),
    startGuest: async () => {
      const begin = performance.now();
      const machine = await startVirtualMachine({
        accelerator,
        kernel,
        initrd,
        memoryMiB: options.memoryMiB ?? memory >> 20,
        append: options.append ?? [],
        shares: wanted.some(writesToShare),
      });
      try {
        const session = await AgentSession.connect(machine, { slowdown: slowdown(platform.flavour) });
        if (platform.flavour !== "plain") {
          await session.mount({ type: "debugfs", source: "debugfs", directory: "/sys/kernel/debug" });
        }
        return new VirtualGuest(machine, session, performance.now() - begin);
      } catch (error) {
        const lost = await withLastWords(error, machine);
        await machine.close();
        throw lost;
      }
    },
  };
}

async function guestPrograms(platform: Platform): Promise<{ agent: string; target: string }> {
  const { agent, target, target32 } = await buildGuest(platform.kernel);
  const isCompat = platform.kernel === "x86_64" && platform.target === "i386";
  return { agent, target: isCompat ? target32 ?? target : target };
}

/** Where the heap of the target program starts: the end of what is loaded, on a page boundary. */
async function heapStartOf(target: string): Promise<bigint> {
  return (readElf(await Deno.readFile(target), target).loadEnd + 4095n) & ~4095n;
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
  return unmetNeed({ needs: { ...scenario.needs, config: [] } }, { platform, config: undefined });
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
