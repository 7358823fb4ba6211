// SPDX-License-Identifier: MIT

import { medianOf } from "../../run/quantity.ts";
import { measureDumpSpeed, speedScenario } from "../../bench/dump_speed.ts";
import { EXIT_STATUS, type ExitStatus, throwIfInterrupted, UsageError } from "../../../vm/host/errors.ts";
import {
  type Command,
  type CommandContext,
  defineCommand,
  flag,
  oneOf,
  optionalWord,
  value,
  wholeNumber,
} from "../options.ts";
import { ARCH_OPTION, FILTER_OPTION } from "../shared_options.ts";
import { harnessTimeLines, measureHarnessTime } from "../../bench/harness_time.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms, type Platform } from "../../run/platform.ts";

const DEFAULT_PAGES = 8192;
const DEFAULT_ROUNDS = 5;
const MEMORY_MIB = 512;
const WAYS = {
  checkpoint: "checkpoint(2) to a tmpfs",
  copy: "process_vm_readv(2) and write(2) of the same pages",
  gcore: "gdb's gcore, without gdb's start",
  restart: "restart(2) from a tmpfs, of a new process",
  cat: "readv(2) of the same image, as cat does",
};

/**
 * `bench`: how fast the call writes an image, against others that write the same memory; `bench harness`: where the
 * time of a run goes.
 */
export const benchCommand: Command = defineCommand({
  what: optionalWord(
    oneOf(["call", "harness"]),
    "harness: where the time of scenarios goes, one after another",
  ),
  ...FILTER_OPTION,
  pages: value(wholeNumber(1, 1 << 15), `dirty pages of the process; ${DEFAULT_PAGES} by default`),
  rounds: value(wholeNumber(1, 1000), `how often each is measured; ${DEFAULT_ROUNDS} by default`),
  ...ARCH_OPTION,
  noGdb: flag("without gdb, which has to be fetched and copied into the guest"),
}, {
  about:
    "speed of both calls, in one guest: against a copy of the pages, gdb's gcore, cat; or of the harness",
  async run(
    { what, filter, pages = DEFAULT_PAGES, rounds = DEFAULT_ROUNDS, arch, noGdb },
    { terminal, signal },
  ) {
    const platforms = parsePlatforms({ arch, fallback: "x86_64" });
    if (what === "harness") return await benchHarness(platforms, filter, { terminal, signal });
    if (filter.length > 0) throw new UsageError("option --filter goes with bench harness");
    const withGdb = !noGdb;
    const scenario = speedScenario(pages);
    const plans = await planGuests(platforms, {
      ...{ terminal, signal, memoryMiB: MEMORY_MIB },
      scenarios: withGdb ? [scenario] : [],
    });
    for (const plan of plans) {
      const { platform } = plan;
      const prepared = await preparePlanned(plan);
      await using guest = await prepared.startGuest();
      terminal.status(`${platform.name}: measuring`);
      const rates = await measureDumpSpeed(guest, prepared, { scenario, pages, rounds, withGdb });
      terminal.clearStatus();
      terminal.result(
        `# ${platform.name}: ${prepared.kernelName}, ${pages} dirty pages, median of ${rounds}`,
      );
      for (const way of ["checkpoint", "copy", "gcore", "restart", "cat"] as const) {
        const rate = medianOf(rates[way]);
        if (rate === undefined) continue;
        const times = (medianOf(rates.checkpoint)! / rate).toFixed(2);
        const ratio = way === "checkpoint" ? "" : `, checkpoint(2) is ${times} times as fast`;
        terminal.result(`${(rate / 1e6).toFixed(0).padStart(7)} MB/s  ${WAYS[way]}${ratio}`);
      }
    }
    return EXIT_STATUS.pass;
  },
});

async function benchHarness(
  platforms: readonly Platform[],
  filter: readonly string[],
  { terminal, signal }: Pick<CommandContext, "terminal" | "signal">,
): Promise<ExitStatus> {
  const scenarios = filterByName(await readCatalogue(), filter);
  const plans = await planGuests(platforms, { terminal, signal, scenarios });
  for (const plan of plans) {
    const prepared = await preparePlanned(plan);
    terminal.status(`${plan.platform.name}: measuring`);
    const time = await measureHarnessTime(prepared, scenarios);
    throwIfInterrupted(signal);
    terminal.clearStatus();
    terminal.result(`# ${plan.platform.name}: ${prepared.kernelName}`);
    for (const line of harnessTimeLines(time)) terminal.result(line);
    if (time.failed > 0) return EXIT_STATUS.testFailed;
  }
  return EXIT_STATUS.pass;
}
