// SPDX-License-Identifier: MIT

import { POSTED_SERIES } from "../../../lib/abi/series.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import { type Scenario, selfSkipReason } from "../../../lib/model/scenario.ts";
import { cachedInitramfs, type InitramfsEntry } from "../../../vm/initramfs/initramfs.ts";
import { untilInterrupted, UsageError } from "../../../vm/host/errors.ts";
import type { ClosureFile } from "../../../vm/initramfs/program_closure.ts";
import type { KernelBuild } from "../../../vm/kernel/build/build_kernel.ts";
import { FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { PORT_NUMBERS, type SyscallNumbers } from "../../../vm/kernel/syscall_numbers.ts";
import { beginRecording } from "../../../vm/qemu/recording.ts";
import { defaultCpu, QEMU_PROGRAM, QEMU_PROGRAM_32 } from "../../../vm/qemu/qemu_arguments.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import { compileCatalogue, type CompiledCatalogue, configAt, unmetNeed } from "../catalogue.ts";
import type { Platform } from "../platform.ts";
import type { Guest } from "./guest.ts";
import { GuestSnapshots } from "./guest_snapshots.ts";
import { guestPrograms, OTHER_TARGET } from "./guest_programs.ts";
import { buildKernelFor, kernelText } from "./platform_kernel.ts";
import { type GuestPlan, type GuestRequest, planGuest } from "./plan_guest.ts";
import { type KernelAnswer, type KernelQuestion, probeKernel } from "./probe_kernel.ts";
import { uncountedReason, writesToShare } from "./recordable.ts";
import { scenarioFiles } from "./scenario_files.ts";
import { modelSeries } from "./user_kernel.ts";
import { SCENARIO_MEMORY_MIB, startVirtualGuest, type VirtualGuestOptions } from "./virtual_guest.ts";

/** The root file system takes half of the memory at most; gdb and its libraries are 85 MiB. */
const MEMORY_FOR_PROGRAMS = 512 << 20;
/** KASAN's shadow, the red zones of slabs, lockdep's tables and kmemleak's objects; huge pages (hugepage_init). */
const MORE_MEMORY = 512 << 20;

/** Behind the error for a kernel whose agent was not heard of. */
const NO_PORTS_HINT =
  "\nhint: this kernel came without its configuration; where it has no virtio ports built in, " +
  "--channel serial reaches the agent";
const NO_CONSOLE_HINT = "\nhint: this kernel said nothing: its console is the first serial port, " +
  "CONFIG_SERIAL_8250_CONSOLE=y; is it of the platform that --arch names?";

/** A kernel with everything that runs on it, ready to be booted again and again. */
export interface PreparedGuest {
  readonly platform: Platform;
  /** The kernel in words: its release, or the file that it was given as. */
  readonly kernelName: string;
  /** What the user should know of it, a sentence each. */
  readonly notes: readonly string[];
  readonly self: boolean;
  /** What was built; undefined for a kernel that was given as a file. */
  readonly build: KernelBuild | undefined;
  /** With symbols; undefined for a kernel that was given as a file and has none. */
  readonly vmlinux: string | undefined;
  readonly acceleratorReason: string;
  readonly checkpointNr: number;
  /** The revision of its images, where the kernel was asked. */
  readonly revision: number | undefined;
  readonly compileTarget: CompileTarget;
  /** The scenarios that were compiled for it before. */
  readonly compiled: CompiledCatalogue;
  /** By the name of a scenario, the host's files that must be in the guest before it runs. */
  readonly filesOf: ReadonlyMap<string, readonly ClosureFile[]>;
  readonly skipReason: (scenario: Scenario) => string | undefined;
  /** @param append kernel parameters of this guest, beside those of all */
  readonly startGuest: (append?: readonly string[]) => Promise<Guest>;
  /** Starts one that is recorded, in a directory below that one; undefined where QEMU cannot. */
  readonly startRecorded?: ((parent: string) => Promise<Guest>) | undefined;
  /** Fresh guests sooner than by `startGuest`, where they can be had; to be disposed of. */
  readonly snapshots: GuestSnapshots | undefined;
  /** Ends every guest. */
  readonly signal: AbortSignal | undefined;
}

/** Plans a guest and prepares it at once: for callers that need one guest alone. */
export async function prepareGuest(platform: Platform, request: GuestRequest): Promise<PreparedGuest> {
  return await preparePlanned(await planGuest(platform, request));
}

/** Builds or finds kernel, agent, target and initramfs of a guest that was planned. */
export async function preparePlanned(plan: GuestPlan): Promise<PreparedGuest> {
  const { request, userKernel: user, accelerator: { accelerator, reason } } = plan;
  const { terminal, scenarios = [], hostFiles = false, self = false, signal } = request;
  const build = user
    ? undefined
    : await untilInterrupted(signal, buildKernelFor(plan.platform, terminal, request));
  const release = user?.release ?? build!.info.release;
  const model = modelSeries(release);
  const platform = { ...plan.platform, series: model.series };
  const channel = user?.channel ?? request.channel ?? "virtio";
  if (channel === "serial" && hostFiles) {
    throw new UsageError("programs of this host need virtio in the guest, which this kernel has not");
  }
  const kernel = build?.bootFile ?? request.kernelFile!;
  const config = user ? user.config : await configAt(build!.config);
  if (request.cpus !== undefined && request.cpus > 1 && config && config.get("CONFIG_SMP") !== "y") {
    throw new UsageError(
      "option --cpus: this kernel has no CONFIG_SMP; --arch x86_64-smp has, or --kconfig-add",
    );
  }
  const initrd = await cachedInitramfs(await initramfsEntries(await guestPrograms(platform)));
  const known = { platform, config: undefined, release: undefined };
  const wanted = scenarios.filter((scenario) => unmetNeed(scenario, known) === undefined);
  const found = scenarioFiles(wanted, platform, (message) => terminal.status(message));
  const { filesOf, missing } = await untilInterrupted(signal, found);
  const memory = (filesOf.size > 0 || hostFiles ? MEMORY_FOR_PROGRAMS : SCENARIO_MEMORY_MIB << 20) +
    (FLAVOURS[platform.flavour].needsMoreMemory ? MORE_MEMORY : 0);
  const { isDeterministic = false } = request;
  const vmlinux = build?.vmlinux ?? user?.vmlinux;
  const start = async (
    append: readonly string[],
    more: Partial<VirtualGuestOptions>,
    record: string | undefined = request.record,
  ) => {
    const isForGdb = request.takesGdb === true || record !== undefined;
    const machine = {
      accelerator,
      kernel,
      initrd,
      memoryMiB: request.memoryMiB ?? memory >> 20,
      cpus: request.cpus ?? FLAVOURS[platform.flavour].processors,
      append: [
        ...FLAVOURS[platform.flavour].parameters,
        ...isForGdb ? ["nokaslr"] : [],
        ...request.append ?? [],
        ...append,
      ],
      cpu: [defaultCpu(accelerator), platform.cpu ?? []].flat().join(),
      hostFiles,
      channel,
      ...vmlinux === undefined ? {} : { vmlinux },
      takesGdb: request.takesGdb === true || isDeterministic,
      isDeterministic,
      // gdb does not take a 32-bit kernel on the QEMU that runs all.
      program: isForGdb && platform.kernel !== "x86_64" ? QEMU_PROGRAM_32 : QEMU_PROGRAM,
      hasTerminal: channel === "virtio" && request.hasTerminal === true,
      // A machine with a serial line has no place for the device.
      shares: channel === "virtio" && wanted.some(writesToShare),
    } as const;
    const replay = record && await beginRecording(record, { ...machine, target: platform.target });
    return await startVirtualGuest(platform, { terminal, signal }, {
      ...{ ...more, ...machine },
      ...replay && { replay },
    });
  };
  const startGuest = async (append: readonly string[] = []) => {
    const guest = await start(append, {});
    const { recording } = guest;
    if (recording) guest.ended.then(() => terminal.note(`recorded: ckptest replay ${recording}`));
    return guest;
  };
  const isPlain = !request.takesGdb && !isDeterministic && request.record === undefined;
  const isCounted = uncountedReason({ platform, cpus: request.cpus, accelerator, channel }) === undefined;
  const targetOf = (numbers: SyscallNumbers) => ({
    ...plan.target,
    series: platform.series,
    checkpointNr: numbers[platform.target],
  });
  const syscall = request.syscall ?? build?.info.syscalls;
  const isKnown = build !== undefined && !(self && request.source?.kind === "directory");
  const isGuessed = !config && !request.channel && channel === "virtio";
  const { numbers, dialect, revision, notes }: KernelAnswer = isKnown
    ? { numbers: syscall ?? PORT_NUMBERS, dialect: request.dialect ?? "port", notes: [] }
    : await askKernel(startGuest, { syscall, dialect: request.dialect, targetOf, self }, isGuessed);
  const series = dialect === "v11" ? POSTED_SERIES : platform.series;
  const compileTarget = { ...targetOf(numbers), dialect, series };
  // The kernel may turn out to be another one than was planned with.
  const isAsPlanned = entriesOf(compileTarget) === entriesOf(plan.target);
  return {
    platform,
    kernelName: build ? kernelText(build, request.source) : `Linux ${user!.release} (${kernel})`,
    notes: [
      ...user?.notes ?? [],
      ...dialect === "v11" || model.note === undefined ? [] : [model.note],
      ...notes,
    ],
    self,
    build,
    vmlinux,
    acceleratorReason: `${accelerator}: ${reason}`,
    checkpointNr: numbers[platform.kernel === "x86_64" ? "x86_64" : "i386"],
    revision,
    compileTarget,
    compiled: isAsPlanned
      ? plan.compiled
      : compileCatalogue(scenarios, { platform, target: compileTarget, self }),
    filesOf,
    skipReason: (scenario) =>
      unmetNeed(scenario, { platform, config, release }) ?? missing.get(scenario.name) ??
        (isDeterministic && writesToShare(scenario)
          ? "the time of a shared directory is the host's"
          : undefined) ??
        (self ? selfSkipReason(scenario) : undefined),
    startGuest,
    startRecorded: isPlain && isCounted ? (parent) => start([], {}, parent) : undefined,
    // What a serial line has half sent is no part of a snapshot, and nobody else is at gdb or records.
    snapshots: channel === "virtio" && isPlain ? new GuestSnapshots((more) => start([], more)) : undefined,
    signal,
  };
}

/** A target as text, to be compared. */
function entriesOf(target: CompileTarget): string {
  return Object.entries(target).map(String).toSorted().join();
}

/** Asks a kernel in a guest of its own. `isGuessed`: nobody knows whether it has virtio ports. */
async function askKernel(
  startGuest: () => Promise<Guest>,
  question: KernelQuestion,
  isGuessed: boolean,
): Promise<KernelAnswer> {
  try {
    await using guest = await startGuest();
    return await probeKernel(guest.agent, question);
  } catch (error) {
    if (!(error instanceof GuestLostError)) throw error;
    if (error.consoleTail.trim() === "") error.message += NO_CONSOLE_HINT;
    if (isGuessed) error.message += NO_PORTS_HINT;
    throw error;
  }
}

async function initramfsEntries(
  { agent, target, otherTarget }: Awaited<ReturnType<typeof guestPrograms>>,
): Promise<InitramfsEntry[]> {
  const other = otherTarget === undefined ? [] : [[OTHER_TARGET, otherTarget] as const];
  const files = [["/init", agent], ["/target", target], ...other] as const;
  const entries: InitramfsEntry[] = ["/dev", "/proc", "/sys", "/run", "/work", "/tmp"].map((path) => ({
    path,
  }));
  for (const [path, source] of files) entries.push({ path, data: await Deno.readFile(source) });
  return entries;
}
