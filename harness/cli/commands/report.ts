// SPDX-License-Identifier: MIT

import { dirname, relative, resolve } from "@std/path";
import { type Command, defineCommand, kindOf, oneOf, value, word } from "../options.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { htmlReport } from "../../report/html_report.ts";
import { jsonlReport } from "../../report/jsonl_report.ts";
import { junitReport } from "../../report/junit_report.ts";
import { KCIDB_ORIGIN, kcidbReport } from "../../report/kcidb_report.ts";
import { ktapReport } from "../../report/ktap_report.ts";
import { readResultTree, type ResultTree } from "../../report/result_tree.ts";
import { textReport } from "../../report/text_report.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

/** How a format is written. The origin matters to KCIDB alone, the directory of the results to the page. */
const FORMATS: Readonly<Record<string, (tree: ResultTree, origin: string, base: string) => string>> = {
  text: textReport,
  html: (tree, _, base) => htmlReport(tree, base),
  junit: junitReport,
  ktap: ktapReport,
  jsonl: jsonlReport,
  kcidb: (tree, origin) => `${JSON.stringify(kcidbReport(tree, { origin }), null, 2)}\n`,
};

const ORIGIN = kindOf({
  ...{ metavar: "NAME", what: "small letters, digits and underscores" },
  parse: (text) => KCIDB_ORIGIN.test(text) ? text : undefined,
});

/** `report`: results of a run or of a nightly one in another form; needs no guest. */
export const reportCommand: Command = defineCommand({
  path: word("DIR", "a directory with nightly.json or results.json, or one of these files"),
  format: value(oneOf(Object.keys(FORMATS)), "text by default; junit is XML, kcidb JSON, jsonl JSON lines"),
  out: value("FILE", "where to write it; standard output by default"),
  origin: value(ORIGIN, "the name that KCIDB knows the CI system by; ckptest by default"),
}, {
  about: "write the results of a run or of a nightly one for a person, a browser, or another program",
  async run({ path, format = "text", out, origin = "ckptest" }) {
    const place = (await Deno.stat(path).catch(() => undefined))?.isFile ? dirname(path) : path;
    // From standard output the page may go anywhere.
    const base = out === undefined ? resolve(place) : relative(dirname(resolve(out)), resolve(place)) || ".";
    const bytes = new TextEncoder().encode(FORMATS[format]!(await readResultTree(path), origin, base));
    if (out !== undefined) await writeWhole(out, bytes);
    // As it is: a pipe may take less than all at once.
    else for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    return EXIT_STATUS.pass;
  },
});
