// SPDX-License-Identifier: MIT

import type { Scenario } from "../../lib/model/scenario.ts";
import { filterScenarios, readCatalogue, readScenario } from "../catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../exit_status.ts";
import { parsePlatforms } from "../platform.ts";
import { parseOptions } from "../parse_options.ts";
import { type PreparedGuest, prepareGuest } from "../prepare_guest.ts";
import { RunReport } from "../run_report.ts";
import { runCatalogue } from "../run_catalogue.ts";
import { scenarioRunner } from "../scenario_runner.ts";
import { Terminal } from "../terminal.ts";
import {
  allowedBy,
  type AllowedOn,
  type AllowedSplat,
  readSplatAllowlist,
} from "../triage/splat_allowlist.ts";
import { splatDecoder } from "../triage/splat_decoder.ts";

const DEFAULT_PLATFORMS = "x86_64,i386";

/** `run`: the catalogue, on each kernel. */
export const runCommand: Command = {
  usage: [
    "run [--filter TEXT]... [--scenario FILE]... [--arch LIST] [--repeat N] [--out DIR]",
    "build what changed, boot guests, run the scenarios and judge every image",
  ],
  options: [
    "--filter TEXT     only scenarios whose name contains TEXT (may be repeated)",
    "--scenario FILE   run that scenario file in place of the catalogue (may be repeated)",
    "--arch LIST       kernels, separated by commas, or all",
    "--accel NAME      kvm or tcg, in place of the probe",
    "--kernel FILE     a ready vmlinux or bzImage that carries the patch, in place of our build",
    "--repeat N        how often what failed is run again in fresh guests (0 to 100; 1, and 2 after a splat)",
    "--out DIR         where the results go; a new directory below the cache by default",
  ],
  async run(args) {
    const options = parseOptions(args, {
      string: ["arch", "accel", "kernel", "out", "repeat"],
      collect: ["filter", "scenario"],
    });
    const repeat = options.number("repeat", { min: 0, max: 100 });
    const allowlist = await readSplatAllowlist();
    const kernelFile = options.string("kernel");
    const files = options.list("scenario");
    const all = files.length > 0 ? await Promise.all(files.map(readScenario)) : await readCatalogue();
    const scenarios = filterScenarios(all, [...options.list("filter"), ...options.words]);
    const terminal = new Terminal();
    const report = await RunReport.open(options.string("out"), terminal);
    if (scenarios.length > 0) {
      const platforms = parsePlatforms(
        options.string("arch"),
        kernelFile === undefined ? DEFAULT_PLATFORMS : "x86_64",
      );
      if (kernelFile !== undefined && platforms.length > 1) {
        throw new UsageError(`option --kernel takes one kernel: name its platform with --arch`);
      }
      const accelerator = options.string("accel");
      const all: PreparedGuest[] = [];
      // One kernel build at a time uses all processors; guests have one processor each and run side by side.
      for (const platform of platforms) {
        const prepared = await prepareGuest(platform, { terminal, accelerator, kernelFile, scenarios });
        report.beginPlatform({ ...prepared, name: platform.name });
        all.push(prepared);
      }
      const run = { scenarios, report, repeat, allowlist };
      await Promise.all(all.map((prepared) => runPlatform(prepared, run)));
    }
    return exitStatus(await report.close());
  },
};

/** What all platforms of a run share. */
interface Run {
  readonly scenarios: readonly Scenario[];
  readonly report: RunReport;
  readonly repeat: number | undefined;
  readonly allowlist: readonly AllowedSplat[];
}

async function runPlatform(prepared: PreparedGuest, run: Run): Promise<void> {
  const { scenarios, report, repeat, allowlist } = run;
  const { name } = prepared.platform;
  const vmlinux = prepared.build?.vmlinux;
  await runCatalogue(scenarios, {
    startGuest: prepared.startGuest,
    runScenario: scenarioRunner(prepared),
    skipReason: prepared.skipReason,
    repeat,
    allowed: (splat) => allowedBy(splat, allowlist, kernelOf(prepared)),
    ...(vmlinux === undefined ? {} : { decode: splatDecoder(vmlinux) }),
    onGuest: (guest) => report.guest(guest),
    onStart: (scenario, index) => report.starting(name, scenario, index, scenarios.length),
    onResult: (result) => report.result(name, result),
  });
}

/** What an entry of the allowlist may ask of a kernel. */
function kernelOf({ platform, build }: PreparedGuest): AllowedOn {
  const series = /^\d+\.\d+/.exec(build?.info.release ?? "")?.[0];
  return { arch: platform.name, ...(build ? { flavour: "plain" } : {}), ...(series ? { series } : {}) };
}

function exitStatus(counts: { passed: number; failed: number; lost: number }): ExitStatus {
  if (counts.failed > 0) return EXIT_STATUS.testFailed;
  if (counts.lost > 0) return EXIT_STATUS.guestLost;
  return counts.passed > 0 ? EXIT_STATUS.pass : EXIT_STATUS.nothingRan;
}
