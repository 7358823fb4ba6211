// SPDX-License-Identifier: MIT
/**
 * What the tree must look like, as functions from a file to complaints. `tidy_test.ts` holds them against
 * every file of the project, and against samples that they must refuse.
 *
 * @module
 */

/** A file as the rules see it. */
export interface ProjectFile {
  /** Path from the project's root. */
  path: string;
  /** Size in bytes. */
  size: number;
  /** Whether it may be executed. */
  executable: boolean;
  /** Its content; undefined when that is no UTF-8 text. */
  text?: string | undefined;
}

/** One rule: what is wrong with the file, in words; nothing when all is well. */
type TidyRule = (file: ProjectFile) => string[];

// Tests, which list samples, and kernel code may be longer.
const MAX_FILE_LINES = 400;
const MAX_LONG_FILE_LINES = 700;
// The formatter breaks code at 110; this is for what it cannot break, texts and names of tests.
const MAX_LINE_COLUMNS = 120;
const MAX_FILE_BYTES = 200 * 1024;
const KERNEL_TAB_COLUMNS = 8;

/** All that may stand at the top of the tree. */
const TOP_LEVEL = new Set([
  ".ci",
  ".github",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "LICENSE",
  "LICENSES",
  "README.md",
  "deno.json",
  "deno.lock",
  "docs",
  "fixtures",
  "harness",
  "lib",
  "mod.ts",
  "setup",
  "tests",
  "vm",
]);

function isSource({ path, text }: ProjectFile): boolean {
  return /\.(ts|c|h|S|lds|sh|py|config|patch)$|(^|\/)(Kconfig|Makefile|Kbuild)$/.test(path) ||
    text?.startsWith("#!") === true;
}

function isFixture({ path }: ProjectFile): boolean {
  return path.startsWith("fixtures/") && !path.endsWith(".ts");
}

function isKernelCode({ path }: ProjectFile): boolean {
  return /^vm\/kernel\/(overlay|hooks)\//.test(path);
}

function lines(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

/**
 * Each source file names its licence in its first lines; what becomes part of the kernel has the kernel's.
 */
function checkLicence(file: ProjectFile): string[] {
  if (!isSource(file) || isFixture(file)) return [];
  const head = lines(file.text ?? "").slice(0, 3).join("\n");
  const licence = /SPDX-License-Identifier: ([\w.+-]+)/.exec(head)?.[1];
  if (licence === undefined) return ["has no SPDX-License-Identifier in its first three lines"];
  const expected = isKernelCode(file) ? /^GPL-2\.0(-only)?$/ : /^(MIT|GPL-2\.0(-only)?)$/;
  return expected.test(licence) ? [] : [`is under "${licence}": expected ${expected.source}`];
}

/** Files stay short enough to be read in one go. */
function checkFileLength(file: ProjectFile): string[] {
  if (!isSource(file) || isFixture(file)) return [];
  const count = lines(file.text ?? "").length;
  const most = file.path.endsWith(".ts") && !file.path.endsWith("_test.ts")
    ? MAX_FILE_LINES
    : MAX_LONG_FILE_LINES;
  return count > most ? [`has ${count} lines: at most ${most}`] : [];
}

/** Lines of code fit a window. Tabs count as the kernel counts them. */
function checkLineWidth(file: ProjectFile): string[] {
  if (isFixture(file) || !/\.(ts|c|h|S|sh)$|^setup$|^\.ci\/run$/.test(file.path)) return [];
  return lines(file.text ?? "").flatMap((line, index) => {
    const columns = columnsOf(line);
    return columns > MAX_LINE_COLUMNS
      ? [`line ${index + 1} has ${columns} columns: at most ${MAX_LINE_COLUMNS}`]
      : [];
  });
}

function columnsOf(line: string): number {
  let columns = 0;
  for (const char of line) {
    columns += char === "\t" ? KERNEL_TAB_COLUMNS - columns % KERNEL_TAB_COLUMNS : 1;
  }
  return columns;
}

/** The history stays light: no large files, whatever they are. */
function checkFileSize({ size }: ProjectFile): string[] {
  return size > MAX_FILE_BYTES ? [`has ${size} bytes: at most ${MAX_FILE_BYTES}`] : [];
}

/** Only known names stand at the top of the tree. */
function checkTopLevel({ path }: ProjectFile): string[] {
  const top = path.split("/")[0] ?? "";
  const isDotfile = top.startsWith(".") && top === path;
  return TOP_LEVEL.has(top) || isDotfile ? [] : [`"${top}" is no known entry of the top folder`];
}

/** Programs are executable and say what runs them; nothing else is executable. */
function checkExecutable({ executable, text }: ProjectFile): string[] {
  const isProgram = text?.startsWith("#!") === true;
  if (executable === isProgram) return [];
  return [executable ? "is executable without a #! line" : "has a #! line and is not executable"];
}

/** A test file tests something of the project, and asserts. */
function checkTestFile({ path, text = "" }: ProjectFile): string[] {
  if (!path.endsWith("_test.ts")) return [];
  const complaints: string[] = [];
  if (!/\bDeno\.test\b/.test(text)) complaints.push("has no Deno.test");
  if (!/from "(@std\/assert|fast-check)"/.test(text) && !/\.assertSnapshot\(/.test(text)) {
    complaints.push("imports no assertions");
  }
  // The shims are imported under their public names; tests of programs run them.
  const subject = path.startsWith("lib/std/") ? /from "@std\// : /from "\.\.?\//;
  if (!subject.test(text) && !/\bDeno\.Command\b/.test(text)) complaints.push("imports nothing to test");
  return complaints;
}

/** Markdown pages have one title, at their top. */
function checkMarkdown({ path, text = "" }: ProjectFile): string[] {
  if (!path.endsWith(".md")) return [];
  const prose = text.replace(/^(`{3,}|~{3,}).*?^\1/gms, "");
  const titles = prose.match(/^# .+$/gm) ?? [];
  if (titles.length !== 1) return [`has ${titles.length} titles: expected 1`];
  return prose.trimStart().startsWith("# ") ? [] : ["does not begin with its title"];
}

/** Nothing depends on, or tells of, the machine that it was written on. */
function checkMachinePaths({ text = "" }: ProjectFile): string[] {
  const pattern = /\/work\/(main|shared|\.library)\b|\/tmp\/ck\b|\/root\/|\/home\/\w+\//g;
  return [...new Set(text.match(pattern) ?? [])].map((found) => `names a path of one machine: "${found}"`);
}

/** Text ends with a line end, has no blanks at line ends and no carriage returns. */
function checkWhitespace(file: ProjectFile): string[] {
  const { path, text } = file;
  if (text === undefined || text === "" || isFixture(file) || path.startsWith("LICENSES/")) return [];
  const complaints: string[] = [];
  if (!text.endsWith("\n")) complaints.push("does not end with a line end");
  if (text.includes("\r")) complaints.push("has carriage returns");
  if (path.endsWith(".patch")) return complaints; // an empty line of context is a blank
  const index = lines(text).findIndex((line) => /[ \t]$/.test(line));
  if (index >= 0) complaints.push(`line ${index + 1} ends with a blank`);
  return complaints;
}

/** Every rule about single files, by name. */
export const TIDY_RULES: Readonly<Record<string, TidyRule>> = {
  checkLicence,
  checkFileLength,
  checkLineWidth,
  checkFileSize,
  checkTopLevel,
  checkExecutable,
  checkTestFile,
  checkMarkdown,
  checkMachinePaths,
  checkWhitespace,
};

/** The parts of deno.json that have rules. */
export interface ProjectConfig {
  exports?: Record<string, string>;
  imports: Record<string, string>;
  lint?: { plugins?: string[] };
  links?: string[];
  tasks: Record<string, string | { command?: string; description?: string }>;
  permissions: Record<string, unknown>;
}

/**
 * Tasks say what they are for, get no more than a named permission set, and that set exists.
 *
 * @returns The complaints.
 */
export function checkTasks({ tasks, permissions }: ProjectConfig): string[] {
  const complaints: string[] = [];
  for (const [name, task] of Object.entries(tasks)) {
    const { command = "", description = "" } = typeof task === "string" ? { command: task } : task;
    if (description === "") complaints.push(`task "${name}" has no description`);
    if (/(^|\s)(-A|--allow-all)\b/.test(command)) complaints.push(`task "${name}" allows everything`);
    if (/\bdeno (run|test)\b/.test(command) && !/\s-P=/.test(command)) {
      complaints.push(`task "${name}" names no permission set`);
    }
    for (const [, set = ""] of command.matchAll(/\s-P=([\w-]+)/g)) {
      if (!Object.hasOwn(permissions, set)) {
        complaints.push(`task "${name}" names no set of deno.json: "${set}"`);
      }
    }
  }
  for (const [name, set] of Object.entries(permissions)) {
    if (set === true || (typeof set === "object" && set !== null && "all" in set)) {
      complaints.push(`permission set "${name}" allows everything`);
    }
    if (typeof set === "object" && set !== null && "run" in set && !Array.isArray(set.run)) {
      complaints.push(`permission set "${name}" does not list the programs that it runs`);
    }
  }
  return complaints;
}

/**
 * Each link stands in for an imported JSR package, in a version that the import accepts: so that the links
 * can go.
 *
 * @param linked Name and version of each linked package.
 * @returns The complaints.
 */
export function checkLinks(
  { imports }: ProjectConfig,
  linked: { name: string; version: string }[],
): string[] {
  return linked.flatMap(({ name, version }) => {
    const found = imports[name];
    const expected = `jsr:${name}@^${version}`;
    return found === expected ? [] : [`"${name}" is imported as "${found}": expected "${expected}"`];
  });
}
