// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import { unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import type { GuestAgent } from "../guest/guest.ts";
import {
  changeFindings,
  outcomeName,
  positionFindings,
  restartStop,
  whyNotRestarted,
} from "./restart_stop.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
/** What is seen of a process that nobody compares. */
const SEEN: Partial<GuestAgent> = {
  readFile: () => Promise.resolve(new Uint8Array(0)),
  observe: () => Promise.resolve(new Map()),
  call: () => Promise.resolve({ result: 0, bytes: new Uint8Array(0) }),
};
const COMPILED = compileScenario(RECORDED.scenario, RECORDED.compileTarget);
const [STOP] = COMPILED.stops;

Deno.test("restartStop() says by which errno an image was refused, and what it was given", async () => {
  const calls: unknown[] = [];
  const said = <T>(call: unknown, answer: T): Promise<T> => (calls.push(call), Promise.resolve(answer));
  const agent: Partial<GuestAgent> = {
    writeFile: (path, content) => said([path, content.length], undefined),
    restart: (options) =>
      said(options, { pid: 9, result: -22n, changed: 0, position: 0n, stdout: "", stderr: "" }),
    ...SEEN,
  };
  const plain = {
    label: "stopped",
    image: RECORDED.image,
    findings: [],
    counts: { total: 0, predicted: 0, observed: 0, volatile: 0, unexplained: 0 },
    volatile: new Map(),
    pages: 0,
  };
  const { stop, pid } = await restartStop(agent as GuestAgent, STOP!, plain, {
    pid: 7,
    series: RECORDED.series,
    wordSize: 8,
    checkpoint: () => Promise.reject(new Error("a target that was refused has no image")),
    how: "pipe",
    user: { uid: 5, gid: 6 },
  });
  assertEquals([pid, stop.findings.map(({ id, actual }) => `${id} ${actual}`)], [undefined, [
    "E_RESTART EINVAL",
  ]]);
  assertEquals(calls, [
    ["/run/ckptest/restarted", RECORDED.image.length],
    ["/sys/module/kernel/parameters/restart_unprivileged", 1],
    { pid: 7, image: "/run/ckptest/restarted", how: "pipe", uid: 5, gid: 6 },
    ["/sys/module/kernel/parameters/restart_unprivileged", 1],
  ]);
});

Deno.test("outcomeName() and changeFindings() tell how a call ended, and what it left changed", () => {
  assertEquals([0n, -22n, 1009n].map(outcomeName), ["ok", "EINVAL", "SIGKILL"]);
  assertEquals([0, 1].map((changed) => changeFindings(changed).map(({ id }) => id)), [[], [
    "E_CALLER_CHANGED",
  ]]);
});

Deno.test("positionFindings() wants what was read of an image that was taken, and nothing else", () => {
  const actual = [positionFindings(5n, 5), positionFindings(5n, 0)].map((all) => all.map(({ id }) => id));
  assertEquals(actual, [[], ["E_POSITION"]]);
});

Deno.test("whyNotRestarted() has nothing against a stopped target, but against others", () => {
  const same = { pid: 7, spawned: 7, isLast: false, breaksSwap: false, wordSize: 8 } as const;
  assertEquals(whyNotRestarted(STOP!, same), undefined);
  assertEquals(whyNotRestarted(STOP!, { ...same, isLast: true, breaksSwap: true }), undefined);
  const reasons = [
    whyNotRestarted({ ...STOP!, self: true }, same),
    whyNotRestarted({ ...STOP!, tracer: { ...STOP!.tracer, busy: "running" } }, same),
    whyNotRestarted(STOP!, { ...same, pid: 8 }),
    whyNotRestarted(STOP!, { ...same, breaksSwap: true }),
    whyNotRestarted({ ...STOP!, prediction: { ...STOP!.prediction, lockedHole: "a" } }, same),
  ];
  assertEquals(reasons.map((reason) => reason?.split(" ").slice(0, 3).join(" ")), [
    "a target that",
    "a busy target",
    "the subject is",
    "none of its",
    "what is locked,",
  ]);
});
