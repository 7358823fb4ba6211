// SPDX-License-Identifier: MIT

import { DEFAULT_SERIES, PORTED_SERIES } from "../../../lib/abi/series.ts";
import { cacheDirectory } from "../../../vm/host/own_directories.ts";
import type { BuildProgress } from "../../../vm/kernel/build/build_stage.ts";
import { buildSeries } from "../../../vm/kernel/patches/build_series.ts";
import { applySeries, exportSeries } from "../../../vm/kernel/patches/export_series.ts";
import { loadSeries } from "../../../vm/kernel/patches/load_series.ts";
import { readSeriesAuthor } from "../../../vm/kernel/patches/series_author.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import { shellQuote } from "../../../vm/host/shell_quote.ts";
import { type Command, defineCommand, flag, oneOf, type OptionValues, required, value } from "../options.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { parsePlatforms } from "../../run/platform.ts";
import type { Terminal } from "../../report/terminal.ts";

/** The kernel that patches are for, and the architectures that they are compiled for. */
export const PATCHES_OPTIONS = {
  series: value(oneOf(PORTED_SERIES), `the kernel; ${DEFAULT_SERIES} by default`),
  arch: value("LIST", "what is compiled for: x86_64, i386, i386-pae; x86_64,i386 by default"),
};

/** `kernel-series`: writes the port as patches for `git am`. */
export const kernelSeriesCommand: Command = defineCommand({
  out: required("DIR", "where the patches go; a series that is there is replaced"),
  ...PATCHES_OPTIONS,
  author: value("WHO", "who sends and signs them, as 'NAME <EMAIL>'; as git has it by default"),
  date: value("TIME", "as 2026-01-31T12:00:00Z; that of the last commit of the kernel code by default"),
  check: flag("build the kernel after each patch"),
}, {
  about: "write the kernel code as a series of patches, as git format-patch does",
  async run({ out: outDir, author: who, date, check, ...options }, { terminal }) {
    if (options.arch !== undefined && !check) {
      throw new UsageError("option --arch goes with --check: patches are the same for all");
    }
    const author = await readSeriesAuthor({ author: who, date });
    await makeDirectory(outDir, "the patches");
    const patches = await loadPatches(options, terminal);
    const { series, cacheDir } = patches;
    const mails = await exportSeries({ series, author, outDir, cacheDir });
    for (const path of mails) terminal.result(path);
    await applySeries({ series, mails, cacheDir });
    terminal.clearStatus();
    terminal.result("applies without a warning, and gives the tree that is built; in a kernel's repository:");
    terminal.result(`  git am ${shellQuote(outDir.replace(/\/+$/, ""))}/000[1-9]-*.patch`);
    if (!check) return EXIT_STATUS.pass;
    await buildSeries({
      ...patches,
      onBuilt: ({ arch, number, subject, seconds }) =>
        terminal.result(`builds  ${arch.padEnd(8)}  ${number}  ${subject} (${seconds.toFixed(0)} s)`),
    });
    terminal.clearStatus();
    return EXIT_STATUS.pass;
  },
});

/** The kernel code as patches for a kernel, with what their users need. */
export async function loadPatches(
  { series: name = DEFAULT_SERIES, arch }: OptionValues<typeof PATCHES_OPTIONS>,
  terminal: Terminal,
): Promise<Omit<Parameters<typeof buildSeries>[0], "onBuilt">> {
  const arches = [...new Set(parsePlatforms({ arch, fallback: "x86_64,i386" }).map(({ kernel }) => kernel))];
  const cacheDir = cacheDirectory();
  const onProgress = ({ stage, message, seconds }: BuildProgress): void =>
    terminal.status(`kernel, ${stage}: ${message} (${seconds.toFixed(0)} s)`, `kernel, ${stage}`);
  return { arches, cacheDir, onProgress, series: await loadSeries({ series: name, cacheDir, onProgress }) };
}
