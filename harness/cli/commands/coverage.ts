// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { readOverlay } from "../../../vm/kernel/source/kernel_overlay.ts";
import { OWN_OVERLAY } from "../../../vm/kernel/build/build_kernel.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import {
  addCoverage,
  branchShare,
  type Coverage,
  coverageLcov,
  explainLines,
  formatShare,
  judgeLines,
  lineShare,
  readUnreachableLines,
} from "../../coverage/coverage.ts";
import { type ChangedLines, changedLines } from "../../coverage/changed_lines.ts";
import { coveragePage } from "../../coverage/coverage_page.ts";
import { readCoverage } from "../../coverage/read_coverage.ts";
import { EXIT_STATUS, throwIfInterrupted } from "../../../vm/host/errors.ts";
import { faultScenarios, newFaultTally, sweepBoth } from "../../faults/sweep_faults.ts";
import type { Guest } from "../../run/guest/guest.ts";
import { type Command, defineCommand, value } from "../options.ts";
import { ACCELERATOR_OPTION, ARCH_OPTION, FILTER_WORDS, OUT_OPTION } from "../shared_options.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { runPlatform } from "../../run/run_platform.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

/** `coverage`: which lines of the kernel code the catalogue and the fault sweep reach. */
export const coverageCommand: Command = defineCommand({
  ...FILTER_WORDS,
  ...ARCH_OPTION,
  ...ACCELERATOR_OPTION,
  ...OUT_OPTION,
  diff: value("COMMIT", "judge only the lines of vm/kernel/overlay that are not as they were in COMMIT"),
}, {
  about:
    "run the catalogue and the fault sweep on kernels that count lines; write one HTML page, and a file of lcov",
  async run({ filter, arch, accel, out, diff }, { terminal, signal }) {
    const platforms = parsePlatforms({ arch, fallback: "x86_64,i386,compat", flavour: "fault" });
    const changed = diff === undefined ? undefined : await changedLines(OWN_OVERLAY, diff);
    const catalogue = await readCatalogue();
    const scenarios = filterByName(catalogue, filter);
    const swept = filter.length > 0 ? scenarios : faultScenarios(catalogue);
    const overlay = [...await readOverlay(OWN_OVERLAY)].filter(([path]) => /\.[ch]$/.test(path));
    const sources = new Map(
      overlay.map(([path, bytes]) => [path, new TextDecoder().decode(bytes).split("\n")] as const),
    );
    const plans = await planGuests(platforms, { terminal, signal, scenarios: catalogue, accelerator: accel });
    const report = await RunReport.open({ directory: out, terminal, task: ["ckptest", "coverage"] });
    const coverage: Coverage = new Map();
    const tally = newFaultTally();
    let isFull = false;
    const { counts } = await report.during(signal, async () => {
      for (const plan of plans) {
        throwIfInterrupted(signal);
        const { platform: { name }, request } = plan;
        const prepared = await preparePlanned(plan);
        const atGuestEnd = async ({ agent }: Guest): Promise<void> => {
          addCoverage(coverage, await readCoverage(agent, prepared.build!, [...sources.keys()]));
        };
        report.beginPlatform({ ...prepared, name });
        await runPlatform(prepared, scenarios, report, { atGuestEnd });
        report.beginPlatform({ ...prepared, name }, { how: "with restarts" });
        await runPlatform(prepared, scenarios, report, { atGuestEnd, restarts: true });
        if (name.startsWith("x86_64")) {
          // A CPU without FSGSBASE has the bases of segments in descriptors alone.
          const old = await preparePlanned({ ...plan, request: { ...request, append: ["nofsgsbase"] } });
          report.beginPlatform({ ...old, name }, { how: "with nofsgsbase" });
          const ofSegments = scenarios.filter(({ name }) => SEGMENT_SCENARIOS.test(name));
          await runPlatform(old, ofSegments, report, { atGuestEnd, restarts: true });
        }
        report.beginPlatform({ ...prepared, name }, { how: "with faults" });
        await runPlatform(prepared, swept, report, {
          atGuestEnd,
          secondCheck: sweepBoth(prepared, tally),
        });
      }
      throwIfInterrupted(signal);
      const names = platforms.map(({ name }) => name);
      isFull = await reportCoverage({ coverage, sources, report, names, changed });
    });
    const status = exitStatusOf(counts);
    const isJudged = filter.length === 0 || changed !== undefined;
    return status === EXIT_STATUS.pass && isJudged && !isFull ? EXIT_STATUS.testFailed : status;
  },
});

/** Scenarios of segments that are loaded, and of none. */
const SEGMENT_SCENARIOS = /^(minimal|tls_|ldt_|registers_selectors)/;

/** Writes the page and the numbers. True when every line that is judged ran or is explained. */
async function reportCoverage(
  { coverage, sources, report, names, changed }:
    & Pick<Parameters<typeof coveragePage>[0], "coverage" | "sources">
    & { report: RunReport; names: readonly string[]; changed: ChangedLines | undefined },
): Promise<boolean> {
  const explained = explainLines(await readUnreachableLines(), sources, coverage);
  const page = join(report.directory, "coverage.html");
  const title = `Coverage of the checkpoint patch on ${names.join(", ")}`;
  await writeWhole(page, coveragePage({ title, coverage, sources, explained }));
  const lcov = join(report.directory, "coverage.info");
  await writeWhole(lcov, coverageLcov(coverage, "vm/kernel/overlay/"));
  const files = [...coverage.values()];
  const { judged, excused, unreached } = judgeLines({ coverage, explained, changed });
  const { total, reached } = lineShare(files);
  const named = unreached.map(({ path, line }) =>
    `${path}:${line}: ${sources.get(path)?.[line - 1]?.trim()}`
  );
  for (const line of named.toSorted()) report.note(`never ran: ${line}`);
  if (changed !== undefined) {
    const ran = judged - unreached.length;
    report.note(`changed:  ${ran} of ${judged} lines with code ran, or cannot run, and why is told`);
  }
  const share = formatShare({ total: total - excused, reached });
  report.note(`lines:    ${share}, ${excused} more cannot run, and why is told`);
  report.note(`branches: ${formatShare(branchShare(files))}`);
  report.note(`page:     ${page}`);
  report.note(`lcov:     ${lcov}`);
  return unreached.length === 0 && total > 0;
}
