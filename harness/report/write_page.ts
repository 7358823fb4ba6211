// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { htmlReport } from "./html_report.ts";
import { readResultTree } from "./read_result_tree.ts";
import type { Terminal } from "./terminal.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import { PAGE } from "../nightly/run/run_directory.ts";

/**
 * Writes the page of a run or a nightly run, `report.html`, into its directory. Whatever prevents that is a note: the
 * results are there without it.
 *
 * @returns the path of the page; undefined when it was not written
 */
export async function writePage(
  directory: string,
  terminal: Pick<Terminal, "note">,
): Promise<string | undefined> {
  const path = join(directory, PAGE);
  try {
    await writeWhole(path, htmlReport(await readResultTree(directory)));
    return path;
  } catch (error) {
    terminal.note(`there is no page, ${PAGE}: ${(error as Error).message}`);
    return undefined;
  }
}
