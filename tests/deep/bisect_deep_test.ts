// SPDX-License-Identifier: MIT
/**
 * A bisect over a series of patches, on the real kernel: one of twelve plants an error, another does not compile.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { readBisectState } from "../../harness/bisect/bisect_state.ts";
import { brokenAndMended, harmlessPatch, plantingPatch, writePlantedSeries } from "./planted_series.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** Runs the command line, and kills it when a file is there. */
async function bisect(args: readonly string[], killAt?: string): Promise<{ code: number; text: string }> {
  const child = new Deno.Command("deno", {
    args: ["run", "-q", "-P=vm", join(ROOT, "harness", "cli", "main.ts"), "bisect", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let ended = false;
  const output = child.output().finally(() => ended = true);
  while (killAt !== undefined && !ended && !await exists(killAt)) {
    await new Promise((r) => setTimeout(r, 100));
  }
  if (killAt !== undefined && !ended) child.kill("SIGKILL");
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("bisect names the patch with an error, passes over one that does not compile, survives a kill", async () => {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-bisect-" });
  try {
    const [patches, out] = [join(directory, "patches"), join(directory, "out")];
    const [broken, mended] = brokenAndMended();
    const further = [
      ...[harmlessPatch("one"), await plantingPatch("ldt_one_entry_short"), broken, mended],
      ...[harmlessPatch("two"), harmlessPatch("three")],
    ];
    await writePlantedSeries(patches, further);
    const args = ["--patches", patches, "--filter", "ldt_far_entries", "--confidence", "0.9", "--out", out];
    const killed = await bisect(args, join(out, "runs", "002"));
    assert(killed.code !== 0, killed.text);
    const { code, text } = await bisect(["--resume", "--out", out]);
    assertEquals(code, 0, text);
    assertMatch(text, /^1 runs are finished$/m);
    assertMatch(text, /^first bad change: 0008-checkpoint-be-quicker\.patch$/m);
    const state = await readBisectState(out);
    const { firstBad = [], failure, confidence = 0 } = state?.answer ?? {};
    assertEquals(firstBad.map(({ title }) => title), ["checkpoint: be quicker"]);
    assertEquals(state?.patches[state.good], "0006-x86-syscalls-wire-up-checkpoint-2.patch");
    assertEquals(failure?.keys.includes("E_FIELD"), true, JSON.stringify(failure));
    assert(confidence >= 0.9);
    const unbuilt = state?.runs.filter(({ skip }) => skip?.kind === "build") ?? [];
    assertEquals(unbuilt.map(({ change }) => state?.patches[change]), ["0009-checkpoint-tidy-up.patch"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
