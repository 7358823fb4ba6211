// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { planKernel } from "../build/build_kernel.ts";
import { BuildError } from "../build/build_error.ts";
import { inStage, type OnBuildProgress } from "../build/build_stage.ts";
import type { OverlayEdit } from "../source/kernel_overlay.ts";
import { fetchSource, type IdentifiedSource } from "../source/kernel_source.ts";
import { wantedFiles } from "../source/kernel_tree.ts";
import { readSeriesPlan, type SeriesPlan, stageFiles } from "./series_plan.ts";

/** The port as a series of patches, before any of it is written. */
export interface Series {
  plan: SeriesPlan;
  source: IdentifiedSource;
  /** The kernel's source as it came. Nobody may write to it. */
  pristine: string;
  /** By path, the text of each file that the port changes and the kernel has. */
  originals: ReadonlyMap<string, string>;
  /** For each patch, by path, the files that it and those before it touch. */
  stages: readonly ReadonlyMap<string, string>[];
}

interface LoadSeriesOptions {
  /** Major and minor version of Debian's kernel, such as `6.1`. */
  series: string;
  cacheDir: string;
  /** Edits that make the port wrong on purpose. */
  mutations?: readonly OverlayEdit[];
  onProgress?: OnBuildProgress | undefined;
}

/**
 * Reads overlay, hooks and plan, and cuts the port into its patches.
 *
 * @throws {BuildError} of stage `fetch` or `apply`.
 */
export async function loadSeries(options: LoadSeriesOptions): Promise<Series> {
  const { series, cacheDir, mutations = [] } = options;
  const plan = await inStage("apply", () => readSeriesPlan(join(OWN_DIRECTORY, `${series}.json`)));
  const { source, edits } = await planKernel({
    arch: "x86_64", // the files of the port are the same for all
    source: { kind: "debian", series },
    cacheDir,
    mutations,
  });
  const pristine = await fetchSource(source, options);
  const finished = await inStage("apply", () => wantedFiles({ pristine, edits, cacheDir }));
  const texts = new Map([...finished].map(([file, bytes]) => [file, decode(file, bytes)]));
  const originals = new Map<string, string>();
  for (const file of texts.keys()) {
    const bytes = await Deno.readFile(join(pristine, file)).catch(() => undefined);
    if (bytes !== undefined) originals.set(file, decode(file, bytes));
  }
  return { plan, source, pristine, originals, stages: stageFiles(plan, texts) };
}

const OWN_DIRECTORY = import.meta.dirname ?? ".";

/** Texts go through strings, so they must be what they seem to be. */
function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BuildError({ stage: "apply", problem: `${file} is not UTF-8 text` }, { cause });
  }
}
