// SPDX-License-Identifier: MIT

import { EXIT_STATUS, throwIfInterrupted } from "../../../vm/host/errors.ts";
import { type Mutant, readMutants } from "../../mutants/mutant.ts";
import { mutantRequest, type MutantResult, MutantRunner, mutantsFor } from "../../mutants/run_mutants.ts";
import type { Terminal } from "../../report/terminal.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import type { CommandFinding } from "../../run/command_outcome.ts";
import { planGuest } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { type Command, defineCommand, values } from "../options.ts";
import { ACCELERATOR_OPTION, ARCH_OPTION, FLAVOUR_OPTION } from "../shared_options.ts";

/** `mutants`: wrong versions of the kernel code, each of which a scenario must tell from the right one. */
export const mutantsCommand: Command = defineCommand({
  filter: values(
    "TEXT",
    "only the mutant of that name, or those whose names contain TEXT or match /TEXT/",
  ),
  ...ARCH_OPTION,
  ...FLAVOUR_OPTION,
  ...ACCELERATOR_OPTION,
}, {
  about: "run the scenarios on wrong versions of the kernel code until one fails; by default all mutants",
  async run({ filter, arch, flavour, accel }, { terminal, signal }) {
    const all = await readMutants();
    const chosen = filterByName(all, filter, "mutant");
    const platforms = arch === undefined && flavour === undefined
      ? parsePlatforms({
        arch: [...new Set(chosen.map(({ platform }) => platform))].join(),
        fallback: "x86_64",
      })
      : parsePlatforms({ arch, flavour, fallback: "x86_64,i386" });
    const catalogue = await readCatalogue();
    const results: MutantResult[] = [];
    for (const platform of platforms) {
      const mutants = mutantsFor(platform.name, all);
      const wanted = mutants.filter((mutant) => chosen.includes(mutant));
      if (wanted.length === 0) continue;
      const request = {
        terminal,
        signal,
        scenarios: catalogue,
        accelerator: accel,
        ...await mutantRequest(mutants),
      };
      const prepared = await preparePlanned(await planGuest(platform, request));
      const onProgress = (text: string) =>
        terminal.status(`${platform.name}: ${text}`, `${platform.name}: running`);
      const runner = new MutantRunner({ prepared, mutants, catalogue, onProgress });
      for (const mutant of wanted) {
        throwIfInterrupted(signal);
        const result = await runner.run(mutant);
        results.push(result);
        printResult(terminal, mutant, result);
      }
    }
    const survivors = arch === undefined && flavour === undefined
      ? chosen.filter(({ survives }) => survives !== undefined)
      : [];
    for (const { name, survives } of survivors) terminal.result(`survives   ${name}  ${survives}`);
    return summarize(terminal, results, survivors.length);
  },
});

function printResult(terminal: Terminal, mutant: Mutant, result: MutantResult): void {
  const { verdict, by, finding, scenarios, seconds } = result;
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
function summarize(terminal: Terminal, results: readonly MutantResult[], known: number) {
  const count = (verdict: MutantResult["verdict"]) =>
    results.filter((result) => result.verdict === verdict).length;
  const killed = count("killed");
  const equivalent = count("equivalent");
  const others = results.length - equivalent + known;
  const score = others === 0 ? "" : `; mutation score ${(100 * killed / others).toFixed(1)} %`;
  const survived = `${others - killed} survived${known > 0 ? ` (${known} as their files say)` : ""}`;
  terminal.result(`${killed} killed, ${survived}, ${equivalent} equivalent${score}`);
  const findings = results.filter(isFailure).map(({ mutant, verdict }): CommandFinding => ({
    key: `${verdict} ${mutant.name}`,
    text: `${mutant.name} ${verdict}: ${mutant.about}`,
  }));
  if (results.length + known === 0) return { status: EXIT_STATUS.nothingRan, findings };
  return { status: findings.length > 0 ? EXIT_STATUS.testFailed : EXIT_STATUS.pass, findings };
}
