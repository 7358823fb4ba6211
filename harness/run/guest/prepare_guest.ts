// SPDX-License-Identifier: MIT

import type { Dialect } from "../../../lib/abi/dialect.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { selfSkipReason } from "../../../lib/model/self_scenario.ts";
import { chooseAccelerator } from "../../../vm/qemu/accelerator.ts";
import { cachedInitramfs, type InitramfsEntry, withParents } from "../../../vm/initramfs/initramfs.ts";
import type { ClosureFile } from "../../../vm/initramfs/program_closure.ts";
import type { KernelBuild } from "../../../vm/kernel/build/build_kernel.ts";
import { PORT_NUMBERS, type SyscallNumbers } from "../../../vm/kernel/syscall_numbers.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import type { Terminal } from "../../report/terminal.ts";
import { type Platform } from "../platform.ts";
import { scenarioFiles } from "../scenario_files.ts";
import { configAt, unmetNeed } from "../unmet_needs.ts";
import type { Guest } from "./guest.ts";
import { compileTargetOf, guestPrograms } from "./guest_programs.ts";
import { kernelText } from "./kernel_build_line.ts";
import { buildKernelFor, type BuildRequest } from "./platform_kernel.ts";
import { type KernelAnswer, type KernelQuestion, probeKernel } from "./probe_kernel.ts";
import { examineKernelFile, modelSeries } from "./user_kernel.ts";
import { startVirtualGuest } from "./virtual_guest.ts";

const MEMORY = 256 << 20;
/** The root file system takes half of the memory at most; gdb and its libraries are 85 MiB. */
const MEMORY_FOR_PROGRAMS = 512 << 20;
/** KASAN's shadow, the red zones of slabs, lockdep's tables and kmemleak's objects. */
const MEMORY_FOR_SHADOW = 512 << 20;

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
export interface PrepareOptions extends BuildRequest {
  readonly terminal: Terminal;
  readonly accelerator?: string | undefined;
  /** Scenarios that will run. */
  readonly scenarios?: readonly Scenario[];
  /** Files of the host that must be in the guest. */
  readonly files?: readonly ClosureFile[];
  readonly memoryMiB?: number | undefined;
  /** Kernel parameters beyond the usual ones. */
  readonly append?: readonly string[];
  /** Numbers of the system call; found out by default. */
  readonly syscall?: SyscallNumbers | undefined;
  /** Whether tasks can only checkpoint themselves. */
  readonly self?: boolean;
  /** By whose rules images are judged; by default as their head says, where the kernel is not the project's. */
  readonly dialect?: Dialect | undefined;
  /** A ready vmlinux (with a PVH entry) or bzImage, in place of our own build. */
  readonly kernelFile?: string | undefined;
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
  const compileTarget = await compileTargetOf(platform);
  const targetOf = (numbers: SyscallNumbers) => ({
    ...compileTarget,
    checkpointNr: numbers[platform.target],
  });
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
    checkpointNr: numbers[platform.kernel === "x86_64" ? "x86_64" : "i386"],
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
