// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { projectFiles } from "./project_files.ts";
import { OLD_WORDS, oldWords, spell } from "./word_rules.ts";

/** For each old word, how it may come back; and what only looks like it. */
const SAMPLES: readonly [bad: string[], good: string[]][] = [
  [["whom", `"whom": "kthread"`, "callWhom"], ["whole"]],
  [["stranger", "stranger.c", "STRANGERS"], ["strange"]],
  [["linger", "lingerTarget", "LINGERING"], ["longer"]],
  [["CallWords", "TracerWords"], ["words", "WORDS", "countWords"]],
  [["night", "NightDirectory", "fake_night.ts", "mergeNights"], ["nightly", "NightlyResult", "tonight"]],
  [["rooms", "ROOMS"], ["room for", "mushrooms"]],
  [["lastWords", "await_last_words", "last words"], ["last word"]],
  [["lastLook", "last look"], ["look at the last"]],
  [["MOST_BYTES"], ["ALMOST_FULL", "most_bytes"]],
  [["Judge", "FaultJudge"], ["judge", "judgeImage"]],
  [["planted error", "PlantedErrors", "mutate"], ["plant an error", "mutants", "immutable"]],
  [["plantTree"], ["planTree"]],
  [["settleFile"], ["settled file"]],
  [["followDirectory"], ["following directory"]],
  [["ByteAccount", "byte account"], ["bytes account"]],
  [["accountTime", "account_time.ts"], ["accounted time"]],
  [["Hindrance"], ["hinder"]],
  [["ACCIDENTS"], ["accidents"]],
  [["standing"], ["outstanding"]],
  [["ownKernel", "own-kernels.md"], ["own kernel's"].slice(1)],
  [[`new TextDecoder("latin1")`, `TextDecoder("ascii")`], [`new TextDecoder("utf-8")`]],
];

function complaints(text: string): number {
  return oldWords({ path: "docs/a.md", text, size: 0, executable: false }).length;
}

Deno.test("spell() takes names apart", () => {
  assertEquals(
    spell("lastWords LAST_WORDS last-words QMPError x86_64"),
    "last words last words last words qmp error x86 64",
  );
});

Deno.test("oldWords() finds each old word however it is spelt, and in names of files", () => {
  assertEquals(SAMPLES.length, OLD_WORDS.length);
  for (const [bad, good] of SAMPLES) {
    for (const text of bad) assertEquals(complaints(text), 1, `let through: ${text}`);
    for (const text of good) assertEquals(complaints(text), 0, `refused: ${text}`);
  }
  const file = { text: "", size: 0, executable: false };
  assertEquals(oldWords({ path: "harness/await_last_words.ts", ...file }).length, 1);
  assertEquals(oldWords({ path: "CHANGELOG.md", ...file, text: "night" }), []);
});

Deno.test("no old word has come back", async () => {
  assertEquals((await projectFiles()).flatMap(oldWords), []);
});
