// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals } from "@std/assert";
import { normalize, README, SAMPLES, samplesOf, withSamples } from "./generate_readme.ts";

Deno.test("README.md has each sample once, and shows the scenarios that it names", async () => {
  const page = await Deno.readTextFile(README);
  const samples = samplesOf(page);
  assertEquals(samples.length, SAMPLES.length);
  assertEquals(withSamples(page, samples), page);
  for (const [index, { filter }] of SAMPLES.entries()) {
    const shown = samples[index]!.split("\n").flatMap((line) =>
      /^(?:ok|FAIL) +x86_64 +(\S+)/.exec(line)?.[1] ?? []
    );
    assertEquals(shown, filter);
  }
});

Deno.test("withSamples() replaces samples and nothing else", () => {
  const page = "a\n```\n# x86_64: one\n```\n```\nother\n```\n```\nFAIL  x86_64 two\n```\nb\n";
  assertEquals(samplesOf(page), ["# x86_64: one\n", "FAIL  x86_64 two\n"]);
  assertEquals(
    withSamples(page, ["1\n", "2\n"]),
    "a\n```\n1\n```\n```\nother\n```\n```\n2\n```\nb\n",
  );
});

Deno.test("normalize() hides what each run has its own of, and nothing else", () => {
  const line =
    "ok    x86_64    pages_5000   5002 pages    19.6 MiB    1.18 s  f+0x1f/0x20 [60e2c371e447becb]";
  const later = "ok  x86_64    pages_5000  5002 pages   19.6 MiB   10.20 s  f+0x2f/0x30 [0e2c371e447becb1]";
  assertEquals(normalize(line), normalize(later));
  for (const other of ["FAIL  x86_64", "ok  x86_64  pages_5001", "ok  x86_64  pages_5000  N pages  N KiB"]) {
    assertNotEquals(normalize(line), normalize(other));
  }
  assertNotEquals(normalize("reproduce: deno task"), normalize("reproduce: ckptest"));
});
