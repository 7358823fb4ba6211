// SPDX-License-Identifier: MIT
/**
 * Records cases for the tests of `lib/compare`: boots a guest, runs a scenario, and keeps its image together
 * with everything that it was judged by, below `fixtures/recorded`.
 *
 *     deno task fixtures:record [PLATFORM:SCENARIO ...]
 *
 * To be run again when the kernel code, the agent's answers or the model have changed on purpose.
 *
 * @module
 */
import { endProgram } from "./end_program.ts";
import { fromFileUrl, join, resolve } from "@std/path";
import { filterByName, readCatalogue } from "../harness/run/catalogue.ts";
import { UsageError } from "../vm/host/errors.ts";
import type { ObservedCheckpoint } from "../harness/run/case/observe_checkpoint.ts";
import { parsePlatforms } from "../harness/run/platform.ts";
import { prepareGuest } from "../harness/run/guest/prepare_guest.ts";
import { isClean } from "../harness/run/scenario_result.ts";
import { guestKernel, scenarioRunner } from "../harness/run/case/scenario_runner.ts";
import { Terminal } from "../harness/report/terminal.ts";
import { packFixture, type RecordedCase } from "../lib/compare/testing/recorded_case.ts";

const RECORDED = fromFileUrl(new URL("../fixtures/recorded", import.meta.url));
const ALL = ["x86_64:mixed", "compat:mixed_tls", "i386:mixed_tls"];
const MAX_BYTES = 100 * 1024;

async function record(name: string, kernelFile: string | undefined): Promise<void> {
  const [platformName = "", scenarioName = ""] = name.split(":");
  const platform = parsePlatforms({ arch: platformName, fallback: "" })[0]!;
  const scenario = filterByName(await readCatalogue(), [scenarioName])
    .find((candidate) => candidate.name === scenarioName);
  if (!scenario) throw new UsageError(`no scenario "${scenarioName}"`);
  const prepared = await prepareGuest(platform, { terminal: new Terminal(), kernelFile });
  await using guest = await prepared.startGuest();
  const { arch, series, observed } = await guestKernel(guest, prepared);
  let seen: ObservedCheckpoint | undefined;
  const run = scenarioRunner(prepared, { onCheckpoint: (checkpoint) => seen ??= checkpoint });
  const outcome = await run(guest, scenario);
  if (!seen || !isClean(outcome)) throw new Error(`${name} did not pass: nothing recorded`);
  const { compileTarget } = prepared;
  const image = seen.image.slice();
  await write(`${platformName}-${scenarioName}`, {
    ...{ scenario, stop: 0, compileTarget, arch, series },
    ...{ kernel: observed, raw: seen.raw, image },
  });
}

async function write(name: string, recorded: RecordedCase): Promise<void> {
  const packed = await packFixture(recorded);
  if (packed.length > MAX_BYTES) {
    throw new Error(`${name} has ${packed.length} bytes: at most ${MAX_BYTES}`);
  }
  await Deno.mkdir(RECORDED, { recursive: true });
  await Deno.writeFile(join(RECORDED, `${name}.json.gz`), packed);
  console.log(`${name}: ${recorded.image.length} bytes of image, ${packed.length} bytes`);
}

if (import.meta.main) {
  await endProgram(async () => {
    // For a kernel that was built elsewhere: --kernel=FILE before the names.
    const kernelFile = Deno.args[0]?.startsWith("--kernel=")
      ? resolve(Deno.env.get("INIT_CWD") ?? ".", Deno.args[0].slice(9))
      : undefined;
    const names = Deno.args.slice(kernelFile === undefined ? 0 : 1);
    for (const name of names.length > 0 ? names : ALL) await record(name, kernelFile);
  });
}
