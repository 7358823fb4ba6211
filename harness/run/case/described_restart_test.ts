// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import { planRestart } from "../../../lib/model/predict_restart.ts";
import type { RestartSpec } from "../../../lib/model/restart.ts";
import { ModelState } from "../../../lib/model/state/model_state.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { describedRestart } from "./described_restart.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
const [STOP] = compileScenario(RECORDED.scenario, RECORDED.compileTarget).stops;

const PLAIN = {
  label: "stopped",
  image: RECORDED.image,
  findings: [],
  counts: { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 },
  volatile: new Map(),
  pages: 0,
};

interface Tried {
  /** What the caller was told, and what the image's file held. */
  readonly what: string | undefined;
  readonly image: Uint8Array;
  readonly findings: string[];
  readonly isEnded: boolean;
}

/** A restart that ends as the agent says. */
async function restart(spec: RestartSpec, result: bigint, changed = 0): Promise<Tried> {
  let what: string | undefined;
  let image = new Uint8Array(0);
  const agent: Partial<GuestAgent> = {
    writeFile: (path, content) => {
      if (path.endsWith("restarted")) image = (content as Uint8Array).slice();
      return Promise.resolve();
    },
    readFile: () => Promise.resolve(new Uint8Array(2)),
    restart: (options) => {
      what = options.what;
      const position = BigInt(spec.from?.position ?? 0);
      return Promise.resolve({ pid: 9, result, changed, position, stdout: "", stderr: "" });
    },
    observe: () => Promise.resolve(new Map()),
    call: () => Promise.resolve({ result: 0, bytes: new Uint8Array(0) }),
  };
  const plan = planRestart(new ModelState(RECORDED.compileTarget), spec, STOP!.prediction);
  const { stops, isEnded } = await describedRestart(agent as GuestAgent, { ...STOP!, restart: plan }, PLAIN, {
    ...{ pid: 7, wordSize: 8, series: RECORDED.series },
    checkpoint: () => Promise.reject(new Error("a target that was refused has no image")),
  });
  const findings = stops.flatMap((stop) => stop.findings.map(({ id, actual }) => `${id} ${actual}`));
  return { what, image, findings, isEnded };
}

Deno.test("describedRestart() tells the caller what to be, and changes the image", async () => {
  const cut = await restart({
    image: { cut: 5 },
    from: { kind: "file", position: 3 },
    caller: { uid: 6, pid: 0, capabilities: ["CAP_CHECKPOINT_RESTORE"], has: ["ldt"] },
    expect: "EPIPE",
  }, -32n);
  assertEquals(cut.what, "pid:0,uid:6,caps:1099511627776,seek:3,ldt");
  assertEquals(cut.image, Uint8Array.of(0x55, 0x55, 0x55, ...RECORDED.image.subarray(0, 5)));
  assertEquals([cut.findings, cut.isEnded], [[], false]);
  const flip = await restart({ image: { change: "TAIL.magic" }, expect: "EINVAL" }, -22n);
  const changed = [...flip.image].flatMap((byte, at) => byte === RECORDED.image[at] ? [] : [at]);
  assertEquals([changed.length, flip.image.length], [1, RECORDED.image.length]);
  const own = await restart({ caller: { pid: "own" }, image: { cut: 5 }, expect: "EPIPE", times: 9 }, -32n);
  assertEquals(own.what, "times:9,own");
});

Deno.test("describedRestart() tells of another errno, of a death, and of a caller that was changed", async () => {
  const spec: RestartSpec = { image: { cut: 5 }, expect: "EPIPE" };
  assertEquals((await restart(spec, -22n)).findings, ["E_RESTART EINVAL"]);
  assertEquals((await restart(spec, 0n)).findings, ["E_RESTART ok"]);
  assertEquals((await restart(spec, 1011n)).findings, ["E_RESTART SIGSEGV"]);
  assertEquals((await restart(spec, -32n, 1)).findings, ["E_CALLER_CHANGED 1"]);
  const refused = await restart({}, -22n);
  assertEquals([refused.findings, refused.isEnded], [["E_RESTART EINVAL"], true]);
});

Deno.test("describedRestart() does not look at a process that runs on, and that nobody traces", async () => {
  const spec: RestartSpec = { stays: "running", caller: { has: ["call"], limits: { stack: "unlimited" } } };
  const { what, findings, isEnded } = await restart(spec, 0n);
  assertEquals([what, findings, isEnded], ["legacy,call", [], false]);
});
