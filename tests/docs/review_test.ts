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

Deno.test("docs/checkpoint.2.md has a scenario for every errno, and each of them expects it", async () => {
  const rows = (await tableRows("checkpoint.2.md")).filter(([errno]) => /^E[A-Z]/.test(errno ?? ""));
  const documented = new Set(rows.map(([errno]) => errno));
  for (const [errno = "", when, , shown = ""] of rows) {
    const names = namesAfter(shown, /./);
    assert(when && names.length > 0, `${errno} (${when}): nothing shows it`);
    for (const name of names) {
      if (name === "faults") continue;
      const scenario = catalogue.find((one) => one.name === name);
      assert(scenario, `${errno}: there is no scenario ${name}`);
      assert(JSON.stringify(scenario).includes(`"${errno}"`), `${errno}: ${name} does not expect it`);
    }
  }
  // The kernel's own list of what it returns.
  const sys = await Deno.readTextFile(new URL("../../vm/kernel/overlay/checkpoint/sys.c", import.meta.url));
  const comment = sys.slice(
    sys.indexOf("The order of the refusals"),
    sys.indexOf("static int cr_checkpoint_task"),
  );
  for (const [errno] of comment.matchAll(/\bE[A-Z]{3,}\b/g)) {
    // What write(2) may say besides.
    if (errno === "EIO") continue;
    assert(documented.has(errno), `sys.c names ${errno}, docs/checkpoint.2.md does not`);
  }
});
