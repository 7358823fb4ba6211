// SPDX-License-Identifier: MIT
/**
 * Runs the project's tests, and counts them itself, from a report that is made for machines:
 *
 *     deno task test [PATH ...] [options of deno test, as --filter TEXT or --fail-fast]
 *     deno task test:unit [the same]
 *     deno task test:guest [the same]
 *     deno task test:deep [the same]
 *
 * The first runs all that is quick and boots no guest. The second (option `--unit`) leaves out `tests/` but for
 * `tests/tidy` as well. The third (`--guests`) runs the suites that boot guests (`*_qemu_test.ts`) and those that
 * take seconds (`*_slow_test.ts`), the fourth (`--deep`) those that take minutes or need debug kernels
 * (`*_deep_test.ts`). Tests of `lib` run with leave to read its own files and fixtures, and no other.
 *
 * What boots no guest runs in parallel, in batches of files that share their modules, the first two beside one type
 * check of the project; a type error counts as one failed test. So does a file that throws before its tests; those of
 * its batch do not run then. The last line is `N passed, N failed` (and `, N skipped`). Exit status: 0 all passed, 1 a
 * test failed, 2 usage, 5 no test ran.
 *
 * @module
 */
import { exists, walk } from "@std/fs";
import { fromFileUrl, join, relative, resolve } from "@std/path";
import { pathToFileURL } from "node:url";
import { endProgram } from "./end_program.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
const FOLDERS = ["lib", "vm", "harness", "tests"];
const NOTHING_RAN = 5;
/** Files of tests, or batches of them, that run at the same time: some wait for programs and timers. */
const JOBS = navigator.hardwareConcurrency + 2;
/** Ends the processes that run tests. */
const STOP = new AbortController();
const USAGE = `usage: deno task test|test:unit|test:guest|test:deep [PATH ...] [OPTION ...]

Runs the tests in files or below directories, by default all of the suite, and ends with a line that counts them.
Options are those of deno test, such as --filter TEXT, --fail-fast and --no-check.
exit status: 0 all passed, 1 a test failed, 2 usage, 5 no test ran`;
const TEST_CASE_REGEXP = /<testcase name="([^"]*)"([^>]*)>(.*?)<\/testcase>/gs;

/** How many tests ended how. Steps of a test are not counted apart from it. */
export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Test files that run with the same permissions. */
export interface TestGroup {
  /** Name of the permission set in deno.json. */
  permissions: "lib" | "test" | "vm";
  files: string[];
}

/** Which tests run together: `unit` is a part of `host`. */
export type Suite = "host" | "unit" | "guest" | "deep";

/** What the command line asks for. */
export interface TestArguments {
  suite: Suite;
  paths: string[];
  /** Options for `deno test`. */
  options: string[];
}

/** Counts the tests in a JUnit report as `deno test` writes it. */
export function countJUnit(xml: string): TestCounts {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, suite = ""] of xml.matchAll(/<testsuite [^>]*>(.*?)<\/testsuite>/gs)) {
    const names = new Set<string>();
    for (const [, name = "", attributes = "", body = ""] of suite.matchAll(TEST_CASE_REGEXP)) {
      names.add(name);
      if (isStep(name, names)) continue;
      // The text of a failure is escaped, so that no test's output can look like these.
      if (/<(failure|error)\b/.test(body)) counts.failed++;
      else if (!/<skipped\b/.test(body)) counts.passed++;
      // What --filter left out is reported as skipped as well, but without a time.
      else if (attributes.includes(" time=")) counts.skipped++;
    }
  }
  return counts;
}

/** Deno reports the step `b` of the test `a`, after the test, as `a > b`. */
function isStep(name: string, namesBefore: Set<string>): boolean {
  const parts = name.split(" &gt; ");
  return parts.some((_, index) => index > 0 && namesBefore.has(parts.slice(0, index).join(" &gt; ")));
}

/** The closing line that people and continuous integration read. */
export function summarize({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Exit status for a whole run. */
export function exitStatus({ passed, failed }: TestCounts): number {
  if (failed > 0) return 1;
  return passed > 0 ? 0 : NOTHING_RAN;
}

/** Splits arguments into this script's own and options for `deno test`. */
export function splitArguments(args: readonly string[]): TestArguments {
  const result: TestArguments = { suite: "host", paths: [], options: [] };
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--unit") result.suite = "unit";
    else if (arg === "--guests") result.suite = "guest";
    else if (arg === "--deep") result.suite = "deep";
    else if (!arg.startsWith("-")) result.paths.push(arg);
    else result.options.push(arg);
    if (arg === "--filter" || arg === "--shard") result.options.push(args[++index] ?? "");
  }
  return result;
}

/**
 * Sorts test files, given by their paths from the project's root, into groups that need the same permissions. The
 * largest group and the slowest files come first, so that no long one is begun last.
 */
export function groupFiles(files: readonly string[], suite: Suite = "host"): TestGroup[] {
  const wanted = files.filter((file) => file.endsWith("_test.ts") && isInSuite(file, suite)).sort()
    .sort((a, b) => Number(isUnit(a)) - Number(isUnit(b)));
  return (["lib", "test", "vm"] as const)
    .map((permissions) => ({
      permissions,
      files: wanted.filter((file) => permissionsOf(file) === permissions),
    }))
    .filter((group) => group.files.length > 0)
    .sort((a, b) => b.files.length - a.files.length);
}

function isInSuite(file: string, suite: Suite): boolean {
  if (/_(qemu|slow)_test\.ts$/.test(file)) return suite === "guest";
  if (file.endsWith("_deep_test.ts")) return suite === "deep";
  return suite === "host" || suite === "unit" && isUnit(file);
}

function isUnit(file: string): boolean {
  return /^(?!tests\/)|^tests\/tidy\//.test(file);
}

function permissionsOf(file: string): TestGroup["permissions"] {
  if (/_(qemu|deep)_test\.ts$/.test(file)) return "vm";
  return file.startsWith("lib/") && !file.startsWith("lib/std/") ? "lib" : "test";
}

async function findFiles(paths: readonly string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const path of paths) {
    if (await exists(path, { isFile: true })) {
      files.add(relative(ROOT, path));
      continue;
    }
    for await (const entry of walk(path, { includeDirs: false, exts: [".ts"] })) {
      files.add(relative(ROOT, entry.path));
    }
  }
  return [...files];
}

/** Runs deno; its output is kept back and printed in one piece, unless it may stream. */
async function runDeno(args: readonly string[], streams: boolean): Promise<number> {
  const output = streams ? "inherit" : "piped";
  const child = new Deno.Command("deno", {
    args: [...args],
    cwd: ROOT,
    env: { DENO_JOBS: String(JOBS) },
    stdin: "null",
    stdout: output,
    stderr: output,
    signal: STOP.signal,
  }).spawn();
  if (streams) return (await child.status).code;
  const { code, stdout, stderr } = await child.output();
  writeAll(Deno.stdout, stdout);
  writeAll(Deno.stderr, stderr);
  return code;
}

/** A pipe may take less than all at once. */
function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/**
 * Writes modules that import the files. For each module `deno test` starts an isolate and loads all that it imports
 * anew, which takes several times as long as the tests of most files.
 */
async function writeBatches(files: readonly string[], dir: string): Promise<string[]> {
  const count = Math.min(files.length, 2 * JOBS);
  return await Promise.all(Array.from({ length: count }, async (_, batch) => {
    const urls = files.filter((_, index) => index % count === batch).map((file) =>
      pathToFileURL(resolve(ROOT, file)).href
    );
    const path = join(dir, `batch_${batch}_test.ts`);
    await Deno.writeTextFile(path, urls.map((url) => `import ${JSON.stringify(url)};\n`).join(""));
    return path;
  }));
}

async function runGroup(group: TestGroup, options: readonly string[], streams: boolean): Promise<TestCounts> {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-tests-" });
  try {
    const report = join(dir, "junit.xml");
    const own = ["test", "-q", `-P=${group.permissions}`, `--junit-path=${report}`];
    const files = group.permissions === "vm" ? group.files : await writeBatches(group.files, dir);
    const code = await runDeno([...own, ...options, ...files], streams);
    const counts = countJUnit(await Deno.readTextFile(report).catch(() => ""));
    if (code !== 0 && counts.failed === 0) {
      console.error(`deno test ended with status ${code} though no test failed: counted as one failure`);
      counts.failed++;
    }
    return counts;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Checks the types of these files, or of the whole project. */
async function checkTypes(files: readonly string[]): Promise<TestCounts> {
  const code = await runDeno(["check", "-q", ...files], false);
  if (code !== 0) console.error("deno check found mistakes: counted as one failure");
  return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** Does the jobs, so many at a time and in their order: what runs beside the first keeps its output back. */
async function runJobs(
  jobs: readonly ((streams: boolean) => Promise<TestCounts>)[],
  atOnce: number,
): Promise<TestCounts[]> {
  const counts: TestCounts[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < jobs.length; index = next++) {
      counts.push(await jobs[index]!(index === 0 || atOnce === 1));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return counts;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  const { suite, paths, options } = splitArguments(args);
  // `deno task` starts us in the project's directory; paths begin at the user's.
  const roots = paths.length > 0
    ? paths.map((path) => resolve(Deno.env.get("INIT_CWD") ?? ".", path))
    : FOLDERS.map((folder) => join(ROOT, folder));
  for (const root of roots) {
    if (await exists(root)) continue;
    console.error(`No such file or directory: "${root}"`);
    return 2;
  }
  const groups = groupFiles(await findFiles(roots), suite);
  const bootsGuests = suite === "guest" || suite === "deep";
  const checksTypes = !bootsGuests && !options.includes("--no-check");
  const jobs = groups.map((group) => (streams: boolean) => {
    const shared = group.permissions === "vm" ? [] : ["--parallel", "--no-check"];
    const testOptions = [...shared, ...options.filter((option) => !shared.includes(option))];
    return runGroup(group, testOptions, streams);
  });
  if (checksTypes && groups.length > 0) {
    const files = paths.length === 0 ? [] : groups.flatMap((group) => group.files);
    jobs.splice(1, 0, () => checkTypes(files));
  }
  const total: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  for (const counts of await runJobs(jobs, bootsGuests ? 1 : 2)) {
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  }
  const status = exitStatus(total);
  if (status === NOTHING_RAN) console.error("No test ran: no file, or no test in them, fits the arguments");
  console.log(summarize(total));
  return status;
}

if (import.meta.main) await endProgram(() => main(Deno.args), () => STOP.abort());
