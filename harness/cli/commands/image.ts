// SPDX-License-Identifier: MIT

import { decodeStream } from "../../../lib/image/decoder.ts";
import { diffImages } from "../../../lib/image/diff/diff_images.ts";
import { type Finding, findingText, worstVerdict } from "../../../lib/image/finding.ts";
import { nodeToJson } from "../../../lib/image/image_json.ts";
import type { ImageNode } from "../../../lib/image/nodes.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { checkImageStream } from "../../../lib/image/rules.ts";
import { type FoundPage, hexDump, PageFinder } from "../../../lib/image/show/page_finder.ts";
import { diffLines } from "../../../lib/image/show/show_diff.ts";
import { ImagePrinter } from "../../../lib/image/show/show_image.ts";
import { TreePrinter } from "../../../lib/image/show/show_tree.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import { explainPage } from "../../../lib/compare/explain_page.ts";
import { hex } from "../../../lib/bytes.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";
import { imagePage } from "../../report/html/image_page.ts";
import { builtImage } from "../../run/built_image.ts";
import { imageOrigin } from "../../run/image_origin.ts";
import { formatBytes } from "../../run/quantity.ts";
import { onePlatformOption } from "../shared_options.ts";
import { Terminal } from "../../report/terminal.ts";
import {
  type Command,
  defineCommand,
  flag,
  kindOf,
  oneOf,
  type OptionValues,
  value,
  wholeNumber,
  word,
  words,
} from "../options.ts";

const ACTIONS = {
  show: showImage,
  check: checkImageFile,
  tree: (options: Options) => printImage(options, new TreePrinter(options)),
  diff: diffFiles,
  pages: printPages,
  html: writeImagePage,
  build: buildImageFile,
};
type Action = keyof typeof ACTIONS;

const TERMINAL = new Terminal();
const LINES_AT_ONCE = 500;

const ADDRESS = kindOf({
  ...{ metavar: "ADDRESS", what: "a hexadecimal address such as 0x402000, or a range such as 402000-404000" },
  parse: (text) => {
    const [, start, end] = /^(?:0x)?([\da-f]{1,16})(?:-(?:0x)?([\da-f]{1,16}))?$/i.exec(text) ?? [];
    if (start === undefined) return undefined;
    const range = {
      start: BigInt(`0x${start}`),
      last: end === undefined ? BigInt(`0x${start}`) : BigInt(`0x${end}`) - 1n,
    };
    return range.last < range.start ? undefined : range;
  },
});
/** Pages that are not there, of which each has a line. */
const MAX_MISSING = 64;

const OPTIONS = {
  action: word(
    { ...oneOf(Object.keys(ACTIONS) as Action[]), metavar: "ACTION" },
    "show address space, LDT and registers, check the rules of the format, list all records (tree), " +
      "say what two images differ in (diff), what is known of a page (pages), " +
      "write an HTML page of one image, or of two side by side, or build one (docs/images.md)",
  ),
  paths: words(
    "IMAGE",
    "a file; diff: two, html: one or two, build: a scenario, or what show --json --contents wrote",
  ),
  json: flag("the same as JSON"),
  contents: flag("show --json: with the contents of pages"),
  fields: flag("tree: with the fields of each record"),
  dialect: value(oneOf(["v11", "port"]), "in place of what the image says"),
  out: value("FILE", "html: the page; build: the image"),
  at: value(ADDRESS, "pages: of which address"),
  offset: value(wholeNumber(0, Number.MAX_SAFE_INTEGER), "where the image starts in the file"),
  allowUnknown: flag("check: records of unknown types are notes where extensions may stand, no faults"),
  stop: value("LABEL", "build: which stop of the scenario; its first by default"),
  arch: value("NAME", "build: what the scenario is for; x86_64 by default"),
  like: value("IMAGE", "build: as of the kernel and CPU of this image, so that restart(2) takes it"),
};
type Options = OptionValues<typeof OPTIONS>;

/** `image`: looks at an image file; needs no guest. */
export const imageCommand: Command = defineCommand(OPTIONS, {
  about: "show a checkpoint image, check it against the rules of the format, or compare it with another",
  async run(options) {
    for (const name of ["stop", "arch", "like"] as const) {
      if (options.action !== "build" && options[name] !== undefined) {
        throw new UsageError(`option --${name} goes with build`);
      }
    }
    return await ACTIONS[options.action](options);
  },
});

function decodeOptions({ dialect, offset: start }: Options): { dialect?: "v11" | "port"; start?: number } {
  return { ...(dialect === undefined ? {} : { dialect }), ...(start === undefined ? {} : { start }) };
}

/** The one file that most actions look at. */
function onePath({ paths: [path = "", extra] }: Options): string {
  if (extra !== undefined) throw new UsageError(`unexpected word "${extra}"`);
  return path;
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
async function printImage(options: Options, printer: NodePrinter): Promise<ExitStatus> {
  const path = onePath(options);
  const file = await openImage(path);
  const lines: string[] = [];
  const print = (more: readonly string[], atLeast = 1): void => {
    for (const line of more) lines.push(line);
    if (lines.length >= atLeast) TERMINAL.result(lines.splice(0).join("\n"));
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
  if (!options.json) TERMINAL.result(`${path}: ${findingText(finding)}`);
  return EXIT_STATUS.testFailed;
}

function showImage(options: Options): Promise<ExitStatus> {
  if (!options.json) return printImage(options, new ImagePrinter(decodeOptions(options)));
  const withoutPages = !options.contents;
  let isFirst = true;
  return printImage(options, {
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

async function checkImageFile(options: Options): Promise<ExitStatus> {
  const { allowUnknown, json } = options;
  const path = onePath(options);
  const file = await openImage(path);
  const findings = await checkImageStream(file.readable, { ...decodeOptions(options), allowUnknown });
  const verdict = worstVerdict(findings);
  if (json) {
    TERMINAL.result(JSON.stringify({ file: path, verdict: verdict ?? "valid", findings }, null, 2));
  } else {
    for (const finding of findings) TERMINAL.result(findingText(finding));
    const count = findings.filter((finding) => finding.verdict === "note").length;
    const notes = count === 0 ? "" : `, ${count} note${count === 1 ? "" : "s"}`;
    TERMINAL.result(`${path}: ${verdict ?? "valid"}${notes}`);
  }
  return verdict === undefined ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
}

/** The parts of an image file. @throws {UsageError} where it is none, or broken */
async function* imageNodes(path: string, options: Options): AsyncGenerator<ImageNode, void, void> {
  const file = await openImage(path);
  try {
    yield* decodeStream(file.readable, { ...decodeOptions(options), reuseBuffers: true });
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    throw new UsageError(`${path}: ${findingText(error.finding)}`);
  }
}

async function diffFiles(options: Options): Promise<ExitStatus> {
  const [a, b, extra] = options.paths;
  if (a === undefined || b === undefined) throw new UsageError("image diff takes two images: found one");
  if (extra !== undefined) throw new UsageError(`unexpected word "${extra}"`);
  const diff = await diffImages([imageNodes(a, options), imageNodes(b, options)], decodeOptions(options));
  const text = options.json
    ? JSON.stringify({ files: [a, b], ...diff }, null, 2)
    : diffLines(diff).join("\n");
  TERMINAL.result(text);
  return diff.isEqual ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
}

async function printPages(options: Options): Promise<ExitStatus> {
  const [path, { at }] = [onePath(options), options];
  if (!at) throw new UsageError("missing: --at ADDRESS, which image pages looks for");
  const finder = new PageFinder(at.start, at.last, decodeOptions(options));
  const origin = await imageOrigin(path);
  const stop = typeof origin === "object" ? origin.stop : undefined;
  if (typeof origin === "string") TERMINAL.result(`no word of the model: ${origin}`);
  if (typeof origin === "object") {
    TERMINAL.result(`stop ${origin.stop.label} of ${origin.scenario} on ${origin.platform.name}`);
  }
  const print = ({ address, place, bytes }: FoundPage): void => {
    TERMINAL.result(`${hex(address)}: ${place}`);
    if (stop) TERMINAL.result(`  model: ${explainPage(stop, address, bytes)}`);
    for (const line of bytes ? hexDump(bytes, address) : []) TERMINAL.result(line);
  };
  let found = 0;
  for await (const node of imageNodes(path, options)) {
    for (const page of finder.visit(node)) {
      print(page);
      found++;
    }
  }
  const missing = finder.missing(MAX_MISSING + 1);
  missing.slice(0, MAX_MISSING).forEach(print);
  if (missing.length > MAX_MISSING) TERMINAL.result("and more that are not in the image");
  return found > 0 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
}

async function writeImagePage(options: Options): Promise<ExitStatus> {
  const { out, paths } = options;
  if (out === undefined) throw new UsageError("missing: --out FILE, into which image html writes its page");
  if (paths[2] !== undefined) throw new UsageError(`unexpected word "${paths[2]}"`);
  const images = paths.map((name) => ({ name, nodes: imageNodes(name, options) }));
  await writeWhole(out, await imagePage(images, decodeOptions(options)));
  TERMINAL.result(out);
  return EXIT_STATUS.pass;
}

async function buildImageFile(options: Options): Promise<ExitStatus> {
  const { out, stop, arch, like } = options;
  if (out === undefined) throw new UsageError("missing: --out FILE, into which image build writes the image");
  const platform = arch === undefined ? undefined : onePlatformOption(arch);
  const bytes = await builtImage(onePath(options), { stop, platform, like });
  await writeWhole(out, bytes);
  TERMINAL.result(`${out}: ${formatBytes(bytes.length)}`);
  return EXIT_STATUS.pass;
}
