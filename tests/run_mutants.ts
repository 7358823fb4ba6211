// SPDX-License-Identifier: MIT

import { type Mutant, readMutants } from "../harness/mutants/mutant.ts";
import { mutantRequest, type MutantRun, MutantRunner, mutantsFor } from "../harness/mutants/run_mutants.ts";
import { Terminal } from "../harness/report/terminal.ts";
import { readCatalogue } from "../harness/run/catalogue.ts";
import { prepareGuest } from "../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../harness/run/platform.ts";

/** A kernel with mutants in it; all those of the fixtures by default. */
export async function prepareMutants(
  platformName: string,
  given?: readonly Mutant[],
): Promise<Omit<MutantRun, "onProgress">> {
  const [platform] = parsePlatforms({ arch: platformName, fallback: "x86_64" });
  const mutants = await mutantsFor(platformName, given ?? await readMutants());
  const catalogue = await readCatalogue();
  const request = { terminal: new Terminal(), scenarios: catalogue, ...await mutantRequest(mutants) };
  return { prepared: await prepareGuest(platform!, request), mutants, catalogue };
}

/** Runs every mutant for these platforms. @returns those that were not killed as their file says */
export async function survivorsOn(platforms: readonly string[]): Promise<string[]> {
  const survivors: string[] = [];
  for (const platform of platforms) {
    const run = await prepareMutants(platform);
    const runner = new MutantRunner({ ...run, onProgress() {} });
    const wanted = run.mutants.filter((mutant) =>
      mutant.platform === platform && mutant.equivalent === undefined
    );
    await runner.runAll(wanted, {
      jobs: navigator.hardwareConcurrency,
      onResult({ mutant: { name }, verdict, by, finding, seconds }) {
        console.log(`${name}: ${verdict} by ${by} in ${seconds.toFixed(1)} s: ${finding}`);
        if (verdict !== "killed") survivors.push(name);
      },
    });
  }
  return survivors;
}
