// SPDX-License-Identifier: MIT
/** The model of Linux 2.6.28 with the code as posted, where it differs from that of the port. */
import { assertEquals } from "@std/assert";
import { compileSteps, I386, predictSteps } from "./testing/compile_steps.ts";
import type { StopPrediction } from "./predict_stop.ts";
import type { Step } from "./scenario.ts";
import type { CompileTarget } from "./state/model_state.ts";

const POSTED: CompileTarget = { ...I386, dialect: "v11", series: "2.6.28" };

function posted(...steps: Step[]): StopPrediction {
  return predictSteps(steps, { target: POSTED });
}

function port(...steps: Step[]): StopPrediction {
  return predictSteps(steps, { target: I386 });
}

function errorsOf({ knownErrors }: StopPrediction): Record<string, number> {
  return Object.fromEntries(knownErrors.map(({ id, count }) => [id, count]));
}

const LDT: Step = { op: "modify_ldt", entries: "0..9", base: 0x1000, limit: 0xff, flags: ["32bit"] };
const TLS: Step = {
  op: "set_thread_area",
  entry: 1,
  base: 0x1000,
  limit: 0xfff,
  flags: ["32bit", "useable"],
};
const AREA: Step = { op: "mmap", area: "a", pages: 4, prot: "rw" };
const FILE: readonly Step[] = [
  { op: "file", file: "data", pages: 4 },
  { ...AREA, file: "data" },
];

Deno.test("as posted, an LDT has room for a multiple of 512 entries, which lack the accessed bit", () => {
  const prediction = posted(LDT);
  assertEquals(prediction.ldt.length, 512 * 8);
  assertEquals(prediction.ldt[5]! & 1, 0);
  assertEquals(errorsOf(prediction), { N_NOT_ACCESSED: 10 });
  const ofPort = port(LDT);
  assertEquals([ofPort.ldt.length, ofPort.ldt[5]! & 1, ofPort.knownErrors], [10 * 8, 1, []]);
});

Deno.test("as posted, exec keeps the LDT, and clears TLS", () => {
  const prediction = posted(LDT, TLS, { op: "exec" });
  assertEquals([prediction.ldt.length, prediction.tls.some(Boolean)], [512 * 8, false]);
  assertEquals(errorsOf(prediction), { N_LDT_KEPT: 1, N_NOT_ACCESSED: 10 });
  assertEquals(port(LDT, TLS, { op: "exec" }).ldt.length, 0);
});

Deno.test("as posted, a user_desc of zeros clears no TLS entry", () => {
  const zeros: Step = { op: "set_thread_area", entry: 1, base: 0, limit: 0, flags: [] };
  const prediction = posted(TLS, zeros);
  assertEquals(prediction.tls.some(Boolean), true);
  assertEquals(errorsOf(prediction), { N_NOT_ACCESSED: 1, N_TLS_NOT_CLEARED: 1 });
  assertEquals(port(TLS, zeros).tls.some(Boolean), false);
});

Deno.test("Linux 2.6.28 has no zero page: an area that was read is moved as one that was written", () => {
  const moved: Step = { op: "mremap", area: "a", pages: "all", to: "b" };
  const read: Step = { op: "read", area: "a", pages: 0 };
  const isNew = ({ areas }: StopPrediction): boolean => areas[0]!.pgoff === areas[0]!.start;
  assertEquals([isNew(port(AREA, read, moved)), isNew(posted(AREA, read, moved))], [true, false]);
  assertEquals(isNew(posted(AREA, moved)), true);
});

Deno.test("the code as posted saves FPU state once the target has used it", () => {
  assertEquals(posted(AREA).usedFpu, false);
  const { stops } = compileSteps([
    { op: "registers", values: { xmm0: "0x1" } },
    { op: "stop", label: "loaded" },
    { op: "stop", label: "used", call: { pid: "self" } },
    { op: "exec" },
    { op: "stop", label: "executed", call: { pid: "self" } },
  ], { target: POSTED });
  assertEquals(stops.map(({ prediction }) => prediction.usedFpu), [false, true, false]);
});

Deno.test("the code as posted looks at neither threads nor names that are gone", () => {
  const thread: Step = { op: "thread", kind: "thread" };
  const refused = (name: string): Step => ({ op: "stop", label: "refused", expect: name });
  assertEquals(port(AREA, thread, refused("EOPNOTSUPP")).refusal?.name, "EOPNOTSUPP");
  const shared = posted(AREA, thread);
  assertEquals([shared.refusal, errorsOf(shared)], [undefined, { N_SHARED_MEMORY: 1 }]);
  const unlinked: Step[] = [...FILE, { op: "unlink", file: "data" }];
  assertEquals(port(...unlinked, refused("ENOENT")).refusal?.name, "ENOENT");
  const gone = posted(...unlinked);
  assertEquals([gone.refusal, gone.areas[0]?.path?.endsWith("data (deleted)")], [undefined, true]);
});

Deno.test("the code as posted refuses some VMAs before their record, and some names behind it", () => {
  const shared = posted({ op: "mmap", area: "a", pages: 2, prot: "rw", flags: ["shared"] });
  assertEquals([shared.refusal?.errno, shared.refusal?.afterRecord], [38, undefined]);
  const chdir: Step = { op: "chdir", directory: "d".repeat(254), times: 16 };
  const long = "f".repeat(40);
  const named = posted(chdir, { op: "file", file: long, pages: 4 }, { ...AREA, file: long });
  assertEquals([named.refusal?.errno, named.refusal?.afterRecord], [36, true]);
  const outside = posted(AREA, { op: "chroot", directory: "jail" });
  assertEquals([outside.refusal?.errno, outside.refusal?.afterRecord], [9, true]);
});
