// SPDX-License-Identifier: MIT
/** What a tracer did to the target must be found in the image; a recorded image is held against other tracers. */
import { assertEquals } from "@std/assert";
import { decodeBytes } from "../image/decoder.ts";
import type { PagesNode } from "../image/nodes.ts";
import type { StopPrediction } from "../model/predict_stop.ts";
import { compareImage } from "./compare_image.ts";
import type { CompareOptions } from "./comparison_context.ts";
import type { TargetObservation } from "./observation.ts";
import { ImageSurgery } from "./testing/image_surgery.ts";
import { compareOptionsOf, unpackRecordedCase } from "./testing/recorded_case.ts";

const FILE = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
const OPTIONS = compareOptionsOf(RECORDED);

/** Ids and paths of what is found when the steps, or other interfaces, had said something else. */
function found(
  image: Uint8Array,
  { prediction, target }: { prediction?: Partial<StopPrediction>; target?: Partial<TargetObservation> },
): string[] {
  const options: CompareOptions = {
    ...OPTIONS,
    prediction: { ...OPTIONS.prediction!, ...prediction },
    target: { ...OPTIONS.target, ...target },
  };
  return compareImage(decodeBytes(image), image.length, options).findings.map(({ id, path, message }) =>
    `${id} ${path}${id === "E_PAGE_BYTES" ? `: ${message}` : ""}`
  );
}

/** Debug registers as ptrace shows them. */
function shown(values: readonly bigint[]): { debugRegisters: Uint8Array } {
  return { debugRegisters: new Uint8Array(new BigUint64Array(values).buffer) };
}

function withCpu(fields: Record<string, bigint>): Uint8Array {
  const surgery = new ImageSurgery(RECORDED.image);
  for (const [name, value] of Object.entries(fields)) surgery.set(surgery.record("CPU"), name, value);
  return surgery.join();
}

const DEBUG = [0x1000n, 0n, 0x2000n, 0n, 0n, 0n, 0xffff0ff0n, 0x1n];
const AS_SET = { debugreg0: 0x1000n, debugreg2: 0x2000n, debugreg7: 1n, uses_debug: 1n };

Deno.test("compareImage() wants the debug registers that tracers have set, each in its place", () => {
  const set = { prediction: { debug: DEBUG }, target: shown(DEBUG) };
  assertEquals(found(withCpu(AS_SET), set), []);
  assertEquals(found(withCpu({ ...AS_SET, debugreg2: 0n, debugreg3: 0x2000n }), set), [
    "E_FIELD task[0]/cpu.debugreg2",
    "E_FIELD task[0]/cpu.debugreg3",
  ]);
  assertEquals(found(withCpu({ ...AS_SET, uses_debug: 0n }), set), ["E_FIELD task[0]/cpu.uses_debug"]);
  const atRest = RECORDED.image;
  assertEquals(found(atRest, { target: shown(DEBUG) }), [
    "E_ORACLES_DISAGREE register debugreg0",
    "E_ORACLES_DISAGREE register debugreg2",
    "E_ORACLES_DISAGREE register debugreg7",
  ]);
});

Deno.test("compareImage() wants the state of a target that somebody holds", () => {
  assertEquals(found(RECORDED.image, { prediction: { taskState: 0x8 } }), ["E_FIELD task[0].state"]);
});

function vdso(name: Uint8Array): boolean {
  return new TextDecoder().decode(name) === "[vdso]";
}

Deno.test("compareImage() misses a page of the vdso that a debugger has copied", () => {
  const start = OPTIONS.target.smaps.find(({ name }) => vdso(name))!.start;
  const page = Number(start / 4096n);
  const pagemap = [
    ...OPTIONS.target.pagemap.filter((entry) => entry.page !== page),
    { page, present: true, swapped: false, file: false, frame: 77n },
  ].sort((a, b) => a.page - b.page);
  const prediction = { copied: [{ place: "vdso" as const, offset: 0x10, bytes: Uint8Array.of(0xcc) }] };
  const missing = found(RECORDED.image, { prediction, target: { pagemap } });
  assertEquals(missing.filter((finding) => finding.startsWith("E_PAGE_MISSING")).length, 1);
  assertEquals(found(RECORDED.image, { prediction }), ["E_ORACLES_DISAGREE vdso+0x10"]);
});

Deno.test("compareImage() wants a debugger's bytes in a page whose other bytes it does not know", () => {
  // The stack's last page plays the page of the vdso.
  const stack = OPTIONS.target.smaps.find(({ name }) => new TextDecoder().decode(name) === "[stack]")!;
  const renamed = OPTIONS.target.smaps.map((entry) =>
    entry === stack
      ? { ...entry, name: new TextEncoder().encode("[vdso]") }
      : vdso(entry.name)
      ? { ...entry, name: new TextEncoder().encode("[vvar]") }
      : entry
  );
  const offset = Number(stack.end - stack.start) - 4096 + 0x40;
  const node = [...decodeBytes(RECORDED.image)].findLast((node): node is PagesNode => node.kind === "pages")!;
  const at = (node.count - 1) * 4096 + 0x40;
  const bytes = node.pages.slice(at, at + 2);
  const page = Number(node.vaddrs[node.count - 1]! / 4096n);
  assertEquals(page, Number(stack.end / 4096n) - 1);
  const compare = (bytes: Uint8Array) =>
    found(RECORDED.image, {
      prediction: { copied: [{ place: "vdso", offset, bytes }] },
      target: { smaps: renamed },
    }).filter((finding) => finding.startsWith("E_PAGE_BYTES"));
  assertEquals(compare(bytes), []);
  const other = Uint8Array.of(bytes[0]!, bytes[1]! ^ 1);
  assertEquals(compare(other).map((text) => text.split(": ")[1]), [
    "what a debugger wrote",
  ]);
});

Deno.test("compareImage() takes names from the target's own root directory on", () => {
  const moved = (name: Uint8Array): Uint8Array =>
    name[0] === 0x2f ? new TextEncoder().encode(`/jail${new TextDecoder().decode(name)}`) : name;
  const target = {
    maps: OPTIONS.target.maps.map((entry) => ({ ...entry, name: moved(entry.name) })),
    smaps: OPTIONS.target.smaps.map((entry) => ({ ...entry, name: moved(entry.name) })),
  };
  assertEquals(found(RECORDED.image, { target, prediction: { root: "/jail" } }), []);
  const wrong = found(RECORDED.image, { target });
  assertEquals(new Set(wrong.map((finding) => finding.split(" ")[0])), new Set(["E_FNAME"]));
});
