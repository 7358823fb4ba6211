// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import type { Scenario } from "../../lib/model/scenario.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import type { Guest } from "./guest/guest.ts";
import { writesToShare } from "./guest/recordable.ts";
import { finalLeakCheck } from "../check/leaks/page_leaks.ts";
import type { PreparedGuest } from "./guest/prepare_guest.ts";
import { type CatalogueOptions, runCatalogue } from "./run_catalogue.ts";
import type { RunReport } from "./run_report.ts";
import { type RunnerOptions, scenarioRunner } from "./case/scenario_runner.ts";
import { allowedBy, type AllowedOn, readSplatAllowlist } from "../triage/splat_allowlist.ts";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { overlayNamer, readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { splatDecoder } from "../triage/decode_frames.ts";

interface PlatformRunOptions
  extends RunnerOptions, Pick<CatalogueOptions, "repeat" | "slots" | "times" | "limit" | "isolate"> {
  /** Done with each guest before it ends, unless it was lost. */
  readonly atGuestEnd?: (guest: Guest) => Promise<void>;
}

/** What is told of a run. */
export type RunObserver =
  & Pick<RunReport, "guest" | "starting" | "result" | "note">
  & Partial<Pick<RunReport, "directory">>;

/** Runs scenarios on one prepared kernel and reports each. */
export async function runPlatform(
  prepared: PreparedGuest,
  scenarios: readonly Scenario[],
  report: RunObserver,
  { atGuestEnd, repeat, slots, times, limit, isolate, ...options }: PlatformRunOptions = {},
): Promise<void> {
  await using snapshots = isolate ? prepared.snapshots : undefined;
  const startGuest = snapshots ? () => snapshots.start() : prepared.startGuest;
  const { startRecorded } = prepared;
  const { directory } = report;
  const { name, flavour } = prepared.platform;
  const allowlist = await readSplatAllowlist();
  const { vmlinux, patch } = prepared.build ?? {};
  const nameSources = patch === "added" ? overlayNamer((await readOverlay(OWN_OVERLAY)).keys()) : undefined;
  const leaks: string[] = [];
  const finalCheck = async (guest: Guest): Promise<string> => {
    leaks.push(await finalLeakCheck(guest));
    return leaks.at(-1)!;
  };
  await runCatalogue(scenarios, {
    startGuest: atGuestEnd ? beforeGuestEnds(startGuest, atGuestEnd) : startGuest,
    startRecorded: (scenario) =>
      startRecorded && directory !== undefined && !writesToShare(scenario)
        ? () => startRecorded(join(directory, "recordings"))
        : undefined,
    runScenario: scenarioRunner(prepared, options),
    skipReason: prepared.skipReason,
    ...{ repeat, slots, times, limit, isolate },
    signal: prepared.signal,
    allowed: (splat) => allowedBy(splat, allowlist, kernelOf(prepared)),
    decode: vmlinux === undefined ? undefined : splatDecoder(vmlinux, nameSources),
    finalCheck: flavour === "debug" ? finalCheck : undefined,
    onGuest: (guest) => report.guest(guest),
    onStart: (scenario, index) => report.starting(name, scenario, index, scenarios.length),
    onResult: (result) => report.result(name, result),
  });
  if (leaks.length > 0 && leaks.every((text) => text === "")) {
    report.note(`${name}: no page and no object has leaked`);
  }
}

/** What an entry of the allowlist may ask of a kernel. */
function kernelOf({ platform, build }: PreparedGuest): AllowedOn {
  const series = /^\d+\.\d+/.exec(build?.info.release ?? "")?.[0];
  return { arch: platform.name, flavour: build?.flavour, series };
}

/**
 * Has something done with each guest before it ends. A guest that was lost by then can tell nothing more:
 * that is no error of its own.
 */
function beforeGuestEnds(
  startGuest: () => Promise<Guest>,
  work: (guest: Guest) => Promise<void>,
): () => Promise<Guest> {
  return async () => {
    const guest = await startGuest();
    const end = guest[Symbol.asyncDispose].bind(guest);
    guest[Symbol.asyncDispose] = async () => {
      try {
        await work(guest);
      } catch (error) {
        if (!(error instanceof ExpectedError)) throw error;
      } finally {
        await end();
      }
    };
    return guest;
  };
}
