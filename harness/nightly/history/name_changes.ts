// SPDX-License-Identifier: MIT

import { GitError, runGit } from "../../../vm/host/run_git.ts";
import type { ChangedDigest, NightlyChange, Revision, RunReference } from "../nightly_result.ts";
import { someNames } from "../../run/quantity.ts";
import type { History } from "./history.ts";

/** As many commits are named. */
const MAX_COMMITS = 20;

/**
 * Names what changed: the files (of a configuration the options) that differ between two digests, and the commits of
 * this project that changed them. What the history does not know is left as it is.
 *
 * @param here the run that the changes are of
 * @param project the project's checkout
 */
export async function nameChanges(
  changes: readonly NightlyChange[],
  { history, here, project }: { history: History; here: RunReference; project: string },
): Promise<NightlyChange[]> {
  // Many scenarios of a job change for one reason.
  const known = new Map<string, Promise<ChangedDigest>>();
  const nameOne = async (entry: ChangedDigest, from?: Revision, to?: Revision): Promise<ChangedDigest> => {
    const [before, after] = [history.inputsOf(entry.before), history.inputsOf(entry.after)];
    if (!before || !after) return entry;
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    const files = [...names].filter((name) => before[name] !== after[name]).sort();
    if (entry.name === "config" || !from || !to) return { ...entry, files };
    const commits = await commitsBetween(from, to, { files, project });
    return { ...entry, files, commits };
  };
  return await Promise.all(changes.map(async (change) => {
    const [first, last] = change.kind === "fixed" ? [change.since, here] : [change.lastGood, change.since];
    const [from, to] = [first, last].map((run) => run && history.revisionOf(run.id));
    const changed = await Promise.all(change.changed.map((entry) => {
      const key = JSON.stringify([entry, from, to]);
      const named = known.get(key) ?? nameOne(entry, from, to);
      known.set(key, named);
      return named;
    }));
    return { ...change, changed };
  }));
}

/** Undefined when the checkout does not have both commits. */
async function commitsBetween(
  from: Revision,
  to: Revision,
  { files, project }: { files: readonly string[]; project: string },
): Promise<string[] | undefined> {
  const args = ["log", `--max-count=${MAX_COMMITS + 1}`, "--format=%h %s", `${from.commit}..${to.commit}`];
  try {
    const log = (await runGit([...args, "--", ...files], { cwd: project })).trim();
    const commits = log === "" ? [] : log.split("\n");
    const more = commits.length > MAX_COMMITS ? ["and earlier ones"] : [];
    const edits = files.some((file) => to.edited.includes(file)) ? ["edits that are not committed"] : [];
    return [...edits, ...commits.slice(0, MAX_COMMITS), ...more];
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
  }
}

/** What changed, in a line: its name, the commits and the files. */
export function changedText({ name, commits = [], files = [] }: ChangedDigest, shown = 4): string {
  const parts = [commits.slice(0, shown).join("; "), someNames(files, shown)].filter((text) => text !== "");
  return [name, ...parts.length > 0 ? [parts.join("; in ")] : []].join(": ");
}

/** Changes of one job that say the same: one thing happened, and many scenarios show it. */
interface ChangeGroup {
  readonly change: NightlyChange;
  /** Names of all scenarios; empty when the job as a whole is meant. */
  readonly scenarios: readonly string[];
}

/** Takes together what differs in the scenario alone. The order is that of the first of each group. */
export function groupChanges(changes: readonly NightlyChange[]): ChangeGroup[] {
  const groups = new Map<string, { change: NightlyChange; scenarios: string[] }>();
  for (const change of changes) {
    const { kind, job, text, since, lastGood, scenario } = change;
    const key = JSON.stringify([kind, job, text, since?.id, lastGood?.id, scenario === undefined]);
    const group = groups.get(key) ?? { change, scenarios: [] };
    groups.set(key, group);
    if (scenario !== undefined) group.scenarios.push(scenario);
  }
  return [...groups.values()];
}

/** A time as `2026-11-24 01:00`, in UTC as it is recorded. */
export function shortTime(iso: string): string {
  return iso.slice(0, 16).replace("T", " ");
}
