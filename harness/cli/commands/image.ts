// SPDX-License-Identifier: MIT

import { decodeStream } from "../../../lib/image/decoder.ts";
import { type Finding, findingText, worstVerdict } from "../../../lib/image/finding.ts";
import { nodeToJson } from "../../../lib/image/image_json.ts";
import type { ImageNode } from "../../../lib/image/nodes.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { checkImageStream } from "../../../lib/image/rules.ts";
import { ImagePrinter } from "../../../lib/image/show/show_image.ts";
import { TreePrinter } from "../../../lib/image/show/show_tree.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import type { ParsedOptions } from "../parse_options.ts";

const ACTIONS: Readonly<Record<string, (path: string, options: ParsedOptions) => Promise<ExitStatus>>> = {
  show: showImage,
  check: checkImageFile,
  tree: showTree,
};

/** Lines that are printed together. */
const LINES_AT_ONCE = 500;

/** `image`: looks at an image file; needs no guest. */
export const imageCommand: Command = {
  usage: [
    "image show|check|tree FILE [--json] [--dialect v11|port]",
    "show a checkpoint image, check it against the rules of the format, or list its records",
  ],
  words: {
    "show FILE": "the address space as a table, LDT, TLS and registers",
    "check FILE": "every broken rule; exit status 1 if there is one",
    "tree FILE": "every record with its offset",
  },
  options: {
    json: "the same as JSON",
    contents: "show --json: with the contents of pages",
    fields: "tree: with the fields of each record",
    dialect: ["NAME", "v11 or port, in place of what the image says"],
    offset: ["N", "where the image starts in the file"],
    "allow-unknown": "check: records of unknown types are notes where extensions may stand, no faults",
  },
  async run(options) {
    const [action, path, ...more] = options.words;
    const run = action !== undefined && Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!run) {
      throw new UsageError(
        `"image" takes one of ${Object.keys(ACTIONS).join(", ")}: found "${action ?? "nothing"}"`,
      );
    }
    if (path === undefined || more.length > 0) throw new UsageError(`"image ${action}" takes one file`);
    return await run(path, options);
  },
};

function decodeOptions(options: ParsedOptions): { dialect?: "v11" | "port"; start?: number } {
  const dialect = options.choice("dialect", ["v11", "port"]);
  const start = options.number("offset", { min: 0, max: Number.MAX_SAFE_INTEGER });
  return { ...(dialect === undefined ? {} : { dialect }), ...(start === undefined ? {} : { start }) };
}

async function openImage(path: string): Promise<Deno.FsFile> {
  try {
    if ((await Deno.stat(path)).isDirectory) throw new Deno.errors.IsADirectory("it is a directory");
    return await Deno.open(path);
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

/** What turns the parts of an image into lines. */
interface NodePrinter {
  visit(node: ImageNode): string[];
  finish?(finding: Finding | undefined): string[];
}

/** Prints an image as it is read, whatever its size; of a broken one what there is, then where and why it ends. */
async function printImage(path: string, options: ParsedOptions, printer: NodePrinter): Promise<ExitStatus> {
  const file = await openImage(path);
  const lines: string[] = [];
  const print = (more: readonly string[], atLeast = 1): void => {
    for (const line of more) lines.push(line);
    if (lines.length >= atLeast) console.log(lines.splice(0).join("\n"));
  };
  let finding: Finding | undefined;
  try {
    for await (const node of decodeStream(file.readable, { ...decodeOptions(options), reuseBuffers: true })) {
      print(printer.visit(node), LINES_AT_ONCE);
    }
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    finding = error.finding;
  }
  print(printer.finish?.(finding) ?? []);
  if (finding === undefined) return EXIT_STATUS.pass;
  if (!options.flag("json")) console.log(`${path}: ${findingText(finding)}`);
  return EXIT_STATUS.testFailed;
}

function showImage(path: string, options: ParsedOptions): Promise<ExitStatus> {
  if (!options.flag("json")) return printImage(path, options, new ImagePrinter(decodeOptions(options)));
  const withoutPages = !options.flag("contents");
  let isFirst = true;
  return printImage(path, options, {
    visit(node) {
      const json = JSON.stringify(nodeToJson(node, { withoutPages }));
      const line = isFirst ? `{"nodes": [\n${json}` : `,${json}`;
      isFirst = false;
      return [line];
    },
    finish: (finding) => {
      const error = finding === undefined ? "" : `, "error": ${JSON.stringify(finding)}`;
      return [`${isFirst ? '{"nodes": [' : ""}]${error}}`];
    },
  });
}

function showTree(path: string, options: ParsedOptions): Promise<ExitStatus> {
  return printImage(path, options, new TreePrinter({ fields: options.flag("fields") }));
}

async function checkImageFile(path: string, options: ParsedOptions): Promise<ExitStatus> {
  const file = await openImage(path);
  const allowUnknown = options.flag("allow-unknown");
  const findings = await checkImageStream(file.readable, { ...decodeOptions(options), allowUnknown });
  return showFindings(path, findings, options.flag("json"));
}

function showFindings(path: string, findings: readonly Finding[], json: boolean): ExitStatus {
  const verdict = worstVerdict(findings);
  if (json) {
    console.log(JSON.stringify({ file: path, verdict: verdict ?? "valid", findings }, null, 2));
  } else {
    for (const finding of findings) console.log(findingText(finding));
    console.log(`${path}: ${verdict ?? "valid"}${notes(findings)}`);
  }
  return verdict === undefined ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
}

function notes(findings: readonly Finding[]): string {
  const count = findings.filter((finding) => finding.verdict === "note").length;
  return count === 0 ? "" : `, ${count} note${count === 1 ? "" : "s"}`;
}
