// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { readMutants } from "../../harness/mutants/mutant.ts";
import { RULES } from "../../lib/image/rule_ids.ts";

/** What each remark and each error of 2008 is called in docs/review.md. */
const REMARKS = Array.from({ length: 19 }, (_, index) => `R${index + 1}`);
const BUGS = "1 1b 2 3 4 4b 5 5b 5c 6 7 8 9 10 11 12 14 16 17 19 20 23".split(" ").map((number) =>
  `B${number}`
);
const RESTART_BUGS = Array.from({ length: 27 }, (_, index) => `H${index + 1}`);
/** Checks of `deno task kernel:lint`. */
const LINT = ["checkpatch", "kernel-doc", "sparse"];

/** Rows of the tables of a page, cell by cell. */
async function tableRows(page: string): Promise<string[][]> {
  const text = await Deno.readTextFile(new URL(`../../docs/${page}`, import.meta.url));
  return text.split("\n").filter((line) => line.startsWith("|") && !/^\| ?-/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** Names in backquotes behind a word, such as `scenarios`: all up to the next semicolon. */
function namesAfter(cell: string, word: RegExp): string[] {
  return cell.split(";").filter((part) => word.test(part))
    .flatMap((part) => [...part.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
}

const catalogue = await readCatalogue();
const mutants = await readMutants();

/** What is wrong with the last column of a row of docs/review.md. */
function proofProblems(cell: string): string[] {
  const named = [
    ...namesAfter(cell, /^\s*scenario/).map((name) =>
      [name, catalogue.some((one) => one.name === name)] as const
    ),
    ...namesAfter(cell, /^\s*mutant/).map((name) =>
      [name, mutants.some((one) => one.name === name)] as const
    ),
    ...namesAfter(cell, /^\s*lint/).map((name) => [name, LINT.includes(name)] as const),
    ...namesAfter(cell, /^\s*rule/).map((name) => [name, Object.hasOwn(RULES, name)] as const),
  ];
  if (named.length === 0) return ["nothing shows it"];
  return named.filter(([, exists]) => !exists).map(([name]) => `${name} does not exist`);
}

Deno.test("docs/review.md settles every remark and every error, each with something that shows it", async () => {
  const rows = (await tableRows("review.md")).filter(([id]) => /^[RBH]\d/.test(id ?? ""));
  assertEquals(rows.map(([id]) => id), [...REMARKS, ...BUGS, ...RESTART_BUGS]);
  for (const [id, asked, port, shown] of rows) {
    assert(asked && port, `${id}: an empty cell`);
    assertEquals(proofProblems(shown ?? ""), [], id);
  }
});

Deno.test("proofProblems() finds a row with nothing behind it, and a name of nothing", () => {
  assertEquals(proofProblems("scenario `minimal`; mutant `stale_padding`"), []);
  assertEquals(proofProblems("`minimal`"), ["nothing shows it"]);
  assertEquals(proofProblems("scenario `maximal`"), ["maximal does not exist"]);
  assertEquals(proofProblems("mutant `minimal`"), ["minimal does not exist"]);
});

Deno.test("every mutant of an error of 2008 is named by the row of its number", async () => {
  const rows = new Map((await tableRows("review.md")).map(([id, , , shown]) => [id, shown ?? ""]));
  for (const { name, bug } of mutants) {
    if (bug !== undefined) {
      const id = bug.startsWith("H") ? bug : `B${bug}`;
      assert(rows.get(id)?.includes(`\`${name}\``), `${id} does not name ${name}`);
    }
  }
});

Deno.test("the man pages have a scenario for every errno, and each of them expects it", async () => {
  const sources = { "checkpoint.2.md": "sys.c", "restart.2.md": "restart_sys.c" };
  for (const [page, source] of Object.entries(sources)) {
    const rows = (await tableRows(page)).filter(([errno]) => /^E[A-Z]/.test(errno ?? ""));
    const documented = new Set(rows.flatMap(([errnos]) => errnoNames(errnos)));
    const problems = rows.flatMap(([errnos = "", when = "", ...more]) => {
      const names = namesAfter(more.at(-1) ?? "", /./);
      return errnoProblems(errnoNames(errnos), names).map((problem) => `${page}: ${when}: ${problem}`);
    });
    assertEquals(problems, []);
    // The kernel's own list of what it returns.
    const url = new URL(`../../vm/kernel/overlay/checkpoint/${source}`, import.meta.url);
    const text = await Deno.readTextFile(url);
    const comment = text.slice(text.indexOf("order of the refusals"));
    for (const [errno] of comment.slice(0, comment.indexOf("*/")).matchAll(/\bE[A-Z]{3,}\b/g)) {
      // What read(2) and write(2) may say besides.
      if (errno === "EIO") continue;
      assert(documented.has(errno), `${source} names ${errno}, docs/${page} does not`);
    }
  }
});

Deno.test("errnoProblems() tells of an errno that no scenario expects, and of a scenario that expects none", () => {
  assertEquals(errnoProblems(["EPIPE"], ["restart_cut"]), []);
  assertEquals(errnoProblems(["ENOMEM"], ["faults"]), []);
  assertEquals(errnoProblems(["EPIPE", "EIO"], ["restart_cut"]), ["no scenario expects EIO"]);
  assertEquals(errnoProblems(["EPIPE"], ["restart_cut", "minimal"]), ["minimal expects none of EPIPE"]);
  assertEquals(errnoProblems(["EPIPE"], ["restart_none"]), [
    "no scenario expects EPIPE",
    "there is no scenario restart_none",
  ]);
});

/** The names in a table's first column. */
function errnoNames(cell = ""): string[] {
  return [...cell.matchAll(/\bE[A-Z0-9]{3,}\b/g)].map(([name]) => name);
}

/** What is wrong with the scenarios that are to show some errnos. */
function errnoProblems(errnos: readonly string[], names: readonly string[]): string[] {
  // Every allocation of a call fails there.
  const shown = names.filter((name) => name !== "faults");
  if (shown.length < names.length) return [];
  const expects = (name: string, errno: string): boolean =>
    JSON.stringify(catalogue.find((one) => one.name === name) ?? "").includes(`"${errno}"`);
  return [
    ...errnos.filter((errno) => !shown.some((name) => expects(name, errno)))
      .map((errno) => `no scenario expects ${errno}`),
    ...shown.flatMap((name) => {
      if (!catalogue.some((one) => one.name === name)) return [`there is no scenario ${name}`];
      return errnos.some((errno) => expects(name, errno))
        ? []
        : [`${name} expects none of ${errnos.join(", ")}`];
    }),
  ];
}
