// SPDX-License-Identifier: MIT

import { type Finding, worstVerdict } from "../../lib/image/finding.ts";
import type {
  ChangedDigest,
  ChangeKind,
  JobFailureKind,
  NightlyChange,
  RunReference,
} from "../nightly/nightly_result.ts";
import { failingSplats, isBroken, scenarioFindings } from "../run/run_result.ts";
import type { ReportJob, ReportScenario, ResultTree } from "./result_tree.ts";

/** One thing that is wrong, wherever it shows: what a person would open one bug for. */
export interface Problem {
  /** Names it within the report: letters, digits, hyphens and underscores. */
  readonly id: string;
  /** The scenario, or how many there are, or the job as a whole. */
  readonly title: string;
  /** Names of the scenarios that show it; none when the job as a whole is meant. */
  readonly scenarios: readonly string[];
  readonly headline: string;
  /** How it compares with the runs before; `failing` when nothing is known of them. */
  readonly state: Exclude<ChangeKind, "fixed" | "slower"> | "failing";
  readonly since: RunReference | undefined;
  readonly lastGood: RunReference | undefined;
  /** What differs between the last good run and the first bad one. */
  readonly changed: readonly ChangedDigest[];
  /** Where it shows, the first being the one that is described. */
  readonly places: readonly [ProblemPlace, ...ProblemPlace[]];
  /** Over all places, how often it came again when run alone, of how many times. */
  readonly reproduced: { readonly times: number; readonly of: number } | undefined;
  readonly reproduce: string;
}

/** A place where a problem shows. */
export interface ProblemPlace {
  readonly job: ReportJob;
  /** Undefined when the job as a whole is meant. */
  readonly scenario?: ReportScenario | undefined;
  readonly change?: NightlyChange | undefined;
}

const ORDER: readonly Problem["state"][] = [
  "new failure",
  "conflict",
  "failing",
  "still failing",
  "flaky",
  "missing",
];

/** From this many scenarios of one job on, that broke in the same way, they are one problem. */
const MIN_COMMON = 4;

/**
 * The problems of a result tree, those first that a person wants to see first. One problem are: all that the same
 * complaint of the kernel broke; a scenario with the same findings on several jobs; many scenarios of a job with the
 * same findings; jobs that failed as a whole, or did not run, for one reason.
 */
export function listProblems(tree: ResultTree): Problem[] {
  const found = places(tree);
  const isCommon = commonCauses(found);
  const groups = Map.groupBy(found, (place) => groupKey(place, isCommon));
  const problems = [...groups.values()].map(problemOf);
  return problems.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

/** Scenarios that no guest was there for, since none boots any more, say so before the reason. */
const NOT_RUN = /^not run: /;

/** Which causes broke so many scenarios of one job that the scenario is not what matters. */
function commonCauses(found: readonly ProblemPlace[]): Set<string> {
  const broken = found.flatMap(({ job, scenario }) =>
    scenario && scenario.status !== "pass" ? [{ job: job.name, cause: causeOf(scenario) }] : []
  );
  const groups = Map.groupBy(broken, (one) => JSON.stringify(one));
  return new Set([...groups.values()].flatMap((group) => group.length < MIN_COMMON ? [] : group[0]!.cause));
}

/** What broke a scenario, without its name: complaints of the kernel, or findings without their numbers. */
function causeOf(scenario: ReportScenario): string {
  const splats = failingSplats(scenario).map(({ fingerprint }) => fingerprint);
  if (splats.length > 0) return `splat ${splats[0]}`;
  if (scenario.status === "lost") {
    return `lost ${firstLine(scenario.reason ?? "").replace(NOT_RUN, "").replace(/\d+/g, "N")}`;
  }
  const findings = scenarioFindings(scenario).map(({ id, path }) =>
    `${id} ${path.replace(/^[^:/]*: /, "").replace(/0x[\da-f]+|\d+/g, "N")}`
  );
  return [...new Set(findings)].toSorted().join("; ");
}

function places({ jobs, changes }: ResultTree): ProblemPlace[] {
  // A scenario may be flaky and slower at once: what was broken is said of it, not how long it took.
  const changeOf = (job: string, scenario?: string): NightlyChange | undefined =>
    changes.find((change) =>
      change.job === job && change.scenario === scenario && change.kind !== "slower" &&
      change.kind !== "fixed"
    );
  const found: ProblemPlace[] = [];
  for (const job of jobs) {
    const broken = job.scenarios.filter(isBroken);
    const known = new Set(broken.map(({ scenario }) => scenario));
    for (const scenario of broken) {
      found.push({ job, scenario, change: changeOf(job.name, scenario.scenario) ?? changeOf(job.name) });
    }
    // What the history alone knows of: a scenario that passed this time and is flaky, or that is gone.
    for (const change of changes) {
      if (change.job !== job.name || change.scenario === undefined || known.has(change.scenario)) continue;
      if (change.kind === "fixed" || change.kind === "slower") continue;
      known.add(change.scenario);
      const scenario = job.scenarios.find((candidate) => candidate.scenario === change.scenario);
      found.push({ job, change, scenario });
    }
    if (job.status === "missing" || (job.status === "fail" && broken.length === 0)) {
      found.push({ job, change: changeOf(job.name) });
    }
  }
  return found;
}

function groupKey({ job, scenario, change }: ProblemPlace, common: ReadonlySet<string>): string {
  if (!scenario && change?.scenario === undefined) {
    return JSON.stringify(["job", job.status, job.failure?.kind, job.reason]);
  }
  if (!scenario || scenario.status === "pass") {
    return JSON.stringify(["history", change?.scenario, change?.kind]);
  }
  const cause = causeOf(scenario);
  // Two places with one fingerprint are one bug wherever they are; other causes only when there are many.
  const noGuest = scenario.status === "lost" &&
    (scenario.phase === "boot" || NOT_RUN.test(scenario.reason ?? ""));
  if (failingSplats(scenario).length > 0 || common.has(cause) || noGuest) {
    return JSON.stringify(["cause", cause]);
  }
  const ids = [...new Set(scenarioFindings(scenario).map(({ id }) => id))].toSorted();
  return JSON.stringify(["scenario", scenario.scenario, scenario.status, ids]);
}

function problemOf(group: readonly ProblemPlace[], index: number): Problem {
  // Sorted so that what is new stands before what is old.
  const [first, ...rest] = group.toSorted((a, b) => ORDER.indexOf(stateOf(a)) - ORDER.indexOf(stateOf(b)));
  if (!first) throw new RangeError("a problem has a place");
  const { job, scenario, change } = first;
  const name = scenario?.title ?? change?.scenario;
  const runs = group.flatMap((place) => place.scenario?.reproduced ?? []);
  const reproduced = runs.length === 0 ? undefined : {
    times: runs.reduce((sum, run) => sum + run.times, 0),
    of: runs.reduce((sum, run) => sum + run.of, 0),
  };
  const names = [...new Set(group.map((place) => place.scenario?.title ?? place.change?.scenario ?? ""))];
  const title = name === undefined
    ? rest.length === 0 ? job.name : `${group.length} jobs`
    : names.length === 1
    ? name
    : `${names.length} scenarios`;
  return {
    id: `problem-${index + 1}-${title.replace(/[^\w-]+/g, "-")}`,
    title,
    scenarios: name === undefined ? [] : names,
    headline: headlineOf(first),
    state: stateOf(first),
    since: change?.since,
    lastGood: change?.lastGood,
    changed: change?.changed ?? [],
    places: [first, ...rest],
    reproduced,
    reproduce: scenario?.reproduce ?? change?.reproduce ?? job.reproduce,
  };
}

function stateOf({ job, change }: ProblemPlace): Problem["state"] {
  if (change && change.kind !== "fixed" && change.kind !== "slower") return change.kind;
  return job.status === "missing" ? "missing" : "failing";
}

function headlineOf({ job, scenario, change }: ProblemPlace): string {
  const [splat] = scenario ? failingSplats(scenario) : [];
  if (splat) return splat.title;
  const finding = scenario && worstFinding(scenarioFindings(scenario));
  if (finding) return finding.message;
  if (scenario && scenario.status === "lost") return firstLine(scenario.reason ?? "the guest was lost");
  if (change?.scenario !== undefined) return change.text;
  if (scenario?.reason !== undefined) return firstLine(scenario.reason);
  return firstLine(jobReason(job));
}

const FAILURE_WORDS: Readonly<Partial<Record<JobFailureKind, string>>> = {
  "build": "the kernel was not built",
  "plan": "the job could not be planned",
  "guest lost": "guests were lost",
  "deadline": "the job took too long",
  "crash": "the harness crashed",
  "usage": "the job could not be started",
};

/** Why a job failed as a whole, or did not run. */
export function jobReason({ status, failure, reason }: ReportJob): string {
  const why = reason ?? failure?.logTail.at(-1) ?? "no reason was recorded";
  if (status === "missing") return `did not run: ${why}`;
  // A test says itself what failed.
  if (failure === undefined || failure.kind === "test") return why;
  return `${FAILURE_WORDS[failure.kind] ?? failure.kind}: ${why}`;
}

/** The finding that says most: of the worst verdict, and about the image before what follows from it. */
function worstFinding(findings: readonly Finding[]): Finding | undefined {
  const verdict = worstVerdict(findings);
  return findings.find((finding) => finding.verdict === verdict && finding.id !== "E_SPLAT") ??
    findings.find((finding) => finding.verdict === verdict);
}

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "";
}

/** How sure it is that a problem is real, in words. */
export function realityText({ reproduced, places: [{ scenario }], state }: Problem): string {
  if (!scenario) return state === "missing" ? "not known: it did not run" : "the job as a whole failed";
  if (scenario.status === "pass") return "passed this time";
  if (!reproduced || reproduced.of === 0) return "not run again";
  const { times, of } = reproduced;
  if (times === of) return `yes: reproduced ${times} of ${of}`;
  return times === 0 ? `doubtful: reproduced 0 of ${of}` : `flaky: reproduced ${times} of ${of}`;
}
