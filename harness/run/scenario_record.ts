// SPDX-License-Identifier: MIT

import type { ReportedSplat, ScenarioResult } from "./scenario_result.ts";
import { frameText } from "../triage/splat_text.ts";
import type { ScenarioRecord, SplatRecord } from "./run_result.ts";

/** What is kept of a scenario's result, but for what only the report knows. */
export function scenarioRecord(
  result: ScenarioResult,
): Omit<ScenarioRecord, "platform" | "reproduce" | "files"> {
  const { scenario, phase, status, reason, reruns, milliseconds, outcome, splats } = result;
  return {
    scenario,
    ...phase === undefined ? {} : { phase },
    status,
    ...reason === undefined ? {} : { reason },
    ...reruns === undefined ? {} : { reproduced: { times: reruns.failed, of: reruns.runs } },
    milliseconds: Math.round(milliseconds),
    findings: outcome?.findings ?? [],
    splats: splats.map(splatRecord),
    stops: outcome?.stops.map(({ label, counts, pages, findings, image }) => ({
      ...{ label, bytes: image.length, counts, pages, findings },
    })) ?? [],
  };
}

function splatRecord({ splat, decoded, allowed }: ReportedSplat): SplatRecord {
  const { kind, title, fingerprint, lines } = splat;
  return {
    ...{ kind, title, fingerprint, lines },
    frames: splat.frames.map((frame, index) => {
      const places = decoded?.frames[index]?.places ?? [];
      return places.length === 0 ? frameText(frame) : `${frameText(frame)} (${places.join(", inlined by ")})`;
    }),
    ...allowed === undefined ? {} : { allowed: allowed.reason },
  };
}
