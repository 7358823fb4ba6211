// SPDX-License-Identifier: MIT
/** A recorded image stands for that of the plain call; each test changes one thing about the other call. */
import { assertEquals } from "@std/assert";
import { unpackRecordedCase } from "../../lib/compare/testing/recorded_case.ts";
import type { CallOutcome, CallPlan } from "../../lib/model/predict_call.ts";
import type { CheckpointResult } from "../../vm/agent/agent_types.ts";
import { checkpointReply } from "../../vm/agent/testing/checkpoint_reply.ts";
import type { FileEnd } from "../run/case/call_output.ts";
import { checkCall } from "./check_call.ts";
import type { MadeCall } from "../run/case/make_call.ts";

const FILE = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const { image: IMAGE } = await unpackRecordedCase(await Deno.readFile(FILE));
const NOW = new DataView(IMAGE.buffer, IMAGE.byteOffset).getBigInt64(24, true);

interface Given {
  outcome?: Partial<CallOutcome>;
  target?: CallPlan["target"];
  times?: number;
  reply?: Partial<CheckpointResult>;
  image?: Uint8Array;
  file?: FileEnd;
  others?: readonly CheckpointResult[];
  othersSee?: CallPlan["othersSee"];
  after?: Uint8Array;
  endsBefore?: number;
}

const REPLY = checkpointReply({
  ...{
    result: 5n,
    previousId: 4,
    length: IMAGE.length,
    secondsBefore: NOW,
    secondsAfter: NOW + 1n,
    probe: -14n,
  },
});
const FAILED = { result: -32n, errno: 32 };
const TRUNCATED = { name: "EPIPE", written: "part", why: "nobody reads" } as const;

function ids(given: Given): string[] {
  const plan: CallPlan = {
    caller: {
      uid: 0,
      euid: 0,
      gid: 0,
      flags: 0,
      pid: "target",
      times: given.times ?? 1,
      signals: "ignored",
      alarm: 0,
      signalBehind: "",
    },
    output: { kind: "pipe" },
    signalVma: undefined,
    whileBlocked: given.target === "continued"
      ? [{ at: 5000, record: undefined, do: "cont", address: 0n, length: 0, path: "", newPath: "" }]
      : [],
    othersSee: given.othersSee ?? ["before", "before"],
    outcome: { name: "ok", written: "whole", sees: "before", why: "", ...given.outcome },
    target: given.target ?? "same",
    after: undefined,
  };
  const made: MadeCall = {
    reply: { ...REPLY, ...given.reply },
    image: given.image ?? IMAGE,
    file: given.file,
    others: given.others ?? [],
    event: undefined,
    findings: [],
  };
  const placed = { ...plan, endsBefore: given.endsBefore };
  return checkCall(placed, made, { before: IMAGE, after: given.after, dialect: "port" }).map(({ id }) => id);
}

function changed(at: number): Uint8Array {
  const image = IMAGE.slice();
  image[at]! ^= 1;
  return image;
}

Deno.test("checkCall() passes the image that a plain call gives, at another time", () => {
  assertEquals(ids({}), []);
  const later = IMAGE.slice();
  new DataView(later.buffer).setBigInt64(24, NOW + 1n, true);
  assertEquals(ids({ image: later }), []);
  assertEquals(ids({ outcome: { sees: "after" }, image: changed(9000), after: changed(9000) }), []);
});

Deno.test("checkCall() finds an image that is not the plain call's, or not of the time of the call", () => {
  for (const at of [0, 23, 32, 9000, IMAGE.length - 1]) {
    assertEquals(ids({ image: changed(at) }), ["E_OTHER_IMAGE"], `byte ${at}`);
  }
  assertEquals(ids({ image: IMAGE.subarray(0, -8) }), ["E_OTHER_IMAGE"]);
  assertEquals(ids({ image: new Uint8Array(0) }), ["E_OTHER_IMAGE"]);
  assertEquals(ids({ reply: { secondsBefore: NOW + 1n } }), []);
  assertEquals(ids({ reply: { secondsBefore: NOW + 2n, secondsAfter: NOW + 2n } }), ["E_TIME"]);
  assertEquals(ids({ reply: { secondsAfter: NOW - 1n } }), ["E_TIME"]);
  assertEquals(ids({ outcome: { sees: "after" }, after: changed(9000) }), ["E_OTHER_IMAGE"]);
  const other = { ...REPLY, image: changed(9000) };
  const others = [{ ...REPLY, image: IMAGE }, other];
  assertEquals(ids({ others }), ["E_OTHER_IMAGE"]);
  assertEquals(ids({ others, othersSee: ["before", "after"], after: changed(9000) }), []);
});

Deno.test("checkCall() wants the predicted end of the call and of others that were made meanwhile", () => {
  const image = IMAGE.subarray(0, 5000);
  assertEquals(ids({ outcome: TRUNCATED, reply: FAILED, image }), []);
  assertEquals(ids({ outcome: TRUNCATED, image }), ["E_RETURN"]);
  assertEquals(ids({ reply: { result: 6n } }), ["E_RETURN"]);
  assertEquals(
    ids({ outcome: TRUNCATED, times: 4, reply: { ...FAILED, otherResult: 7n }, image: new Uint8Array(0) }),
    [
      "E_RETURN",
    ],
  );
  assertEquals(ids({ others: [{ ...REPLY, ...FAILED, image: IMAGE }] }), ["E_RETURN"]);
});

Deno.test("checkCall() wants a truncated image to be the beginning of a whole one, and known as such", () => {
  const truncated = (image: Uint8Array, more: Given = {}) =>
    ids({ outcome: TRUNCATED, reply: FAILED, image, ...more });
  for (const length of [1, 8, 231, 5000, IMAGE.length - 1]) {
    assertEquals(truncated(IMAGE.subarray(0, length)), []);
  }
  assertEquals(truncated(IMAGE), ["E_NOT_TRUNCATED"]);
  assertEquals(truncated(IMAGE.subarray(0, 5000), { endsBefore: 5000 }), []);
  assertEquals(truncated(IMAGE.subarray(0, 5000), { endsBefore: 4999 }), ["E_LATE"]);
  assertEquals(truncated(changed(4000).subarray(0, 5000)), ["E_OTHER_IMAGE"]);
  // A call that was restarted begins once more.
  const twice = new Uint8Array([...IMAGE.subarray(0, 3000), ...IMAGE.subarray(0, 5000)]);
  assertEquals(truncated(twice).includes("E_OTHER_IMAGE"), true);
  const running = { target: "continued" } as const;
  assertEquals(truncated(changed(7000).subarray(0, 9000), running), []);
  assertEquals(truncated(changed(4000).subarray(0, 9000), running), ["E_OTHER_IMAGE"]);
  assertEquals(
    truncated(new Uint8Array([...IMAGE.subarray(0, 3000), ...IMAGE.subarray(0, 3000)]), { times: 2 }),
    [],
  );
  assertEquals(truncated(twice, { times: 2 }).includes("E_OTHER_IMAGE"), true);
});

Deno.test("checkCall() wants nothing of an early refusal, and the position where the image ends", () => {
  const refused = { outcome: { ...TRUNCATED, written: "nothing" }, reply: FAILED } as const;
  const empty = new Uint8Array(0);
  const end: FileEnd = { image: empty, start: 100, before: 100, after: 100, isUnharmed: true };
  assertEquals(ids({ ...refused, image: empty }), []);
  assertEquals(ids({ ...refused, image: Uint8Array.of(1) }), ["E_REFUSED_OUTPUT"]);
  assertEquals(ids({ ...refused, image: empty, file: end }), []);
  assertEquals(ids({ ...refused, image: empty, file: { ...end, after: 101 } }), ["E_POSITION"]);
  assertEquals(ids({ ...refused, image: empty, file: { ...end, isUnharmed: false } }), ["E_OVERWRITTEN"]);
  const whole = { ...end, image: IMAGE, after: 100 + IMAGE.length };
  assertEquals(ids({ file: whole }), []);
  assertEquals(ids({ file: { ...whole, after: 100 } }), ["E_POSITION"]);
});
