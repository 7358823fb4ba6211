// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { parseVersioned } from "../../vm/host/versioned_json.ts";
import { NIGHTLY_RESULT_FORMAT } from "../nightly/nightly_result.ts";
import { RUN_RESULT_FORMAT } from "../run/run_result.ts";
import { listProblems, realityText } from "./problems.ts";
import { readResultTree, treeOfRun } from "./result_tree.ts";
import { recordedTree, singleRun } from "./testing/sample_tree.ts";

async function nightlyText(): Promise<string> {
  return await Deno.readTextFile(new URL("../../fixtures/results/nightly/nightly.json", import.meta.url));
}

Deno.test("a results.json that is none of its version is refused with file, path, expected and found", () => {
  const refuse = (value: unknown, message: string): void => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    assertThrows(
      () => parseVersioned(text, "a/results.json", RUN_RESULT_FORMAT),
      UsageError,
      `a/results.json: ${message}`,
    );
  };
  const run = singleRun();
  refuse("{", "$: expected JSON, found ");
  refuse("[]", "$.schema: expected 1, found nothing: it was written by another version of ckptest");
  refuse("null", "$.schema: expected 1, found nothing");
  // The form before the schema.
  refuse({ counts: {}, results: [{ arch: "x86_64" }] }, "$.schema: expected 1, found nothing");
  refuse({ ...run, schema: 2 }, "$.schema: expected 1, found 2");
  refuse({ ...run, results: undefined }, "$.results: expected a list, found nothing");
  refuse({ ...run, kernels: {} }, "$.kernels: expected a list, found {}");
  refuse(
    { ...run, results: [{ ...run.results[0], status: "ok" }] },
    '$.results[0].status: expected one of pass, fail, skip, lost, found "ok"',
  );
  refuse({ ...run, volatile: { toString: 3 } }, "$.volatile.toString: expected an object, found 3");
  refuse({ ...run, milliseconds: "1" }, '$.milliseconds: expected a number, found "1"');
  refuse({ ...run, result: [] }, "$.result: expected one of the keys schema, started, milliseconds, ");
  assertEquals(parseVersioned(JSON.stringify(run), "x", RUN_RESULT_FORMAT), run);
});

Deno.test("a nightly.json of another version, or a run within it, is refused", async () => {
  const nightly = JSON.parse(await nightlyText());
  const refuse = (value: unknown, message: string): void => {
    const parse = () => parseVersioned(JSON.stringify(value), "nightly.json", NIGHTLY_RESULT_FORMAT);
    assertThrows(parse, UsageError, `nightly.json: ${message}`);
  };
  refuse({ ...nightly, schema: 7 }, "$.schema: expected 1, found 7");
  const jobs = [{ ...nightly.jobs[0], run: { ...nightly.jobs[0].run, schema: 3 } }];
  refuse({ ...nightly, jobs }, "$.jobs[0].run.schema: expected 1, found 3");
  refuse({ ...nightly, trends: { a: [{}] } }, "$.trends.a[0].run: expected a value, found nothing");
});

Deno.test("readResultTree() says what it expected when there are no results", async () => {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-reports-" });
  try {
    const message = (path: string) => assertRejects(() => readResultTree(path), UsageError);
    assertMatch((await message(join(directory, "no"))).message, /no such file or directory/);
    assertMatch((await message(directory)).message, /found neither nightly.json nor results.json/);
    await Deno.writeTextFile(join(directory, "other.json"), "{}");
    assertMatch((await message(join(directory, "other.json"))).message, /expected a directory, or a file/);
    await Deno.writeTextFile(join(directory, "results.json"), '{"schema":9}');
    assertMatch((await message(directory)).message, /results.json: \$\.schema: expected 1, found 9/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("readResultTree() reads no files from outside the tree, whatever it names", async () => {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-reports-" });
  try {
    await Deno.mkdir(join(directory, "tree/inside"), { recursive: true });
    await Deno.writeTextFile(join(directory, "kernel.log"), "secret");
    await Deno.writeTextFile(join(directory, "tree/inside/kernel.log"), "seen");
    const logOf = async (files: string) => {
      const run = singleRun({ status: "fail", files });
      await Deno.writeTextFile(join(directory, "tree/results.json"), JSON.stringify(run));
      const tree = await readResultTree(join(directory, "tree"));
      return tree.jobs[0]?.scenarios[0]?.kept?.kernelLog;
    };
    assertEquals(await logOf("inside"), "seen");
    assertEquals(await logOf(".."), undefined);
    assertEquals(await logOf("inside/../.."), undefined);
    assertEquals(await logOf(directory), undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("treeOfRun() makes a job of each platform, and says how it failed", () => {
  const statusOf = (status: "pass" | "fail" | "skip" | "lost") => {
    const [job] = treeOfRun(singleRun({ status })).jobs;
    return `${job?.status} ${job?.failure?.kind ?? ""}`.trim();
  };
  assertEquals(statusOf("pass"), "pass");
  assertEquals(statusOf("fail"), "fail test");
  assertEquals(statusOf("lost"), "fail guest lost");
  assertEquals(statusOf("skip"), "fail nothing ran");
  const [job] = treeOfRun(singleRun({ platform: "i386-pae-debug" })).jobs.toReversed();
  assertEquals([job?.platform, job?.flavour], ["i386-pae", "debug"]);
});

Deno.test("listProblems() takes the same failure on several jobs as one, the new ones first", async () => {
  const problems = listProblems(await recordedTree("nightly"));
  assertEquals(problems.map(({ state, title }) => `${state}: ${title}`), [
    "new failure: ldt_one",
    "new failure: 5.10/x86_64/plain/catalogue",
    "new failure: leaks",
    "still failing: populate_advice",
    "flaky: swap_loop",
    "missing: 6.12/i386/plain/catalogue",
  ]);
  const [ldt, build, leaks] = problems;
  assertEquals(ldt?.places.map(({ job }) => job.kernel), ["6.1", "6.12"]);
  assertEquals(ldt?.reproduced, { times: 6, of: 6 });
  assertEquals(ldt?.changed.map(({ name }) => name), ["patch"]);
  assertEquals(build?.headline, "the kernel was not built: make vmlinux ended with status 2");
  assertEquals(leaks?.headline, "memory leak in cr_write_mm_context");
  assertEquals(problems.map(realityText), [
    "yes: reproduced 6 of 6",
    "the job as a whole failed",
    "flaky: reproduced 1 of 2",
    "flaky: reproduced 2 of 3",
    "not run again",
    "not known: it did not run",
  ]);
  assertEquals(new Set(problems.map(({ id }) => id)).size, problems.length);
});

Deno.test("listProblems() takes one complaint of the kernel as one problem, whatever it breaks", () => {
  const splat = { kind: "WARN", title: "WARNING in f", fingerprint: "f1", frames: [], lines: [] };
  const run = singleRun({ status: "fail", splats: [splat] });
  const [record] = run.results;
  assert(record);
  const other = { ...record, scenario: "other", reproduced: { times: 1, of: 2 } };
  const third = { ...record, scenario: "third", splats: [{ ...splat, fingerprint: "f2" }] };
  const problems = listProblems(treeOfRun({ ...run, results: [record, other, third] }));
  assertEquals(problems.map(({ title, scenarios }) => [title, scenarios.length]), [["2 scenarios", 2], [
    "third",
    1,
  ]]);
  assertEquals(problems.map(({ headline }) => headline), ["WARNING in f", "WARNING in f"]);
  // One that the allowlist covers is no complaint.
  const allowed = { ...record, splats: [{ ...splat, allowed: "known" }] };
  const again = listProblems(treeOfRun({ ...run, results: [allowed, { ...allowed, scenario: "other" }] }));
  assertEquals(again.map(({ title }) => title), ["minimal", "other"]);
});

Deno.test("listProblems() takes many scenarios that break alike as one problem, a few as their own", () => {
  const finding = (number: number) =>
    ({
      id: "E_FIELD",
      verdict: "mismatch",
      path: `task[0]/vma[${number}].vm_flags`,
      message: "wrong",
    }) as const;
  const run = singleRun({ status: "fail" });
  const titles = (count: number) => {
    const results = Array.from({ length: count }, (_, index) => ({
      ...run.results[0]!,
      scenario: `scenario_${index}`,
      findings: [finding(index)],
    }));
    return listProblems(treeOfRun({ ...run, results })).map(({ title }) => title);
  };
  assertEquals(titles(3), ["scenario_0", "scenario_1", "scenario_2"]);
  assertEquals(titles(30), ["30 scenarios"]);
});

Deno.test("listProblems() takes a guest that does not boot and what was not run for it as one problem", () => {
  const run = singleRun({ status: "lost" });
  const record = { ...run.results[0]!, findings: [] };
  const reason = "guest lost (qemu-exit): QEMU ended";
  const results = [
    { ...record, scenario: "boot", phase: "boot", reason: `${reason}\nthe console is empty` } as const,
    { ...record, scenario: "one", reason: `not run: ${reason}` },
    { ...record, scenario: "two", reason: `not run: ${reason}` },
    { ...record, scenario: "three", reason: "guest lost (timeout): no answer" },
  ];
  const problems = listProblems(treeOfRun({ ...run, results }));
  assertEquals(problems.map(({ title, headline }) => [title, headline]), [
    ["3 scenarios", reason],
    ["three", "guest lost (timeout): no answer"],
  ]);
});

Deno.test("treeOfRun() gives scenarios that are spoken of more than once titles of their own", () => {
  const run = singleRun();
  const [record] = run.results;
  assert(record);
  const boot = { ...record, scenario: "boot", phase: "boot" } as const;
  const results = [boot, record, { ...record, phase: "afterwards" } as const, boot];
  const [job] = treeOfRun({ ...run, results }).jobs;
  assertEquals(job?.scenarios.map(({ title }) => title), [
    "boot",
    "minimal",
    "minimal (afterwards)",
    "boot (2)",
  ]);
});

Deno.test("listProblems() loses nothing: each job that did not pass, each failed scenario is in one", async () => {
  for (const name of ["run", "nightly"] as const) {
    const tree = await recordedTree(name);
    const places = listProblems(tree).flatMap((problem) => problem.places);
    for (const job of tree.jobs) {
      const own = places.filter((place) => place.job === job);
      if (job.status !== "pass") assert(own.length > 0, job.name);
      for (const scenario of job.scenarios) {
        const isBad = scenario.status === "fail" || scenario.status === "lost";
        assertEquals(
          own.filter((place) => place.scenario === scenario).length,
          isBad ? 1 : 0,
          scenario.scenario,
        );
      }
    }
  }
});
