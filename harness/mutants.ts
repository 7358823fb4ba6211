// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import type { OverlayEdit } from "../vm/kernel/source/kernel_overlay.ts";

/** An error to be planted in the kernel code, and the finding that must give it away. */
export interface PlantedError {
  readonly name: string;
  readonly about: string;
  /** Which error of the code as posted it brings back: its number in docs/review.md, without the B. */
  readonly bug?: string;
  /** The platform that gives it away, as `--arch` names it; x86_64 by default. */
  readonly platform?: string;
  readonly edits: readonly OverlayEdit[];
  /** The scenario that sees it. */
  readonly scenario: string;
  /**
   * The finding's id, a part of its path, and a part of what was found; the id `lost` stands for a guest that
   * hangs.
   */
  readonly finding: { readonly id: string; readonly path: string; readonly actual?: string };
  /** The line of the edited file that the kernel's report must name. */
  readonly at?: { readonly file: string; readonly line: string };
  /** Whether random programs must find it too, and be made small. */
  readonly fuzz: boolean;
}

const PATH = join(import.meta.dirname ?? ".", "..", "fixtures", "mutants.json");

/** Reads the planted errors of the fixtures. */
export async function readPlantedErrors(): Promise<PlantedError[]> {
  return JSON.parse(await Deno.readTextFile(PATH)) as PlantedError[];
}
