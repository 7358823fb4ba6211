// SPDX-License-Identifier: MIT

import type { JobFailureKind } from "../nightly/nightly_result.ts";
import { jobReason } from "./problems.ts";
import {
  failedAsWhole,
  failureLines,
  kernelLines,
  type ReportJob,
  type ReportScenario,
  type ResultTree,
} from "./result_tree.ts";
import { failingSplats, isBroken, scenarioFindings } from "../run/run_result.ts";

/** The version of KCIDB's I/O schema that is written (kcidb_io/schema/v05_03.py of kernelci/kcidb-io). */
const KCIDB_VERSION = { major: 5, minor: 3 } as const;

/** The most that a `log_excerpt` may hold, in characters. */
export const KCIDB_LOG_LENGTH = 16384;

/** What an origin must look like, from the schema: the name that KCIDB knows a CI system by. */
export const KCIDB_ORIGIN = /^[a-z0-9_]+$/;

/** An object of a KCIDB report, its keys as the schema has them; JSON leaves out what is undefined. */
export type KcidbObject = Readonly<Record<string, unknown>>;

interface KcidbReport {
  readonly version: typeof KCIDB_VERSION;
  readonly checkouts: readonly KcidbObject[];
  readonly builds: readonly KcidbObject[];
  readonly tests: readonly KcidbObject[];
}

/** KCIDB's names for the architectures that our platforms' kernels are built for. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "x86_64",
  compat: "x86_64",
  i386: "i386",
  "i386-pae": "i386",
};

/**
 * Results for KCIDB: a checkout for each source with its patch, a build for each kernel, a test for each
 * scenario, and one for each job that has none. Ids are made from digests and from the run's own name, so that
 * the same results give the same ids.
 *
 * @param origin the name of the CI system
 * @throws {RangeError} when the origin is not one
 */
export function kcidbReport(tree: ResultTree, { origin }: { origin: string }): KcidbReport {
  if (!KCIDB_ORIGIN.test(origin)) {
    throw new RangeError(`a KCIDB origin has small letters, digits and underscores: found "${origin}"`);
  }
  const checkouts = new Map<string, KcidbObject>();
  const builds = new Map<string, KcidbObject>();
  const tests: KcidbObject[] = [];
  for (const job of tree.jobs) {
    const checkout = checkoutOf(job, tree, origin);
    const build = buildOf(job, checkout.id as string, origin);
    checkouts.set(checkout.id as string, checkouts.get(checkout.id as string) ?? checkout);
    const known = builds.get(build.id as string);
    // Several jobs run on one kernel: where one of them failed to build it, that is what counts.
    if (known?.status === undefined || build.status === "FAIL") builds.set(build.id as string, build);
    const context = { job, tree, origin, buildId: build.id as string };
    tests.push(...job.scenarios.map((scenario) => scenarioTest(scenario, context)));
    if (job.scenarios.length === 0 || failedAsWhole(job)) tests.push(jobTest(context));
  }
  return { version: KCIDB_VERSION, checkouts: [...checkouts.values()], builds: [...builds.values()], tests };
}

function kernelName({ kernels, kernel }: ReportJob): string {
  return kernels[0]?.name ?? kernel;
}

function checkoutOf(job: ReportJob, { run }: ResultTree, origin: string): KcidbObject {
  const { source, patch } = job.digests ?? {};
  const name = source === undefined
    ? idPart(job.digests?.kernel ?? kernelName(job))
    : `${source}-${patch ?? "none"}`;
  return {
    id: `${origin}:${idPart(name)}`,
    origin,
    comment: clean(`${kernelName(job)} with the checkpoint patch`),
    start_time: run.started,
    // Nothing fails before its kernel is unpacked and patched but the plan and the build.
    valid: job.failure?.kind === "plan" ? false : job.status === "missing" ? undefined : true,
    misc: { source_digest: source, patch_digest: patch },
  };
}

function buildOf(job: ReportJob, checkoutId: string, origin: string): KcidbObject {
  const { config, kernel } = job.digests ?? {};
  const platform = job.flavour === "plain" ? job.platform : `${job.platform}-${job.flavour}`;
  const key = kernel ?? job.kernels[0]?.key ?? `${kernelName(job)}-${config ?? ""}-${platform}`;
  const isBuilt = job.kernels.length > 0 || job.status === "pass" || job.failure?.kind === "test";
  return {
    checkout_id: checkoutId,
    id: `${origin}:${idPart(key)}-${idPart(buildPlatform(job))}`,
    origin,
    comment: clean(`${kernelName(job)}, ${buildPlatform(job)}`),
    architecture: ARCHITECTURES[job.platform] ?? job.platform.replace(/[^a-z0-9_]/g, "_"),
    config_name: clean(buildPlatform(job)),
    status: job.failure?.kind === "build" ? "FAIL" : isBuilt ? "PASS" : undefined,
    log_excerpt: job.failure?.kind === "build" ? excerpt(job.failure.logTail) : undefined,
    misc: { config_digest: config, kernel_digest: kernel },
  };
}

/** `compat` is the x86-64 kernel with other programs. */
function buildPlatform({ platform, flavour }: ReportJob): string {
  const kernel = platform === "compat" ? "x86_64" : platform;
  return flavour === "plain" ? kernel : `${kernel}-${flavour}`;
}

interface TestContext {
  readonly job: ReportJob;
  readonly tree: ResultTree;
  readonly origin: string;
  readonly buildId: string;
}

function testBase({ job, tree, origin, buildId }: TestContext, scenario?: ReportScenario): KcidbObject {
  const accelerator = job.kernels[0]?.accelerator;
  const names = [tree.run.id, job.name, ...scenario ? [scenario.title] : []];
  return {
    ...{ build_id: buildId, id: `${origin}:${idPart(names.join("-"))}`, origin, start_time: job.started },
    environment: {
      comment: clean(accelerator === undefined ? "QEMU" : `QEMU, ${accelerator}`),
      misc: { platform: job.platform },
    },
    path: ["ckptest", job.suite, ...scenario ? [scenario.scenario] : []]
      // Parts joined by dots; each of them letters, digits, hyphens and underscores.
      .map((part) => part.replace(/[^\w-]+/g, "_")).join("."),
  };
}

function scenarioTest(scenario: ReportScenario, context: TestContext): KcidbObject {
  const { reason, title, milliseconds, reproduce, reproduced } = scenario;
  const splats = failingSplats(scenario);
  // A lost guest whose kernel complained is the tested code's fault; else nobody knows whose it is.
  const lost = splats.length > 0 ? "FAIL" : "ERROR";
  const isBad = isBroken(scenario);
  return {
    ...testBase(context, scenario),
    comment: clean(reason ?? title),
    status: ({ pass: "PASS", fail: "FAIL", skip: "SKIP", lost } as const)[scenario.status],
    log_excerpt: isBad
      ? excerpt([...failureLines(scenario, Infinity), "", ...kernelLines(scenario, Infinity)])
      : undefined,
    duration: milliseconds / 1000,
    misc: {
      ...{ reproduce, reproduced },
      finding_ids: isBad ? [...new Set(scenarioFindings(scenario).map(({ id }) => id))] : undefined,
      splats: isBad ? splats.map(({ title, fingerprint }) => ({ title, fingerprint })) : undefined,
    },
  };
}

function jobTest(context: TestContext): KcidbObject {
  const { job } = context;
  const { status, failure, reason, name, seconds, reproduce } = job;
  return {
    ...testBase(context),
    comment: clean(reason === undefined ? name : jobReason(job)),
    status: status === "pass" ? "PASS" : JOB_STATUS[status === "missing" ? "plan" : failure?.kind ?? "plan"],
    log_excerpt: status === "fail" ? excerpt(failure?.logTail ?? []) : undefined,
    duration: status === "missing" ? undefined : seconds,
    misc: { reproduce },
  };
}

/** What a job came to that did not pass. */
const JOB_STATUS: Readonly<Record<JobFailureKind, "FAIL" | "ERROR" | "MISS">> = {
  "test": "FAIL",
  ...{ "guest lost": "ERROR", "deadline": "ERROR", "crash": "ERROR", "merge conflict": "ERROR" },
  ...{ "plan": "MISS", "build": "MISS", "nothing ran": "MISS", "usage": "MISS" },
};

/** As much of the lines as KCIDB takes, cut between lines where possible, with a note. */
function excerpt(lines: readonly string[]): string {
  const text = clean(lines.join("\n"));
  if (text.length <= KCIDB_LOG_LENGTH) return text;
  const note = "\n[cut here: the rest is in the results]";
  const cut = text.slice(0, KCIDB_LOG_LENGTH - note.length).toWellFormed();
  const end = cut.lastIndexOf("\n");
  return (end > KCIDB_LOG_LENGTH / 2 ? cut.slice(0, end) : cut) + note;
}

/** The schema refuses NUL in texts. */
function clean(text: string): string {
  return text.replaceAll("\0", "").toWellFormed();
}

function idPart(text: string): string {
  return text.replace(/[^\w.+-]+/g, "-");
}
