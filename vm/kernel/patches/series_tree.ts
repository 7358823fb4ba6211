// SPDX-License-Identifier: MIT
import { join, normalize, relative } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { planKernel, type PreparedTree, prepareTree } from "../build/build_kernel.ts";
import { type OnBuildProgress, runStageCommand, stageReport, withStageLock } from "../build/build_stage.ts";
import { compileKernel } from "../build/compile_kernel.ts";
import type { TreeEdits } from "../source/kernel_tree.ts";
import { makeCommand, type MakeOptions } from "../build/make_command.ts";
import type { Series } from "./load_series.ts";

/** Settings of {@linkcode withSeriesTree}. */
export interface SeriesTreeOptions {
  series: Series;
  cacheDir: string;
  onProgress?: OnBuildProgress | undefined;
}

interface ObjectReport {
  /** What compiler or checker had to say of a line; paths are from the root of the kernel tree. */
  diagnostics: { file: string; line: number; text: string }[];
  sources: string[];
}

interface MakeObjectsOptions {
  arch: KernelArch;
  /** Index of the patch after which the tree is looked at. */
  index: number;
  /** Settings for make, such as `W=1`. */
  variables: readonly string[];
  /** What make prints before a source that it looks at: `CC`, or `CHECK`. */
  step: string;
}

/**
 * Runs `use` with a kernel tree and build directories of its own, so that kernels can be built meanwhile.
 * They lie below `series` in the cache, under the same names as those of the kernels: so ccache knows what
 * was compiled there.
 */
export async function withSeriesTree<T>(
  options: SeriesTreeOptions,
  use: (tree: SeriesTree) => Promise<T>,
): Promise<T> {
  const workDir = join(options.cacheDir, "series");
  await Deno.mkdir(join(options.cacheDir, "ccache"), { recursive: true });
  await Deno.mkdir(workDir, { recursive: true });
  await Deno.symlink("../ccache", join(workDir, "ccache")).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  const lock = { doing: "builds a series", report: stageReport("apply", options.onProgress) };
  const path = join(workDir, "trees", `${options.series.source.treeKey}.lock`);
  return await withStageLock(path, lock, () => use(new SeriesTree(options, workDir)));
}

/** A kernel tree that takes on the state after each patch. Made by {@linkcode withSeriesTree}. */
export class SeriesTree {
  readonly #series: Series;
  readonly #cacheDir: string;
  readonly #workDir: string;
  readonly #onProgress: OnBuildProgress | undefined;

  constructor({ series, cacheDir, onProgress }: SeriesTreeOptions, workDir: string) {
    this.#series = series;
    this.#cacheDir = cacheDir;
    this.#workDir = workDir;
    this.#onProgress = onProgress;
  }

  /**
   * Builds vmlinux as it is after the patch `index`; -1 is the kernel without any of them.
   *
   * @returns the compiler's warnings, as it printed them.
   * @throws {BuildError}
   */
  async buildKernel(arch: KernelArch, index: number): Promise<string[]> {
    const make = await this.#prepare(arch, index, "");
    // Kconfig warns of whatever our configuration changes in the one that it starts from.
    const { length } = await Deno.readTextFile(make.logPath);
    await compileKernel({ ...make, needsBzImage: false });
    const log = await Deno.readTextFile(make.logPath);
    return log.slice(length).split("\n").filter((line) => /\bwarning: /i.test(line));
  }

  /**
   * Compiles the port's own sources as they are after the patch `index`, all of them anew.
   *
   * @throws {BuildError} of stage `build` when one does not compile.
   */
  async makeObjects({ arch, index, variables, step }: MakeObjectsOptions): Promise<ObjectReport> {
    const sources = this.sources(index).filter((file) => file.endsWith(".c"));
    if (sources.length === 0) return { diagnostics: [], sources: [] };
    const make = await this.#prepare(arch, index, "-objects");
    const objects = sources.map((file) => file.replace(/\.c$/, ".o"));
    // What is up to date would not be looked at.
    for (const object of objects) await Deno.remove(join(make.buildDir, object)).catch(() => {});
    const { argv, env } = await makeCommand(make, ...variables, ...objects, ANY_OBJECT);
    const report: ObjectReport = { diagnostics: [], sources: [] };
    const onLine = (line: string) => {
      const looked = new RegExp(`^ {2}${step} +(\\S+)`).exec(line)?.[1];
      const file = looked === undefined ? undefined : this.#pathInTree(make, looked).replace(/\.o$/, ".c");
      if (file !== undefined && sources.includes(file)) report.sources.push(file);
      const [, path, at, text] = DIAGNOSTIC.exec(line) ?? [];
      if (path === undefined || text === undefined) return;
      report.diagnostics.push({ file: this.#pathInTree(make, path), line: Number(at), text });
    };
    const { logPath, buildDir: outputDir, nameSources } = make;
    await runStageCommand("build", argv, { env, logPath, onLine, outputDir, nameSources });
    return report;
  }

  /** Paths of the files that are the port's own after the patch `index`. */
  sources(index: number): string[] {
    const { stages, originals } = this.#series;
    return [...stages[index]?.keys() ?? []].filter((file) => !originals.has(file));
  }

  /** Brings tree and configuration up to date. */
  async #prepare(arch: KernelArch, index: number, suffix: string): Promise<PreparedTree> {
    const { source, pristine } = this.#series;
    const { treeKey, series } = source;
    const plan = await planKernel({ arch, source: { kind: "debian", series }, cacheDir: this.#cacheDir });
    const edits = this.#edits(index);
    const config = new Map(plan.config);
    if (!edits.overlay.has("checkpoint/Kconfig")) config.delete("CONFIG_CR_CHECKPOINT");
    const buildName = `${treeKey}-${arch}${suffix}`;
    return await prepareTree(
      { ...plan, edits, config, treeName: treeKey, buildName },
      { cacheDir: this.#workDir, onProgress: this.#onProgress, pristine },
    );
  }

  #edits(index: number): TreeEdits {
    const encoder = new TextEncoder();
    const overlay = new Map<string, Uint8Array>();
    const mutations: TreeEdits["mutations"][number][] = [];
    for (const [file, text] of this.#series.stages[index] ?? []) {
      const original = this.#series.originals.get(file);
      if (original === undefined) overlay.set(file, encoder.encode(text));
      else mutations.push({ file, find: original, replace: text });
    }
    return { overlay, hooks: { path: "the series", text: "" }, mutations };
  }

  /** Compilers name files as make named them: whole, or from the build directory. */
  #pathInTree({ tree, buildDir }: MakeOptions, path: string): string {
    const whole = path.startsWith("/") ? path : normalize(join(buildDir, path));
    for (const root of [tree, buildDir]) {
      const below = relative(root, whole);
      if (!below.startsWith("..")) return below;
    }
    return path;
  }
}

/**
 * The kernel's make reads no configuration when all targets begin with "check" (it knows `checkstack` and its
 * like), as those below checkpoint/ do. One small object of another place makes it.
 */
const ANY_OBJECT = "lib/ctype.o";

const DIAGNOSTIC = /^([^\s:]+):(\d+):(?:\d+:)? ((?:sparse: )?(?:warning|error): .*)$/;
