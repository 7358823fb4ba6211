// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UsageError } from "../../vm/host/errors.ts";
import { faultResult, HarnessFault, type ScenarioResult } from "./scenario_result.ts";
import { RunReport } from "./run_report.ts";
import type { RunResult } from "./run_result.ts";
import type { Terminal } from "../report/terminal.ts";
import { parseSplats } from "../triage/parse_splats.ts";
import { notRestartedLines, splatRecord } from "./result_text.ts";

const COUNTS = { total: 10, predicted: 6, observed: 2, volatile: 2, unexplained: 0 };
const VOLATILE = new Map([["head.time", { bytes: 2, reason: "it passes" }]]);

function result(scenario: string, changes: Partial<ScenarioResult> = {}): ScenarioResult {
  const stop = {
    label: "stopped",
    image: Uint8Array.of(1, 2, 3),
    findings: [],
    counts: COUNTS,
    volatile: VOLATILE,
    pages: 3,
    seen: { host: 1200, guest: 2 },
  };
  return {
    scenario,
    status: "pass",
    outcome: { stops: [stop], findings: [] },
    milliseconds: 1500,
    kernelLog: "a log\n",
    splats: [],
    guestCommand: "qemu -m 1",
    ...changes,
  };
}

const FAILED = result("bad", {
  status: "fail",
  reproduced: { times: 1, of: 1, sameSplat: 0 },
  outcome: {
    stops: result("").outcome!.stops,
    findings: Array.from({ length: 9 }, (_, i) => ({
      id: "E_X",
      verdict: "mismatch" as const,
      path: `part[${i}]`,
      message: "wrong",
    })),
  },
});
const LOST = result("gone", {
  status: "lost",
  reason: "guest lost (panic): two\nlines",
  outcome: undefined,
  reproduced: { times: 0, of: 2, sameSplat: 0 },
});

async function report(
  results: ScenarioResult[],
  use: (dir: string, lines: string[], close: () => Promise<RunResult>, it: RunReport) => Promise<void>,
  { isQuiet = false, scenarioFiles }: { isQuiet?: boolean; scenarioFiles?: Map<string, string> } = {},
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const lines: string[] = [];
  const terminal = {
    result: (line: string) => void lines.push(...line.split("\n")),
    note: () => {},
    status: () => {},
    clearStatus: () => {},
    style: (text: string) => text,
    isQuiet,
  } as unknown as Terminal;
  try {
    const it = await RunReport.open({
      ...{ directory: `${dir}/out`, terminal, task: ["test:qemu"] as const },
      ...scenarioFiles && { scenarioFiles },
    });
    it.beginPlatform({ name: "x86_64", kernelName: "Linux 6.1", acceleratorReason: "tcg" });
    for (const one of results) it.result("x86_64", one);
    await use(`${dir}/out`, lines, () => it.close(), it);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("notRestartedLines() counts targets that were not restarted by their reasons, and names scenarios", () => {
  assertEquals(notRestartedLines(new Map()), []);
  const many = Array.from({ length: 9 }, (_, i) => `s${i >> 1}`);
  const reasons = new Map([["it is a child", ["a"]], ["it is refused", [...many, "t", "u"]]]);
  assertEquals(notRestartedLines(reasons), [
    "12 stopped targets were not restarted:",
    "  11 (s0, s1, s2, s3, s4 and 2 more): it is refused",
    "  1 (a): it is a child",
  ]);
});

const SEEN = "pages of targets: 2,400 seen in the guest's memory, 4 by its word alone";

Deno.test("RunReport prints a line for each scenario, the byte coverage, and the counts last", async () => {
  const skipped = result("other", { status: "skip", reason: "needs i386", outcome: undefined });
  await report([result("good"), FAILED, skipped, LOST], async (_, lines, close) => {
    assertEquals((await close()).counts, { passed: 1, failed: 1, lost: 1, skipped: 1 });
    assertEquals(lines.at(-1), "1 passed, 2 failed, 1 skipped");
    const text = lines.join("\n");
    assert(/^ok {4}x86_64 +good +3 pages +3 B +1\.50 s$/m.test(text), text);
    assert(/^skip .* other .* needs i386$/m.test(text), text);
    for (
      const part of ["predicted   12", "head.time: 4 (it passes)", "unexplained 0", "1 guests lost", SEEN]
    ) {
      assertStringIncludes(text, part);
    }
  });
});

Deno.test("RunReport shows what failed, how to do it again, and keeps its files", async () => {
  await report([FAILED, LOST], async (dir, lines, close) => {
    await close();
    const text = lines.join("\n");
    for (
      const part of [
        "mismatch E_X part[0]: wrong",
        "... and 3 more findings",
        "failed again: reproduced 1 of 1",
        "failed not again: reproduced 0 of 2",
        "--filter bad",
        "guest lost (panic): two",
      ]
    ) assertStringIncludes(text, part);
    assertEquals(await Deno.readFile(`${dir}/x86_64/bad/stopped.ckpt`), Uint8Array.of(1, 2, 3));
    assertEquals(await Deno.readTextFile(`${dir}/x86_64/gone/kernel.log`), "a log\n");
    assertEquals(JSON.parse(await Deno.readTextFile(`${dir}/x86_64/bad/findings.json`)).length, 9);
    const results = JSON.parse(await Deno.readTextFile(`${dir}/results.json`));
    assertEquals(results.results.map(({ status }: { status: string }) => status), ["fail", "lost"]);
  });
});

Deno.test("a quiet RunReport prints failures and the summary alone", async () => {
  await report([result("good"), FAILED, result("fine")], async (_dir, lines, close) => {
    await close();
    assertEquals(lines.filter((line) => /^(ok|FAIL|#) /.test(line)).map((line) => line.split(/ +/)[2]), [
      "bad",
    ]);
    assertEquals(lines.at(-1), "2 passed, 1 failed");
  }, { isQuiet: true });
});

Deno.test("RunReport names the file of a scenario that is no part of the catalogue", async () => {
  const scenarioFiles = new Map([["bad", "/my dir/bad.json"]]);
  await report([FAILED, LOST], async (_dir, lines, close) => {
    await close();
    const commands = lines.filter((line) => line.includes("reproduce: ")).map((line) => line.trim());
    assertEquals(commands, [
      "reproduce: deno task test:qemu --arch x86_64 --scenario '/my dir/bad.json'",
      "reproduce: deno task test:qemu --arch x86_64 --filter gone",
    ]);
  }, { scenarioFiles });
});

Deno.test("a run that an error ends keeps what has a result, and says nothing when there is none", async () => {
  for (const results of [[result("good")], []]) {
    await report(results, async (dir, lines, _, it) => {
      const work = () => Promise.reject(new UsageError("the second kernel cannot be built"));
      await assertRejects(() => it.during(new AbortController().signal, work), UsageError, "second kernel");
      const isKept = await Deno.stat(`${dir}/results.json`).then(() => true, () => false);
      assertEquals([isKept, lines.includes("stopped: by an error")], [
        results.length > 0,
        results.length > 0,
      ]);
    });
  }
});

Deno.test("RunReport says that an error of ckptest itself failed a scenario, and keeps its inputs", async () => {
  const error = new RangeError("a line cannot be parsed");
  const inputs = new Map([["001-checkpoint.image", Uint8Array.of(9)], [
    "002-observe.maps",
    Uint8Array.of(8),
  ]]);
  const fault = faultResult(
    { scenario: "odd", guestCommand: "qemu", kernelLog: "log\n" },
    new HarnessFault(error, inputs),
  );
  await report([result("good"), fault], async (dir, lines, close) => {
    await close();
    const text = lines.join("\n");
    assertStringIncludes(
      text,
      "E_HARNESS ckptest: an error of ckptest itself, which says nothing of the kernel",
    );
    assertStringIncludes(text, "RangeError: a line cannot be parsed");
    assertStringIncludes(text, "\n1 scenario failed by an error of ckptest itself: please report");
    assertEquals(lines.at(-1), "1 passed, 1 failed");
    assertEquals(await Deno.readTextFile(`${dir}/x86_64/odd/error.txt`), `${error.stack}\n`);
    const answers = `${dir}/x86_64/odd/answers`;
    assertEquals(await Deno.readFile(`${answers}/001-checkpoint.image`), Uint8Array.of(9));
    assertEquals(await Deno.readFile(`${answers}/002-observe.maps`), Uint8Array.of(8));
    const { results } = JSON.parse(await Deno.readTextFile(`${dir}/results.json`));
    assertEquals(results[1].findings[0].id, "E_HARNESS");
  });
});

const LOG = `[    1.000000] WARNING: CPU: 0 PID: 7 at checkpoint/x.c:1 cr_write_mm+0x10/0x140
[    1.000001] Call Trace:
[    1.000002]  cr_write_task+0x5/0x20
[    1.000003] ---[ end trace 0000000000000000 ]---
`;
const SPLAT = parseSplats(LOG)[0]!;
const DECODED = {
  frames: [["cr_write_mm at checkpoint/x.c:1"], []],
  note: undefined,
};

Deno.test("RunReport shows a splat with its lines of source, log and place, and counts the distinct ones", async () => {
  const reported = splatRecord(SPLAT, DECODED);
  const bad = (name: string): ScenarioResult =>
    result(name, { status: "fail", splats: [reported], reproduced: { times: 2, of: 2, sameSplat: 1 } });
  const late = { ...bad("one"), phase: "afterwards" as const };
  await report([bad("one"), late, bad("two")], async (dir, lines, close) => {
    assertEquals((await close()).counts, { passed: 0, failed: 3, lost: 0, skipped: 0 });
    const text = lines.join("\n");
    for (
      const part of [
        `WARNING in cr_write_mm [${SPLAT.fingerprint}]`,
        "cr_write_mm+0x10/0x140  cr_write_mm at checkpoint/x.c:1",
        "| [    1.000000] WARNING: CPU: 0 PID: 7",
        "reproduced 2 of 2, 1 of them with the same splat",
        "one (afterwards)",
        `${dir}/x86_64/one.afterwards (kernel.log is the whole log)`,
        "1 distinct splat:",
        `WARNING in cr_write_mm [${SPLAT.fingerprint}], 3 times: x86_64/one, x86_64/one (afterwards), x86_64/two`,
      ]
    ) assertStringIncludes(text, part);
    const { results } = JSON.parse(await Deno.readTextFile(`${dir}/results.json`));
    assertEquals(results[1].phase, "afterwards");
    assertEquals(results[0].splats, [{
      kind: "WARN",
      title: SPLAT.title,
      fingerprint: SPLAT.fingerprint,
      lines: SPLAT.lines,
      frames: ["cr_write_mm+0x10/0x140 (cr_write_mm at checkpoint/x.c:1)", "cr_write_task+0x5/0x20"],
    }]);
    assertEquals(results[0].reproduced, { times: 2, of: 2, sameSplat: 1 });
    assertEquals([results[0].platform, results[0].files], ["x86_64", "x86_64/one"]);
  });
});

Deno.test("RunReport names an entry of the allowlist that was used, and counts no boot that passed", async () => {
  const entry = { title: SPLAT.title, reason: "known", expires: "2999-01-01" };
  const splats = [splatRecord(SPLAT, undefined, entry)];
  const boot = result("boot", { phase: "boot", splats });
  await report([boot, result("good", { splats })], async (_, lines, close) => {
    assertEquals((await close()).counts, { passed: 1, failed: 0, lost: 0, skipped: 0 });
    assertStringIncludes(
      lines.join("\n"),
      `${SPLAT.title}: allowed until 2999-01-01: known, 2 times`,
    );
    assertEquals(lines.filter((line) => line.includes("distinct")), []);
  });
});

Deno.test("RunReport counts scenarios that no guest was there for as lost, without a line for each", async () => {
  const rest = ["a", "b"].map((name) =>
    result(name, { status: "lost", reason: "not run: no boot", outcome: undefined, guestCommand: "" })
  );
  await report([LOST, ...rest], async (_, lines, close) => {
    assertEquals((await close()).counts, { passed: 0, failed: 0, lost: 3, skipped: 0 });
    assertEquals(lines.filter((line) => line.startsWith("LOST")).length, 1);
    assertStringIncludes(lines.join("\n"), "1 guests lost, 2 scenarios not run (counted as failed)");
    assertEquals(lines.at(-1), "0 passed, 3 failed");
  });
});

Deno.test("RunReport says so when nothing ran", async () => {
  await report([], async (_, lines, close) => {
    assertEquals((await close()).counts, { passed: 0, failed: 0, lost: 0, skipped: 0 });
    assertEquals(lines.slice(-2), ["no scenario matched: nothing ran", "0 passed, 0 failed"]);
  });
});

Deno.test("RunReport names a file that it cannot write, after the counts", async () => {
  await report([result("good")], async (dir, lines, close) => {
    await Deno.mkdir(`${dir}/results.json/x`, { recursive: true });
    await assertRejects(close, UsageError, `${dir}/results.json cannot be written`);
    assertEquals(lines.at(-1), "1 passed, 0 failed");
  });
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/file`, "");
    const terminal = {} as Terminal;
    await assertRejects(
      () => RunReport.open({ directory: `${dir}/file/x`, terminal, task: ["test:qemu"] }),
      UsageError,
      `${dir}/file/x`,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("RunReport names known errors of a v11 kernel, and who explains its bytes", async () => {
  const posted = result("self_minimal");
  const stop = {
    ...posted.outcome!.stops[0]!,
    sources: new Map([["stat", 2], ["posted", 6]] as const),
    knownErrors: new Map([["N_STALE_PADDING", { count: 3, message: "unused bytes keep what was there" }]]),
  };
  const twice = [posted, result("self_memory")].map((one) => ({
    ...one,
    outcome: { stops: [stop], findings: [] },
  }));
  await report(twice, async (_dir, lines, close) => {
    const { knownErrors, counts } = await close();
    const at = lines.indexOf("explained by:");
    assertEquals(lines.slice(at, at + 5), [
      "explained by:",
      "  12 the code as posted",
      "  4 /proc/PID/stat",
      "known errors of the code as posted, which fail nothing:",
      "  N_STALE_PADDING 6 times: unused bytes keep what was there",
    ]);
    assertEquals(knownErrors?.N_STALE_PADDING?.count, 6);
    assertEquals([counts.passed, counts.failed, lines.at(-1)], [2, 0, "2 passed, 0 failed"]);
  });
});

Deno.test("RunReport has the page written when the results are there, and says where it is", async () => {
  const dir = await Deno.makeTempDir();
  const lines: string[] = [];
  const terminal = {
    ...{ note: () => {}, status: () => {}, clearStatus: () => {}, style: (text: string) => text },
    result: (line: string) => void lines.push(line),
  } as unknown as Terminal;
  try {
    const writePage = async (directory: string) => {
      await Deno.stat(`${directory}/results.json`);
      return `${directory}/report.html`;
    };
    const it = await RunReport.open({ directory: dir, terminal, task: ["test:qemu"], writePage });
    it.beginPlatform({ name: "x86_64", kernelName: "Linux 6.1", acceleratorReason: "tcg" });
    it.result("x86_64", result("good"));
    await it.close();
    assertEquals(lines[lines.indexOf(`results: ${dir}`) + 1], `report: ${dir}/report.html`);
    assertEquals(lines.at(-1), "1 passed, 0 failed");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
