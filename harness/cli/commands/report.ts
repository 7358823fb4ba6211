// SPDX-License-Identifier: MIT

import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { htmlReport } from "../../report/html_report.ts";
import { jsonlReport } from "../../report/jsonl_report.ts";
import { junitReport } from "../../report/junit_report.ts";
import { KCIDB_ORIGIN, kcidbReport } from "../../report/kcidb_report.ts";
import { ktapReport } from "../../report/ktap_report.ts";
import { readResultTree } from "../../report/read_result_tree.ts";
import type { ResultTree } from "../../report/result_tree.ts";
import { textReport } from "../../report/text_report.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

/** How a format is written. The origin matters to KCIDB alone. */
const FORMATS: Readonly<Record<string, (tree: ResultTree, origin: string) => string>> = {
  text: textReport,
  html: htmlReport,
  junit: junitReport,
  ktap: ktapReport,
  jsonl: jsonlReport,
  kcidb: (tree, origin) => `${JSON.stringify(kcidbReport(tree, { origin }), null, 2)}\n`,
};

const DEFAULT_ORIGIN = "ckptest";

/** `report`: results of a run or of a nightly one in another form; needs no guest. */
export const reportCommand: Command = {
  usage: [
    "report DIR [--format text|html|junit|ktap|jsonl|kcidb] [--out FILE] [--origin NAME]",
    "write the results of a run or of a nightly one for a person, a browser, or another program",
  ],
  words: { DIR: "a directory with nightly.json or results.json, or one of these files" },
  options: {
    format: ["NAME", "text (the default), html, junit (XML), ktap, jsonl (JSON lines) or kcidb (JSON)"],
    out: ["FILE", "where to write it; standard output by default"],
    origin: ["NAME", "the name that KCIDB knows the CI system by; ckptest by default"],
  },
  async run(options) {
    const [path, ...more] = options.words;
    if (path === undefined || more.length > 0) {
      throw new UsageError(`"report" takes one directory of results`);
    }
    const format = options.string("format") ?? "text";
    const write = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
    if (!write) {
      throw new UsageError(`option --format takes ${Object.keys(FORMATS).join(", ")}: found "${format}"`);
    }
    const origin = options.string("origin") ?? DEFAULT_ORIGIN;
    if (!KCIDB_ORIGIN.test(origin)) {
      throw new UsageError(`option --origin takes small letters, digits and underscores: found "${origin}"`);
    }
    const bytes = new TextEncoder().encode(write(await readResultTree(path), origin));
    const out = options.string("out");
    if (out === undefined) await writeAll(bytes);
    else await writeWhole(out, bytes);
    return EXIT_STATUS.pass;
  },
};

/** To standard output, as it is: a pipe may take less than all at once. */
async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
