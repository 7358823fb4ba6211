// SPDX-License-Identifier: MIT
import { exists } from "@std/fs";
import { basename, join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { cacheDirectory } from "../../host/own_directories.ts";
import { requireTools } from "../../host/find_tool.ts";
import { ignoreMissing } from "../../host/ignore_missing.ts";
import { runCommand } from "../../host/run_command.ts";
import { BuildError } from "./build_error.ts";
import { inStage, type OnBuildProgress, stageReport, withStageLock } from "./build_stage.ts";
import { halfPatchError, patchOfTree } from "../source/carried_patch.ts";
import {
  BUILD_TOOLS,
  compileKernel,
  lacksPvhEntry,
  type MakeOptions,
  needsBzImage,
} from "./compile_kernel.ts";
import { configureKernel } from "../config/configure_kernel.ts";
import { digestOf } from "../../host/digest.ts";
import { flavourMakeVariables, fragmentNames, type KernelFlavour } from "../config/kernel_flavour.ts";
import {
  formatKernelConfig,
  type KernelConfig,
  mergeKernelConfigs,
  parseKernelConfig,
} from "../config/kernel_config.ts";
import { type OverlayEdit, type OverlayFiles, overlayNamer, readOverlay } from "../source/kernel_overlay.ts";
import {
  fetchSource,
  type IdentifiedSource,
  identifySource,
  type KernelSource,
} from "../source/kernel_source.ts";
import { findStored, type StoredKernel, storeKernel } from "../kernel_store.ts";
import { applyTree, type TreeEdits } from "../source/kernel_tree.ts";
import type { GuestChannel } from "../../qemu/qemu_arguments.ts";
import type { NeededFor } from "../config/needed_options.ts";
import { syscallNumbersOf } from "../syscall_numbers.ts";

/** Which kernel to build, and how. */
export interface KernelBuildOptions {
  arch: KernelArch;
  /** `plain` by default. */
  flavour?: KernelFlavour;
  source: KernelSource;
  /** Directory of new files; the project's own by default. */
  overlayDir?: string;
  /** Directory of `SERIES.patch` files; the project's own by default. */
  hooksDir?: string;
  /** Paths of config fragments, later ones win; the project's own for architecture and flavour by default. */
  fragments?: readonly string[];
  /** A whole `.config` of the user's, in place of fragments. */
  configFile?: string | undefined;
  /** What the kernel is booted as, which decides what such a configuration must have. */
  bootedAs?: { channel: GuestChannel; isCompat: boolean } | undefined;
  /** Names of more of the project's own fragments, without `.config`, laid over the others. */
  moreFragments?: readonly string[];
  /** Options over all others, `CONFIG_X=VALUE` each. */
  moreOptions?: readonly string[] | undefined;
  /** Edits that make this kernel wrong on purpose. */
  mutations?: readonly OverlayEdit[];
  /** Files laid over the overlay. */
  moreFiles?: OverlayFiles | undefined;
  /** Parallel compiler jobs; as many as there are CPUs by default. */
  jobs?: number | undefined;
  cacheDir?: string;
  onProgress?: OnBuildProgress | undefined;
}

/** Digests of the parts of what goes into a kernel, to tell which of them changed. */
interface KernelDigests {
  source: string;
  /** Overlay, hooks and mutations. */
  patch: string;
  /** Options, and what else the flavour asks of make. */
  config: string;
}

/** Where the checkpoint code comes from: the source tree carries it, or it was added to a copy of the tree. */
type PatchOrigin = "carried" | "added";

/** A kernel that is ready to boot. */
export interface KernelBuild extends StoredKernel {
  /** Where its checkpoint code comes from. */
  patch: PatchOrigin;
  arch: KernelArch;
  flavour: KernelFlavour;
  /** Digest of everything that went into it; the name of its directory in the store. */
  key: string;
  digests: KernelDigests;
  /** True when the store had it. */
  cached: boolean;
  seconds: number;
}

/** Everything that decides what a build gives, read and digested before anything is unpacked or compiled. */
export interface KernelPlan {
  arch: KernelArch;
  flavour: KernelFlavour;
  source: IdentifiedSource;
  patch: PatchOrigin;
  edits: TreeEdits;
  config: KernelConfig;
  /** Set where it is a whole configuration of the user's: what it must have. */
  needed: NeededFor | undefined;
  /** First lines of what compiler and binutils say of themselves. */
  compiler: string;
  key: string;
  digests: KernelDigests;
  /** Name of the working tree: builds of one tree wait for each other. */
  treeName: string;
  /** Name of the build directory: kernels of one tree, architecture and set of fragments share it. */
  buildName: string;
}

/** Raised when what a key stands for changes. */
const KEY_VERSION = "1";

/** The project's own config fragments for an architecture, a flavour and a kernel series. */
export async function defaultFragments(
  arch: KernelArch,
  flavour: KernelFlavour,
  series: string,
): Promise<string[]> {
  const paths = fragmentNames(arch, flavour, series).map((name) => ownPath("config", `${name}.config`));
  return (await Promise.all(paths.map(async (path) => await exists(path) ? [path] : []))).flat();
}

/** The directory of the files that the project adds to a kernel. */
export const OWN_OVERLAY: string = ownPath("overlay");

function ownPath(...parts: string[]): string {
  return join(import.meta.dirname ?? ".", "..", ...parts);
}

/**
 * Builds a kernel, or finds it in the store. The stages are fetch, apply, configure, build, store; each is a
 * function of its own. Two processes that build in the same tree wait for each other, and say so.
 *
 * @throws {BuildError} that names the stage.
 */
export async function buildKernel(options: KernelBuildOptions): Promise<KernelBuild> {
  const start = performance.now();
  const cacheDir = options.cacheDir ?? cacheDirectory();
  const plan = await planKernel(options);
  const finish = (stored: StoredKernel, cached: boolean): KernelBuild => {
    const seconds = (performance.now() - start) / 1000;
    const { arch, flavour, patch, key, digests } = plan;
    return { ...stored, arch, flavour, patch, key, digests, cached, seconds };
  };
  const stored = await findStored(cacheDir, plan.key);
  if (stored !== undefined) return finish(stored, true);

  const lock = { doing: "builds a kernel", report: stageReport("apply", options.onProgress) };
  return await inStage(
    "apply",
    () =>
      withStageLock(join(cacheDir, "trees", `${plan.treeName}.lock`), lock, async () => {
        const meanwhile = await findStored(cacheDir, plan.key);
        if (meanwhile !== undefined) return finish(meanwhile, true);
        return finish(await runStages(plan, { ...options, cacheDir }), false);
      }),
  );
}

/**
 * Reads all inputs of a build and computes its key.
 *
 * @throws {BuildError} of stage `fetch`, `apply` or `configure` when one of them is missing or cannot be
 * parsed.
 */
export async function planKernel(options: KernelBuildOptions): Promise<KernelPlan> {
  const { arch, flavour = "plain", mutations = [] } = options;
  const { overlayDir = OWN_OVERLAY, hooksDir = ownPath("hooks") } = options;
  const { cacheDir = cacheDirectory(), onProgress } = options;
  const source = await identifySource(options.source, { cacheDir, onProgress });
  const chosen = await inStage("apply", () => choosePatch(source, overlayDir, hooksDir));
  const { patch, hooks } = chosen;
  const overlay = new Map([...chosen.overlay, ...options.moreFiles ?? []]);
  const { configFile, bootedAs = { channel: "virtio", isCompat: false } } = options;
  const fragments = configFile !== undefined ? [configFile] : [
    ...options.fragments ?? await defaultFragments(arch, flavour, source.series),
    ...(options.moreFragments ?? []).map((name) => ownPath("config", `${name}.config`)),
  ];
  const { moreOptions = [] } = options;
  const config = await inStage("configure", async () => {
    const parsed = fragments.map(async (path) => parseKernelConfig(await Deno.readTextFile(path), path));
    const more = parseKernelConfig(moreOptions.join("\n"), "option --kconfig-add");
    return mergeKernelConfigs([...await Promise.all(parsed), more]);
  });
  const needed: NeededFor | undefined = configFile === undefined ? undefined : {
    release: source.series,
    ...bootedAs,
    isElf: !lacksPvhEntry(config, true),
    needsPatchOption: source.asIs !== true,
  };
  const compiler = await inStage("configure", identifyCompiler);
  const key = await digestOf([
    ...[KEY_VERSION, arch, source.contentKey, hooks.text, formatKernelConfig(config), compiler],
    ...[...overlay].flat(),
    ...mutations.flatMap(({ file, find, replace }) => ["edit", file, find, replace]),
    ...flavour === "plain" ? [] : ["flavour", flavour, ...flavourMakeVariables(flavour)],
    ...needed ? ["whole configuration"] : [],
  ]);
  // Kernels of one set of fragments share a build directory; one of the user's has one of its own.
  const names = configFile ? [configFile] : fragments.map((path) => basename(path));
  const fragmentsDigest = await digestOf([...names, ...moreOptions]);
  const edits = { overlay, hooks, mutations };
  // Flavours have trees of their own: a debug kernel builds long, and nobody else has to wait for it.
  const treeName = flavour === "plain" ? source.treeKey : `${source.treeKey}-${flavour}`;
  const buildName = `${source.treeKey}-${arch}-${fragmentsDigest.slice(0, 6)}`;
  const changes = mutations.flatMap(({ file, find, replace }) => [file, find, replace]);
  const digests = {
    source: source.contentKey,
    patch: await digestOf([hooks.text, ...[...overlay].flat(), ...changes], 12),
    config: await digestOf([formatKernelConfig(config), ...flavourMakeVariables(flavour)], 12),
  };
  return {
    ...{ arch, flavour, source, patch, edits, config, needed, compiler, key: key.slice(0, 32) },
    ...{ digests, treeName, buildName },
  };
}

/** What is laid over a source: nothing where it carries the patch or is to be built as it is. */
async function choosePatch(
  source: IdentifiedSource,
  overlayDir: string,
  hooksDir: string,
): Promise<Pick<TreeEdits, "overlay" | "hooks"> & { patch: PatchOrigin }> {
  const ownHooks = join(hooksDir, `${source.series}.patch`);
  const nothing = { patch: "carried", overlay: new Map(), hooks: { path: ownHooks, text: "" } } as const;
  if (source.asIs) return nothing;
  const overlay = await readOverlay(overlayDir);
  if (source.manifest !== undefined) {
    const carried = await patchOfTree(source.path, overlay.keys(), await readAllHooks(ownHooks, hooksDir));
    if (carried.state === "carried") return nothing;
    if (carried.state === "partial") throw halfPatchError(source.path, carried);
  }
  return { patch: "added", overlay, hooks: await readHooks(ownHooks) };
}

/** The hooks of a series; where it has none of its own, those of every series that has. */
async function readAllHooks(ownHooks: string, hooksDir: string): Promise<string[]> {
  if (await exists(ownHooks)) return [await Deno.readTextFile(ownHooks)];
  const names = (await Array.fromAsync(Deno.readDir(hooksDir))).map(({ name }) => name).toSorted();
  return await Promise.all(
    names.filter((name) => name.endsWith(".patch")).map((name) => Deno.readTextFile(join(hooksDir, name))),
  );
}

async function readHooks(path: string): Promise<TreeEdits["hooks"]> {
  const text = await Deno.readTextFile(path).catch(ignoreMissing);
  if (text !== undefined) return { path, text };
  throw new BuildError({
    stage: "apply",
    problem: `there are no hooks for this kernel series: ${path} is missing`,
    hint: "a tree that carries the patch already is built as it is",
  });
}

async function identifyCompiler(): Promise<string> {
  await requireTools(BUILD_TOOLS);
  const versions = [["gcc", "--version"], ["objcopy", "--version"]] as [string, string][];
  const outputs = await Promise.all(versions.map((argv) => runCommand(argv)));
  return outputs.map(({ lines }) => lines[0] ?? "").join("; ");
}

async function runStages(
  plan: KernelPlan,
  { cacheDir, jobs, onProgress }: KernelBuildOptions & { cacheDir: string },
): Promise<StoredKernel> {
  const start = performance.now();
  const pristine = await fetchSource(plan.source, { cacheDir, onProgress });
  const make = await prepareTree(plan, { cacheDir, jobs, onProgress, pristine });
  const { source, config, compiler, arch, flavour, needed } = plan;
  const { tree, buildDir, logPath } = make;
  const kernel = { tree, arch, config, isWhole: needed !== undefined };
  const bootFile = await compileKernel({ ...make, needsBzImage: await needsBzImage(kernel) });
  const seconds = (performance.now() - start) / 1000;
  const syscalls = await syscallNumbersOf(tree);
  const info = {
    ...{ arch, flavour, source: source.description, compiler, seconds, tree, buildDir },
    ...syscalls === undefined ? {} : { syscalls },
  };
  return await storeKernel({ cacheDir, key: plan.key, buildDir, bootFile, logPath, info });
}

/** A tree that is configured, as make and those who call it want it described. */
export interface PreparedTree extends MakeOptions {
  logPath: string;
  onProgress: OnBuildProgress | undefined;
  /** Calls sources in a tool's lines as the user calls them. */
  nameSources: (line: string) => string;
}

/** Stages `apply` and `configure`, with an empty log. The caller holds the tree's lock. */
export async function prepareTree(
  plan: KernelPlan,
  { cacheDir, jobs, onProgress, pristine }: Pick<KernelBuildOptions, "jobs" | "onProgress"> & {
    cacheDir: string;
    pristine: string;
  },
): Promise<PreparedTree> {
  const { source, edits, arch, flavour, treeName, buildName, config, needed } = plan;
  const tree = await applyTree({ cacheDir, onProgress, source, pristine, edits, treeName });
  const logPath = join(cacheDir, "logs", `${buildName}.log`);
  await inStage("configure", async () => {
    await Deno.mkdir(join(cacheDir, "logs"), { recursive: true });
    await Deno.writeTextFile(logPath, "");
  });
  const make = {
    ...{ cacheDir, onProgress, tree, buildDir: join(cacheDir, "build", buildName), arch, logPath, jobs },
    variables: flavourMakeVariables(flavour),
    nameSources: sourceNamer(plan, tree),
  };
  await configureKernel({ ...make, config, needed, kconfigKey: await kconfigKey(plan) });
  return make;
}

/** Files of the overlay are named by their place in this checkout, others of a user's tree by theirs in that tree. */
function sourceNamer({ source, edits }: KernelPlan, tree: string): (line: string) => string {
  const nameOverlay = overlayNamer(edits.overlay.keys());
  if (source.manifest === undefined) return nameOverlay;
  return (line) => nameOverlay(line).replaceAll(`${tree}/`, `${source.path}/`);
}

/**
 * Digest of what can change the meaning of a configuration: the source, the hooks, and our own Kconfig files.
 */
async function kconfigKey({ source, edits }: KernelPlan): Promise<string> {
  const isKconfig = (file: string) => basename(file).startsWith("Kconfig");
  const own = [...edits.overlay].filter(([file]) => isKconfig(file));
  const changed = edits.mutations.filter(({ file }) => isKconfig(file)).map(({ replace }) => replace);
  return await digestOf([source.contentKey, edits.hooks.text, ...own.flat(), ...changed]);
}
