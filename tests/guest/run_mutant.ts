// SPDX-License-Identifier: MIT

import { fromFileUrl } from "@std/path";
import { type Finding, findingText } from "../../lib/image/finding.ts";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import type { Mutant } from "../../harness/mutants.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { runPlatform } from "../../harness/run/run_platform.ts";
import type { ScenarioResult } from "../../harness/run/scenario_result.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { editFiles, readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";

/** What a mutant of the kernel gave. */
interface PlantedRun {
  readonly results: readonly ScenarioResult[];
  readonly findings: readonly Finding[];
  /** Lines of the kernel's source in stacks and findings, as `FILE:LINE`. */
  readonly places: readonly string[];
}

/**
 * Builds a mutant of the kernel, and runs the scenario that must see it.
 *
 * @throws {Error} when there is no such scenario
 */
export async function runPlanted(planted: Mutant): Promise<PlantedRun> {
  const scenarios = (await readCatalogue()).filter(({ name }) => name === planted.scenario);
  if (scenarios.length !== 1) throw new Error(`fixtures/scenarios has no ${planted.scenario}`);
  const [platform] = parsePlatforms({ arch: planted.platform, fallback: "x86_64" });
  const terminal = new Terminal();
  const prepared = await prepareGuest(platform!, { terminal, scenarios, mutations: planted.edits });
  const results: ScenarioResult[] = [];
  await runPlatform(prepared, scenarios, {
    guest() {},
    starting() {},
    note() {},
    result: (_, result) => void results.push(result),
  });
  const findings = results.flatMap(({ outcome }) => [
    ...outcome?.findings ?? [],
    ...outcome?.stops.flatMap((stop) => stop.findings) ?? [],
  ]);
  const texts = [
    ...findings.map(findingText),
    ...results.flatMap(({ splats }) => splats.flatMap(({ decoded }) => decoded?.frames.flat() ?? [])),
  ];
  const places = texts.flatMap((text) => [...text.matchAll(/[\w./-]+\.[ch]:\d+/g)].map(([place]) => place));
  return { results, findings, places };
}

/** The finding by which a mutant must be given away; undefined when it was not. */
export function expectedFinding(
  { finding }: Mutant,
  { findings, results }: Pick<PlantedRun, "findings" | "results">,
): Finding | undefined {
  const lost = results.find(({ status }) => status === "lost");
  if (finding.id === "lost" && lost) {
    return { id: "lost", verdict: "mismatch", path: "guest", message: lost.reason ?? "" };
  }
  return findings.find(({ id, path, message, actual }) =>
    id.startsWith(finding.id) && path.includes(finding.path) &&
    `${message} ${actual ?? ""}`.includes(finding.actual ?? "")
  );
}

/** Where the line lies that must be named, as `FILE:LINE` of the edited file; all places that it occurs at. */
export async function placesToName({ edits, at }: Mutant): Promise<string[]> {
  if (!at) return [];
  const overlay = await readOverlay(fromFileUrl(new URL("../../vm/kernel/overlay", import.meta.url)));
  const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
  const text = new TextDecoder().decode(edited.get(at.file) ?? overlay.get(at.file));
  return text.split("\n").flatMap((line, index) =>
    line.trim() === at.line ? [`${at.file}:${index + 1}`] : []
  );
}
