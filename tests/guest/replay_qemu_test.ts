// SPDX-License-Identifier: MIT
/** A guest that is recorded and played again: the same console, answers and images each time. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { mismatch } from "../../lib/image/finding.ts";
import { findScenario } from "../../harness/run/catalogue.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { runPlatform } from "../../harness/run/run_platform.ts";
import type { ScenarioResult } from "../../harness/run/scenario_result.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { findTool } from "../../vm/host/find_tool.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const CKPTEST = ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", `${ROOT}harness/cli/main.ts`];

async function ckptest(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [...CKPTEST, ...args],
    stdin: "null",
  })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a recorded guest is played again to the byte, with and without gdb", async (test) => {
  const place = await Deno.makeTempDir({ prefix: "ckptest-replay-" });
  const recording = `${place}/recordings/1`;
  const run = ["run", "--arch", "x86_64", "--accel", "tcg", "--jobs", "1", "--out", `${place}/out`];
  const { code, stderr } = await ckptest(...run, "--record", `${place}/recordings`, "ldt_one", "anon_dirty");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, `recorded: ckptest replay ${recording}\n`);
  const first = await ckptest("replay", recording);
  await test.step("twice the same", async () => {
    assertEquals(first.code, 0, first.stderr);
    assertMatch(first.stdout, /ckptest: end of ldt_one \(\d\)$/m);
    assertMatch(first.stdout, /^images of the agent: [\d.]+ KiB, sha256 [\da-f]{16}\.\.\.$/m);
    assertEquals(await ckptest("replay", recording), first);
  });
  await test.step({
    name: "with gdb",
    ignore: await findTool("gdb") === undefined,
    fn: () => withGdb(recording, first),
  });
  await test.step("a console that is another than it was", async () => {
    await Deno.writeTextFile(`${recording}/console.log`, "x\n", { append: true });
    const other = await ckptest("replay", recording);
    assertEquals(other.code, 1, other.stderr);
    assertMatch(other.stdout, /^the console is another than it was when the guest was recorded$/m);
  });
  await test.step("a recording that was cut, or is none", async () => {
    const { size } = await Deno.stat(`${recording}/recording.bin`);
    await Deno.truncate(`${recording}/recording.bin`, size >> 1);
    const cut = await ckptest("replay", recording);
    assertEquals([cut.code === 0, cut.code === 70], [false, false], cut.stderr);
    await Deno.writeTextFile(`${recording}/recording.bin`, "no recording");
    const none = await ckptest("replay", recording);
    assertEquals(none.code, 4, none.stdout);
    assertStringIncludes(none.stderr, "QEMU ended with exit status 1");
  });
  await Deno.remove(place, { recursive: true });
});

Deno.test("a failure that did not come again is recorded when it does", async () => {
  const place = await Deno.makeTempDir({ prefix: "ckptest-replay-" });
  const platform = PLATFORMS.find(({ name }) => name === "x86_64")!;
  const scenario = await findScenario("ldt_one");
  const request = { terminal: new Terminal(), accelerator: "tcg", scenarios: [scenario] } as const;
  const prepared = await prepareGuest(platform, request);
  const finding = mismatch("E_FLAKY", { path: "x", message: "wrong now and then" });
  let checks = 0;
  const results: ScenarioResult[] = [];
  await runPlatform(prepared, [scenario], {
    directory: place,
    ...{ guest: () => {}, starting: () => {}, note: () => {} },
    result: (_, result) => void results.push(result),
  }, {
    secondCheck: () => () => Promise.resolve({ findings: [1, 4].includes(++checks) ? [finding] : [] }),
  });
  const [{ recording, reproduced } = {}] = results;
  assertEquals(reproduced, { times: 1, of: 3, sameSplat: 0 });
  assertEquals(recording, `${place}/recordings/1`);
  const played = await ckptest("replay", recording!);
  assertEquals(played.code, 0, played.stderr);
  assertMatch(played.stdout, /ckptest: end of ldt_one \(\d\)$/m);
  await Deno.remove(place, { recursive: true });
});

async function withGdb(recording: string, first: { stdout: string }): Promise<void> {
  const args = [...CKPTEST, "replay", recording, "--gdb"];
  const child = new Deno.Command("deno", { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const said = new Response(child.stdout).text();
  let told = "";
  let attached: Promise<Deno.CommandOutput> | undefined;
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    told += part;
    const [, command] = /waits for gdb:\n {2}gdb (.*)\n/.exec(told) ?? [];
    if (command === undefined || attached) continue;
    const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
    const more = ["--batch", ...["bt", "delete", "continue"].flatMap((word) => ["-ex", word])];
    attached = new Deno.Command("gdb", { args: [...words, ...more], stdin: "null" }).output();
  }
  assertMatch(new TextDecoder().decode((await attached)?.stdout), /^Breakpoint 1, do_checkpoint \(ctx=/m);
  assertEquals([(await child.status).code, await said], [0, first.stdout], told);
}
