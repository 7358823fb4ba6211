// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { basename, dirname, fromFileUrl, resolve } from "@std/path";
import { PLATFORM_NAMES, type PlatformName } from "../../../lib/abi/arch.ts";
import { PORTED_SERIES } from "../../../lib/abi/series.ts";
import {
  either,
  integer,
  list,
  object,
  oneOf,
  optional,
  parseJson,
  text,
  variant,
} from "../../../lib/schema.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { isGitUrl } from "../../../vm/host/run_git.ts";
import { KERNEL_FLAVOURS, type KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";
import { parseSeconds } from "../../run/quantity.ts";
import { printParseErrorCode, stripComments, visit } from "jsonc-parser";

/** The project's own matrix. */
export const DEFAULT_MATRIX = fromFileUrl(new URL("../../../fixtures/nightly.json", import.meta.url));

/** Seconds after which a job is ended, unless the matrix says otherwise. */
const DEADLINE = 4 * 3600;
const MAX = 0x7fff_ffff;
const KERNEL_KINDS = ["debian", "git", "directory", "file"] as const;

const SOME_TEXT = text(/./, "a text");
const PATH = text(/./, "a path");
const ABOUT = optional(SOME_TEXT);
const TIME = "a time such as 30min or 4h";
const DEADLINE_TEXT = optional(
  v.pipe(v.string(TIME), v.check((value) => (parseSeconds(value) ?? 0) > 0, TIME)),
  "After so long a job is ended; 4h by default.",
);

const KERNEL = v.pipe(
  object({
    debian: optional(oneOf(PORTED_SERIES), "A kernel that is built here, by its series."),
    git: optional(PATH, "A repository; paths begin at the matrix."),
    ref: optional(text(/^[^-]/, "a branch, a tag or a commit")),
    directory: optional(PATH, "A kernel tree."),
    file: optional(PATH, "A ready kernel."),
    name: optional(text(/^\w[\w.+-]*$/, "letters, digits, dots, plus and hyphens"), "What jobs call it."),
  }),
  v.check(
    (kernel) => KERNEL_KINDS.filter((kind) => kernel[kind] !== undefined).length === 1,
    `one of ${KERNEL_KINDS.join(", ")}`,
  ),
  v.check(
    ({ git, ref }) => (git === undefined) === (ref === undefined),
    `"ref" beside "git" and nothing else`,
  ),
);

/** The kinds of {@linkcode MatrixSuite}. */
export const SUITES = ["catalogue", "faults", "fuzz", "mutants", "corruptions"] as const;
const FILTER = { filter: optional(list(SOME_TEXT, 1)) };

const SUITE = either(
  `one of ${SUITES.join(", ")}, or an object with "suite"`,
  oneOf(SUITES),
  variant<SuiteSpec>("suite", [
    object({ suite: v.literal("catalogue", ""), ...FILTER }),
    object({ suite: v.literal("faults", ""), ...FILTER }),
    object({
      suite: v.literal("fuzz", ""),
      draws: optional(
        oneOf(["tracers", "ldt", "restart"]),
        "As --tracers, --ldt and --restart of ckptest fuzz.",
      ),
      count: optional(integer(1, MAX)),
      seed: optional(integer(0, MAX)),
    }),
    object({ suite: v.literal("mutants", "") }),
    object({ suite: v.literal("corruptions", "") }),
  ]),
);

interface SuiteSpec {
  readonly suite: typeof SUITES[number];
  readonly filter?: readonly string[];
  readonly draws?: "tracers" | "ldt" | "restart";
  readonly count?: number;
  readonly seed?: number;
}

const EXCLUDE = v.pipe(
  object({
    kernel: optional(SOME_TEXT),
    platform: optional(SOME_TEXT),
    flavour: optional(SOME_TEXT),
    suite: optional(SOME_TEXT),
  }),
  v.check((rule) => Object.keys(rule).length > 0, "at least one of kernel, platform, flavour, suite"),
);

const PRODUCT = object({
  about: ABOUT,
  kernels: list(KERNEL, 1),
  platforms: list(oneOf(PLATFORM_NAMES), 1),
  flavours: optional(list(oneOf(KERNEL_FLAVOURS), 1)),
  suites: list(SUITE, 1),
  deadline: DEADLINE_TEXT,
});

/** What a matrix file holds: every suite on every flavour of every kernel for every platform of each job. */
export const MATRIX = object({
  $schema: optional(v.string("the path of the JSON schema")),
  about: ABOUT,
  deadline: DEADLINE_TEXT,
  jobs: list(PRODUCT, 1),
  exclude: optional(list(EXCLUDE), "Jobs to be left out: those on which all that is given fits."),
});

/** What a matrix file says: which suites on which kernels. */
interface Matrix {
  readonly path: string;
  /** Digest of what it says; comments do not count. */
  readonly digest: string;
  readonly file: v.InferOutput<typeof MATRIX>;
}

/** A kernel, and what jobs call it; paths are absolute. */
export type MatrixKernel = v.InferOutput<typeof KERNEL> & { readonly name: string };

/** A suite that is a command of ckptest, with its options. */
export type CkptestSuite =
  | { readonly kind: "catalogue" | "faults" | "mutants"; readonly filter: readonly string[] }
  | {
    readonly kind: "fuzz";
    readonly draws?: SuiteSpec["draws"];
    readonly count: number;
    readonly seed: number;
  };

/** A suite with its options. */
export type MatrixSuite = CkptestSuite | { readonly kind: "corruptions" };

/** A job as the matrix asks for it. */
export interface JobRequest {
  /** `KERNEL/PLATFORM/FLAVOUR/SUITE`; `SUITE` alone for a suite that needs no kernel. */
  readonly name: string;
  readonly suite: MatrixSuite;
  readonly suiteName: string;
  /** Undefined for a suite that needs no kernel. */
  readonly on: { kernel: MatrixKernel; platform: PlatformName; flavour: KernelFlavour } | undefined;
  readonly deadlineSeconds: number;
}

/**
 * Reads a matrix file: JSON with comments.
 *
 * @throws {UsageError} naming the file, the place in it, what was expected and what was found
 */
export async function readMatrix(path: string): Promise<Matrix> {
  const text = await Deno.readTextFile(path).catch((error: Error) => {
    throw new UsageError(`${path}: the matrix cannot be read: ${error.message}`);
  });
  return await parseMatrix(text, path);
}

/** What {@linkcode readMatrix} makes of a text. */
export async function parseMatrix(text: string, path: string): Promise<Matrix> {
  let value: unknown;
  try {
    value = parseJsonc(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${path}: ${error.message}`);
    throw error;
  }
  const file = parseJson(MATRIX, value, { file: path, error: UsageError });
  return { path, digest: await digestOf([JSON.stringify(value)], 32), file };
}

/**
 * The jobs of a matrix, in its order, each once. Paths in it begin at its directory.
 *
 * @param filter takes the place of the filters of the matrix, unless it is empty
 * @throws {UsageError} when two jobs would have one name, when an exclude fits none, or when nothing is left
 */
export function expandMatrix({ path, file }: Matrix, filter: readonly string[] = []): JobRequest[] {
  const jobs = new Map<string, JobRequest>();
  const add = (job: JobRequest): void => {
    const { suite, on } = jobs.get(job.name) ?? job;
    if (JSON.stringify([suite, on]) !== JSON.stringify([job.suite, job.on])) {
      throw new UsageError(`${path}: two different jobs would be called ${job.name}: name a kernel`);
    }
    if (!jobs.has(job.name)) jobs.set(job.name, job);
  };
  for (const { kernels, platforms, flavours = ["plain"] as const, suites, deadline } of file.jobs) {
    const deadlineSeconds = parseSeconds(deadline ?? file.deadline ?? "") ?? DEADLINE;
    for (const kernel of kernels.map((kernel) => kernelOf(kernel, dirname(path)))) {
      for (const platform of platforms) {
        for (const flavour of flavours) {
          for (const spec of suites) {
            const suite = suiteOf(typeof spec === "string" ? { suite: spec } : spec, filter);
            const on = suite.kind === "corruptions" ? undefined : { kernel, platform, flavour };
            const suiteName = nameOfSuite(suite);
            const name = on ? `${kernel.name}/${platform}/${flavour}/${suiteName}` : suiteName;
            add({ name, suite, suiteName, on, deadlineSeconds });
          }
        }
      }
    }
  }
  const rules = file.exclude ?? [];
  const all = [...jobs.values()];
  rules.forEach((rule, index) => {
    if (all.some((job) => isExcluded(job, rule))) return;
    throw new UsageError(
      `${path}: exclude[${index}]: expected what fits a job, found ${JSON.stringify(rule)}`,
    );
  });
  const kept = all.filter((job) => !rules.some((rule) => isExcluded(job, rule)));
  if (kept.length === 0) throw new UsageError(`${path}: no job is left`);
  return kept;
}

/**
 * The jobs of a matrix whose names contain one of some texts; all when there are none.
 *
 * @throws {UsageError} as {@linkcode expandMatrix}, and when no job's name fits
 */
export function jobsAskedFor(
  matrix: Matrix,
  { only, filter }: { only: readonly string[]; filter: readonly string[] },
): JobRequest[] {
  const all = expandMatrix(matrix, filter);
  const names = all.map(({ name }) => name);
  // A whole name means that job alone, though others contain it.
  const fits = (name: string): boolean =>
    only.length === 0 || only.some((text) => names.includes(text) ? name === text : name.includes(text));
  const asked = all.filter(({ name }) => fits(name));
  if (asked.length > 0) return asked;
  throw new UsageError(`no job fits --only ${only.join(", ")}: ${names.join(", ")}`);
}

function isExcluded({ suite, suiteName, on }: JobRequest, rule: v.InferOutput<typeof EXCLUDE>): boolean {
  return (rule.kernel ?? on?.kernel.name) === on?.kernel.name &&
    (rule.platform ?? on?.platform) === on?.platform &&
    (rule.flavour ?? on?.flavour) === on?.flavour &&
    (rule.suite === undefined || rule.suite === suite.kind || rule.suite === suiteName);
}

/** What a job's name calls a suite. */
export function nameOfSuite(suite: MatrixSuite): string {
  if (suite.kind === "fuzz") {
    return `fuzz-${suite.draws === undefined ? "" : `${suite.draws}-`}${suite.seed}x${suite.count}`;
  }
  if (!("filter" in suite) || suite.filter.length === 0) return suite.kind;
  return `${suite.kind}-${suite.filter.join("+").replaceAll(/[^\w.+-]/g, "-")}`;
}

function kernelOf(kernel: v.InferOutput<typeof KERNEL>, base: string): MatrixKernel {
  const { debian, git, ref, directory, file } = kernel;
  // A name can be part of a job's name, and so of a path.
  const name = (debian ?? ref ?? basename(directory ?? file ?? "")).replaceAll(/[^\w.+-]/g, "-");
  return {
    ...{ name: name.replace(/^[.-]+/, "") || "kernel", ...kernel },
    ...git !== undefined && { git: isGitUrl(git) ? git : resolve(base, git) },
    ...directory !== undefined && { directory: resolve(base, directory) },
    ...file !== undefined && { file: resolve(base, file) },
  };
}

function suiteOf(
  { suite, filter = [], draws, count = 1000, seed = 1 }: SuiteSpec,
  instead: readonly string[],
): MatrixSuite {
  if (suite === "corruptions") return { kind: suite };
  if (suite === "mutants") return { kind: suite, filter: [] };
  if (suite === "fuzz") return { kind: suite, count, seed, ...draws && { draws } };
  return { kind: suite, filter: instead.length > 0 ? instead : filter };
}

/**
 * Parses JSON with comments, `//` to the end of the line and those that C has. A comma before a closing bracket is a
 * mistake, as in JSON, and so is a name that comes twice.
 *
 * @throws {SyntaxError} with line and column, what was expected and what was found
 */
export function parseJsonc(text: string): unknown {
  const objects: Set<string>[] = [];
  visit(text, {
    onObjectBegin: () => void objects.push(new Set()),
    onObjectEnd: () => void objects.pop(),
    onObjectProperty(name, offset) {
      const names = objects.at(-1)!;
      if (names.has(name)) throw mistake(text, offset, `the name "${name}" is there twice`);
      names.add(name);
    },
    onError(error, offset, length) {
      // Such as PropertyNameExpected.
      const words = printParseErrorCode(error).replaceAll(/\B[A-Z]/g, " $&").toLowerCase();
      throw mistake(text, offset, `${words}, found ${text.slice(offset, offset + length) || "the end"}`);
    },
  });
  return JSON.parse(stripComments(text));
}

function mistake(text: string, offset: number, what: string): SyntaxError {
  const before = text.slice(0, offset).split("\n");
  return new SyntaxError(`line ${before.length}, column ${before.at(-1)!.length + 1}: ${what}`);
}
