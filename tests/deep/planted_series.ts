// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { readMutants } from "../../harness/mutants/mutant.ts";
import { commitPatches } from "../../harness/bisect/prepare_bisect.ts";
import { runGit } from "../../vm/host/run_git.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { editFiles, type OverlayEdit } from "../../vm/kernel/source/kernel_overlay.ts";
import { exportSeries } from "../../vm/kernel/patches/export_series.ts";
import { loadSeries } from "../../vm/kernel/patches/load_series.ts";

/** A patch behind those of the port. */
interface FurtherPatch {
  readonly title: string;
  readonly edits: readonly OverlayEdit[];
}

const AUTHOR = { name: "Ada Byron", email: "ada@example.org", date: "1767222000 +0000" };
const PLACE = "arch/x86/mm/checkpoint.c";
const FREE = "\tkvfree(entries);\n";

/** A patch that changes nothing but must be compiled. */
export function harmlessPatch(text: string): FurtherPatch {
  const replace = `\t/* ${text} */\n${FREE}`;
  return { title: `checkpoint: say ${text}`, edits: [{ file: PLACE, find: FREE, replace }] };
}

/** A patch that plants an error of the fixtures. @throws {Error} when there is none of that name */
export async function plantingPatch(name: string): Promise<FurtherPatch> {
  const planted = (await readMutants()).find((error) => error.name === name);
  if (!planted) throw new Error(`fixtures/mutants has no ${name}`);
  return { title: "checkpoint: be quicker", edits: planted.edits };
}

/** A patch with which the kernel does not compile, and one that mends that. */
export function brokenAndMended(): [FurtherPatch, FurtherPatch] {
  const broken = "\tkvfree(entries)\n";
  return [
    { title: "checkpoint: tidy up", edits: [{ file: PLACE, find: FREE, replace: broken }] },
    { title: "checkpoint: mend it", edits: [{ file: PLACE, find: broken, replace: FREE }] },
  ];
}

/** Writes the port and further patches to a directory, as git format-patch does. */
export async function writePlantedSeries(directory: string, further: readonly FurtherPatch[]): Promise<void> {
  const cacheDir = cacheDirectory();
  const series = await loadSeries({ series: "6.1", cacheDir });
  await exportSeries({ series, author: AUTHOR, outDir: directory, cacheDir });
  const scratch = await Deno.makeTempDir({ prefix: "ckptest-planted-" });
  try {
    await commitPatches({ patches: directory, base: series.pristine, directory: scratch });
    const env = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
    const git = (...args: string[]) => runGit(args, { cwd: scratch, env });
    const identity = ["-c", `user.name=${AUTHOR.name}`, "-c", `user.email=${AUTHOR.email}`];
    for (const { title, edits } of further) {
      const read = (file: string) => Deno.readFile(join(scratch, file));
      for (const [file, bytes] of await editFiles(edits, read)) {
        await Deno.writeFile(join(scratch, file), bytes);
      }
      await git(...identity, "commit", "--quiet", "--all", `--date=${AUTHOR.date}`, `--message=${title}`);
    }
    const first = series.plan.patches.length;
    const range = `HEAD~${further.length}`;
    const number = `--start-number=${first + 1}`;
    await git("format-patch", "--quiet", "--no-signature", number, `--output-directory=${directory}`, range);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}
