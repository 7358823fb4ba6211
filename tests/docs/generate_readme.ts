// SPDX-License-Identifier: MIT
/**
 * The samples of what a run prints in `README.md`. `deno task docs:readme` makes them anew: it boots guests, on the
 * kernel as it is and on two that are wrong on purpose.
 *
 * @module
 */
import { fromFileUrl } from "@std/path";
import { readMutants } from "../../harness/mutants/mutant.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { filterByName, readCatalogue } from "../../harness/run/catalogue.ts";
import { planGuests } from "../../harness/run/guest/plan_guest.ts";
import { preparePlanned } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { runPlatform } from "../../harness/run/run_platform.ts";
import { RunReport } from "../../harness/run/run_report.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import type { OverlayEdit } from "../../vm/kernel/source/kernel_overlay.ts";

/** The file that has the samples. */
export const README: string = fromFileUrl(new URL("../../README.md", import.meta.url));

/** One sample: what runs, on which kernel, and which of the lines are shown. */
interface Sample {
  readonly filter: readonly string[];
  edits(): Promise<readonly OverlayEdit[]>;
  show(lines: readonly string[]): readonly string[];
}

/** A place where the kernel code complains for the third sample. */
const COMPLAINT: OverlayEdit = {
  file: "arch/x86/mm/checkpoint.c",
  find: "\thh.nldt = nr;\n",
  replace: "\thh.nldt = nr;\n\tWARN_ON(nr);\n",
};

/** In the order of the page. */
export const SAMPLES: readonly Sample[] = [
  {
    filter: ["busybox_sh", "ldt_far_entries", "pages_5000", "refuse_shared_anon"],
    edits: () => Promise.resolve([]),
    show: (lines) => lines,
  },
  {
    filter: ["ldt_far_entries"],
    edits: async () => (await readMutants()).find(({ name }) => name === "ldt_one_entry_short")!.edits,
    show: failureOf,
  },
  {
    filter: ["ldt_one"],
    edits: () => Promise.resolve([COMPLAINT]),
    show: (lines) => [...failureOf(lines), "...", ...lines.slice(lines.indexOf("1 distinct splat:"))],
  },
];

/** The lines of the failure, and of the kernel's report the beginning alone. */
function failureOf(lines: readonly string[]): string[] {
  const start = lines.findIndex((line) => line.startsWith("FAIL "));
  const end = lines.findIndex((line) => line.includes("kept in: "));
  const failure = lines.slice(start, end + 1);
  const log = failure.filter((line) => line.startsWith("        | "));
  return failure.flatMap((line) => !log.includes(line) ? [line] : log.indexOf(line) < 2 ? [line] : []);
}

/** What a sample prints now. */
export async function printSample({ filter, edits, show }: Sample): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const out = {
    isTerminal: () => false,
    writeSync: (bytes: Uint8Array) => (text += decoder.decode(bytes), bytes.length),
  };
  const terminal = new Terminal({ out, env: new Map() });
  const { signal } = new AbortController();
  const scenarios = filterByName(await readCatalogue(), filter);
  const platforms = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const plans = await planGuests(platforms, {
    ...{ terminal, signal, scenarios, accelerator: "tcg", mutations: await edits() },
  });
  const report = await RunReport.open({ directory: undefined, terminal, task: ["test:qemu"] });
  await report.during(signal, async () => {
    for (const plan of plans) {
      const prepared = await preparePlanned(plan);
      report.beginPlatform({ ...prepared, name: plan.platform.name });
      await runPlatform(prepared, scenarios, report);
    }
  });
  const lines = text.replaceAll(cacheDirectory(), "~/.cache/ckptest").trimEnd().split("\n");
  return `${show(lines).join("\n")}\n`;
}

const BLOCK = /^```\n((?:# x86_64: |FAIL {2}x86_64 )[^]*?)^```$/gm;

/** The samples of a page. */
export function samplesOf(page: string): string[] {
  return [...page.matchAll(BLOCK)].map(([, text]) => text!);
}

/** The page with other samples. */
export function withSamples(page: string, samples: readonly string[]): string {
  let next = 0;
  return page.replace(BLOCK, (block) => `\`\`\`\n${samples[next++] ?? block}\`\`\``);
}

/** A sample without what is another one in each run: numbers, addresses, times and the widths that they need. */
export function normalize(sample: string): string {
  return sample.replaceAll(/\b(?:0x)?[\da-f]*\d[\d,.a-fT-]*\b/g, "N").replaceAll(/[ \t]+/g, " ");
}

if (import.meta.main) {
  const samples: string[] = [];
  for (const sample of SAMPLES) samples.push(await printSample(sample));
  await Deno.writeTextFile(README, withSamples(await Deno.readTextFile(README), samples));
  Deno.exit(0);
}
