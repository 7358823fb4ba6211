// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import { writeJson } from "../../../vm/host/write_whole.ts";
import { type Mutant, readMutants } from "../../mutants/mutant.ts";
import { mutantRequest, type MutantResult, MutantRunner, mutantsFor } from "../../mutants/run_mutants.ts";
import type { Terminal } from "../../report/terminal.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import type { CommandFinding } from "../../run/command_outcome.ts";
import { planGuest } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";
import {
  mutationScore,
  RUN_RESULT_SCHEMA,
  type RunKernel,
  type RunResult,
  type ScenarioRecord,
} from "../../run/run_result.ts";
import { writePage } from "../../report/html_report.ts";
import { type Command, defineCommand, value, values } from "../options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  FLAVOUR_OPTION,
  JOBS_OPTION,
  SOURCE_OPTIONS,
} from "../shared_options.ts";

/** `mutants`: wrong versions of the kernel code, each of which a scenario must tell from the right one. */
export const mutantsCommand: Command = defineCommand({
  filter: values(
    "TEXT",
    "only the mutant of that name, or those whose names contain TEXT or match /TEXT/",
  ),
  ...ARCH_OPTION,
  ...FLAVOUR_OPTION,
  series: SOURCE_OPTIONS.series,
  ...ACCELERATOR_OPTION,
  ...JOBS_OPTION,
  out: value("DIR", "where results.json and the page go; nowhere by default"),
}, {
  about: "run the scenarios on wrong versions of the kernel code until one fails; by default all mutants",
  async run({ filter, arch, flavour, series, accel, jobs, out }, { terminal, signal }) {
    const [begin, started] = [performance.now(), new Date().toISOString()];
    const all = await readMutants();
    const chosen = filterByName(all, filter, "mutant");
    const own = [...new Set(chosen.map(({ platform }) => platform))].join();
    const fallback = flavour === undefined ? own : "x86_64,i386";
    const platforms = parsePlatforms({ arch, flavour, series, fallback });
    if (out !== undefined) await makeDirectory(out, "the results");
    const catalogue = await readCatalogue();
    const results: MutantResult[] = [];
    const kernels: RunKernel[] = [];
    for (const platform of platforms) {
      const mutants = await mutantsFor(platform.name, all);
      const wanted = mutants.filter((mutant) => mutant.platform === platform.name && chosen.includes(mutant));
      if (wanted.length === 0) continue;
      const request = { terminal, signal, scenarios: catalogue, accelerator: accel };
      const plan = await planGuest(platform, { ...request, ...await mutantRequest(mutants) });
      const prepared = await preparePlanned(plan);
      const { kernelName, acceleratorReason: accelerator, build } = prepared;
      kernels.push({ platform: platform.name, name: kernelName, key: build?.key, accelerator });
      const onProgress = (text: string) =>
        terminal.status(`${platform.name}: ${text}`, `${platform.name}: running`);
      const runner = new MutantRunner({ prepared, mutants, catalogue, onProgress });
      const onResult = (result: MutantResult) => {
        results.push(result);
        printResult(terminal, result);
      };
      await runner.runAll(wanted, { jobs: jobs ?? navigator.hardwareConcurrency, onResult });
    }
    const survivors = chosen.filter(({ survives, platform }) =>
      survives !== undefined && platforms.some(({ name }) => name === platform)
    );
    for (const { name, survives } of survivors) terminal.result(`survives   ${name}  ${survives}`);
    const counts = countMutants(results, survivors.length);
    if (out !== undefined) {
      const took = { started, milliseconds: Math.round(performance.now() - begin) };
      await writeJson(join(out, "results.json"), runResultOf(results, survivors, { ...took, kernels }));
      const page = await writePage(out, terminal);
      if (page !== undefined) terminal.result(`report: ${page}`);
    }
    const { killed, survived, equivalent } = counts;
    const known = survivors.length === 0 ? "" : ` (${survivors.length} as their files say)`;
    terminal.result(
      `${killed} killed, ${survived} survived${known}, ${equivalent} equivalent; mutation score ${
        mutationScore(counts)
      }`,
    );
    const findings = results.filter(isFailure).map(({ mutant, verdict }): CommandFinding => ({
      key: `${verdict} ${mutant.name}`,
      text: `${mutant.name} ${verdict}: ${mutant.about}`,
    }));
    if (results.length + survivors.length === 0) return { status: EXIT_STATUS.nothingRan, findings };
    return { status: findings.length > 0 ? EXIT_STATUS.testFailed : EXIT_STATUS.pass, findings };
  },
});

function printResult(terminal: Terminal, result: MutantResult): void {
  const { mutant, verdict, by, finding, scenarios, seconds } = result;
  const word = verdict === "killed" || verdict === "equivalent" ? verdict : verdict.toUpperCase();
  const how = by === undefined ? `${scenarios} scenarios pass` : `${by}: ${finding?.split("\n", 1)[0]}`;
  terminal.clearStatus();
  terminal.result(`${word.padEnd(10)} ${mutant.name}  ${how} (${seconds.toFixed(1)} s)`);
  if (!isFailure(result)) return;
  terminal.result(`      ${mutant.about}`);
  if (verdict === "missed") {
    terminal.result(`      its file says: ${[mutant.finding, mutant.at].filter(Boolean).join("; ")}`);
  }
  terminal.result(`      reproduce: deno task ckptest mutants --filter ${mutant.name}`);
}

function isFailure({ verdict }: MutantResult): boolean {
  return verdict === "survived" || verdict === "missed";
}

/** @param known how many are known to survive */
function countMutants(results: readonly MutantResult[], known: number): NonNullable<RunResult["mutants"]> {
  const count = (verdict: MutantResult["verdict"]) =>
    results.filter((result) => result.verdict === verdict).length;
  const [killed, equivalent] = [count("killed"), count("equivalent")];
  return { killed, survived: results.length - killed - equivalent + known, equivalent };
}

/** The results as those of a run, with a mutant in place of a scenario. */
export function runResultOf(
  results: readonly MutantResult[],
  survivors: readonly Mutant[],
  run: Pick<RunResult, "started" | "milliseconds" | "kernels">,
): RunResult {
  const recordOf = ({ name, platform }: Mutant, rest: Pick<ScenarioRecord, "status" | "reason">) => ({
    ...{ platform, scenario: name, milliseconds: 0, findings: [], splats: [], stops: [] },
    ...rest,
    reproduce: `deno task ckptest mutants --filter ${name}`,
  });
  const records = [
    ...results.map((result): ScenarioRecord => ({
      ...recordOf(result.mutant, {
        status: isFailure(result) ? "fail" : "pass",
        reason: `${result.verdict}${
          result.by === undefined ? "" : ` by ${result.by}`
        }: ${result.mutant.about}`,
      }),
      milliseconds: Math.round(1000 * result.seconds),
    })),
    ...survivors.map((mutant) =>
      recordOf(mutant, { status: "skip", reason: `survives: ${mutant.survives}` })
    ),
  ];
  const count = (status: string) => records.filter((record) => record.status === status).length;
  return {
    ...{ schema: RUN_RESULT_SCHEMA, ...run, results: records },
    counts: { passed: count("pass"), failed: count("fail"), lost: 0, skipped: count("skip") },
    bytes: { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 },
    volatile: {},
    mutants: countMutants(results, survivors.length),
  };
}
