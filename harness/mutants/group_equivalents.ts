// SPDX-License-Identifier: MIT

import { BuildError } from "../../vm/kernel/build/build_error.ts";
import { editFiles, type OverlayEdit, type OverlayFiles } from "../../vm/kernel/source/kernel_overlay.ts";
import type { Mutant } from "./mutant.ts";
import { isOfRestart } from "./mutant_kernel.ts";

/**
 * Mutants that are said to change nothing, as few as can be: each is several whose edits apply together. All together
 * change nothing, either, so that one run of the whole catalogue serves for all.
 *
 * Those whose edits overlap are kept apart, for one would hide the other; so are those of platforms, and those that
 * only a restart meets.
 */
export async function groupEquivalents(
  mutants: readonly Mutant[],
  overlay: OverlayFiles,
): Promise<readonly Mutant[]> {
  const groups: Mutant[][] = [];
  for (const mutant of mutants.filter(({ equivalent }) => equivalent !== undefined)) {
    let joined: Mutant[] | undefined;
    for (const group of groups) {
      const isAlike = group[0]!.platform === mutant.platform &&
        isOfRestart(group[0]!) === isOfRestart(mutant);
      if (isAlike && await apply(editsOf([...group, mutant]), overlay)) {
        joined = group;
        break;
      }
    }
    if (joined) joined.push(mutant);
    else groups.push([mutant]);
  }
  return groups.filter(({ length }) => length > 1).map((members, index): Mutant => ({
    name: `equivalents_${index + 1}`,
    about: `${members.length} that are said to be equivalent.`,
    platform: members[0]!.platform,
    equivalent: "Each of them is.",
    edits: editsOf(members),
    members,
  }));
}

function editsOf(mutants: readonly Mutant[]): OverlayEdit[] {
  return mutants.flatMap(({ edits }) => edits);
}

async function apply(edits: readonly OverlayEdit[], overlay: OverlayFiles): Promise<boolean> {
  try {
    await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    return true;
  } catch (error) {
    if (error instanceof BuildError) return false;
    throw error;
  }
}
