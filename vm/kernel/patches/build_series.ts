// SPDX-License-Identifier: MIT
import { join, normalize, relative } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { BuildError } from "../build/build_error.ts";
import { planKernel, type PreparedTree, prepareTree } from "../build/build_kernel.ts";
import { type OnBuildProgress, runStageCommand, stageReport, withStageLock } from "../build/build_stage.ts";
import { compileKernel, makeCommand, type MakeOptions } from "../build/compile_kernel.ts";
import type { TreeEdits } from "../source/kernel_tree.ts";
import type { LintFinding, LintReport } from "./accept_findings.ts";
import type { Series } from "./load_series.ts";

interface BuiltPatch {
  arch: KernelArch;
  /** From 1 on. */
  number: number;
  subject: string;
  seconds: number;
}

interface SeriesTreeOptions {
  series: Series;
  cacheDir: string;
  onProgress?: OnBuildProgress | undefined;
}

interface BuildSeriesOptions extends SeriesTreeOptions {
  arches: readonly KernelArch[];
  onBuilt?: (built: BuiltPatch) => void;
}

/** What make is told for each of the tools that see the port as the compiler sees it, and how it tells of a source. */
const CALLS = {
  "W=1": { variables: ["W=1"], step: "CC" },
  sparse: { variables: ["C=2", "CF=-fdiagnostic-prefix"], step: "CHECK" },
} as const;

interface CheckObjectsOptions {
  tool: keyof typeof CALLS;
  arches: readonly KernelArch[];
  /** Index of the patch after which the port is looked at. */
  index: number;
}

/**
 * Builds the kernel after each patch of a series, with the port switched on from the patch that brings its
 * option: all of vmlinux without a warning, and the port's own sources without one of the kernel's extra
 * warnings (`W=1`).
 *
 * @throws {BuildError} that names architecture and patch.
 */
export async function buildSeries(options: BuildSeriesOptions): Promise<void> {
  await withSeriesTree(options, async (tree) => {
    for (const arch of options.arches) {
      for (const [index, { subject }] of options.series.plan.patches.entries()) {
        const start = performance.now();
        const number = index + 1;
        const complaint = await buildPatch(tree, arch, index).catch((error) => {
          if (error instanceof BuildError) return error.message;
          throw error;
        });
        if (complaint !== "") {
          const of = `patch ${number} of ${options.series.stages.length} (${subject})`;
          throw new BuildError({ stage: "build", problem: `${arch}, after ${of}:\n${complaint}` });
        }
        options.onBuilt?.({ arch, number, subject, seconds: (performance.now() - start) / 1000 });
      }
    }
  });
}

async function buildPatch(tree: SeriesTree, arch: KernelArch, index: number): Promise<string> {
  const warnings = await tree.buildKernel(arch, index);
  const { findings } = await tree.checkObjects({ tool: "W=1", arches: [arch], index });
  return [...warnings, ...findings.map(({ file, line, text }) => `${file}:${line}: ${text}`)].join("\n");
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
class SeriesTree {
  readonly #options: SeriesTreeOptions;
  readonly #workDir: string;

  constructor(options: SeriesTreeOptions, workDir: string) {
    this.#options = options;
    this.#workDir = workDir;
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
   * Has gcc (with the kernel's extra warnings) or sparse look at each source of the port, all of them compiled anew.
   * What one line earns on two architectures counts once.
   *
   * @throws {BuildError} of stage `build` when a source does not compile, or was not looked at.
   */
  async checkObjects({ tool, arches, index }: CheckObjectsOptions): Promise<LintReport> {
    const { stages, originals } = this.#options.series;
    const own = [...stages[index]?.keys() ?? []].filter((file) => !originals.has(file));
    const sources = own.filter((file) => file.endsWith(".c"));
    const findings = new Map<string, LintFinding>();
    const elsewhere = new Set<string>();
    for (const arch of sources.length === 0 ? [] : arches) {
      const looked = new Set<string>();
      const make = await this.#prepare(arch, index, "-objects");
      const { variables, step } = CALLS[tool];
      const lookedAt = new RegExp(`^ {2}${step} +(\\S+)`);
      await compileObjects(make, { sources, variables }, (line) => {
        const [, name] = lookedAt.exec(line) ?? [];
        if (name !== undefined) looked.add(pathInTree(make, name).replace(/\.o$/, ".c"));
        const [, path, at, text] = DIAGNOSTIC.exec(line) ?? [];
        if (path === undefined || text === undefined) return;
        const file = pathInTree(make, path);
        const type = /\[(-W[\w+=-]+)\]$/.exec(text)?.[1] ?? "";
        const key = `${file}:${at}:${text}`;
        if (own.includes(file)) findings.set(key, { tool, type, file, line: Number(at), text });
        else elsewhere.add(key);
      });
      const missing = sources.filter((file) => !looked.has(file));
      if (missing.length === 0) continue;
      throw new BuildError({
        stage: "build",
        problem: `${tool} (${arch}) passed over ${missing.join(", ")}`,
      });
    }
    return {
      tool,
      looked: `${sources.length} sources on ${arches.join(", ")}`,
      findings: [...findings.values()],
      elsewhere: elsewhere.size,
    };
  }

  /** Brings tree and configuration up to date. */
  async #prepare(arch: KernelArch, index: number, suffix: string): Promise<PreparedTree> {
    const { series: { source: { treeKey, series }, pristine }, cacheDir, onProgress } = this.#options;
    const plan = await planKernel({ arch, source: { kind: "debian", series }, cacheDir });
    const edits = this.#edits(index);
    const config = new Map(plan.config);
    if (!edits.overlay.has("checkpoint/Kconfig")) config.delete("CONFIG_CR_CHECKPOINT");
    const buildName = `${treeKey}-${arch}${suffix}`;
    return await prepareTree(
      { ...plan, edits, config, treeName: treeKey, buildName },
      { cacheDir: this.#workDir, onProgress, pristine },
    );
  }

  #edits(index: number): TreeEdits {
    const { stages, originals } = this.#options.series;
    const encoder = new TextEncoder();
    const overlay = new Map<string, Uint8Array>();
    const mutations: TreeEdits["mutations"][number][] = [];
    for (const [file, text] of stages[index] ?? []) {
      const original = originals.get(file);
      if (original === undefined) overlay.set(file, encoder.encode(text));
      else mutations.push({ file, find: original, replace: text });
    }
    return { overlay, hooks: { path: "the series", text: "" }, mutations };
  }
}

/** Compilers name files as make named them: whole, or from the build directory. */
function pathInTree({ tree, buildDir }: MakeOptions, path: string): string {
  const whole = path.startsWith("/") ? path : normalize(join(buildDir, path));
  return [tree, buildDir].map((root) => relative(root, whole)).find((below) => !below.startsWith("..")) ??
    path;
}

async function compileObjects(
  make: PreparedTree,
  { sources, variables }: { sources: readonly string[]; variables: readonly string[] },
  onLine: (line: string) => void,
): Promise<void> {
  const objects = sources.map((file) => file.replace(/\.c$/, ".o"));
  // What is up to date would not be looked at.
  for (const object of objects) await Deno.remove(join(make.buildDir, object)).catch(() => {});
  const { argv, env } = await makeCommand(make, ...variables, ...objects, ANY_OBJECT);
  const { logPath, buildDir: outputDir, nameSources } = make;
  await runStageCommand("build", argv, { env, logPath, onLine, outputDir, nameSources });
}

/**
 * The kernel's make reads no configuration when all targets begin with "check" (it knows `checkstack` and its
 * like), as those below checkpoint/ do. One small object of another place makes it.
 */
const ANY_OBJECT = "lib/ctype.o";

const DIAGNOSTIC = /^([^\s:]+):(\d+):(?:\d+:)? ((?:sparse: )?(?:warning|error): .*)$/;
