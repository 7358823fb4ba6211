// SPDX-License-Identifier: MIT
/** What programs are judged by that no file of /proc shows: calls that a tracer had the target make. */
import { assertEquals } from "@std/assert";
import { pageProt } from "../abi/page_prot.ts";
import { decodeBytes } from "../image/decoder.ts";
import { compareImage } from "./compare_image.ts";
import type { TargetObservation } from "./observation.ts";
import { ImageSurgery } from "./testing/image_surgery.ts";
import { compareOptionsOf, unpackRecordedCase } from "./testing/recorded_case.ts";

const file = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const recorded = await unpackRecordedCase(await Deno.readFile(file));
const options = compareOptionsOf(recorded);
const { ldt, areas } = options.prediction!;

/** Ids and paths of findings about a part, of a program or of the recorded steps. */
function findings(
  about: RegExp,
  target: Partial<TargetObservation>,
  { isProgram = true, image = recorded.image as Uint8Array } = {},
): string[] {
  const { findings } = compareImage(decodeBytes(image), image.length, {
    ...options,
    prediction: isProgram ? undefined : options.prediction,
    target: { ...options.target, ...target },
  });
  return findings.filter(({ path }) => about.test(path)).map(({ id, path }) =>
    `${id} ${path.replace(/^.*\//, "")}`
  );
}

Deno.test("the LDT of a program is what modify_ldt(0) reads in it", () => {
  const about = /ldt/;
  assertEquals(ldt.length > 0, true);
  assertEquals(findings(about, { ldt }), []);
  // Empty entries at the end are not told: the image may have more than the last one that is set.
  assertEquals(findings(about, { ldt: ldt.subarray(0, 8) }).includes("E_FIELD mm_context.nldt"), false);
  assertEquals(findings(about, { ldt: new Uint8Array(0) })[0], "E_FIELD mm_context.nldt");
  assertEquals(
    findings(about, { ldt: new Uint8Array(ldt.length + 8).fill(1) })[0],
    "E_FIELD mm_context.nldt",
  );
  const other = ldt.map((byte, i) => i === ldt.length - 2 ? byte ^ 1 : byte);
  assertEquals(findings(about, { ldt: other }), [`E_LDT_ENTRY ldt[${ldt.length / 8 - 1}]`]);
});

Deno.test("of a program that could not be asked nothing is assumed, and that is said", () => {
  const target = { ...options.target, brk: undefined, calledBrk: undefined, ldt: undefined };
  const { findings: all, volatile } = compareImage(decodeBytes(recorded.image), recorded.image.length, {
    ...options,
    prediction: undefined,
    target,
  });
  assertEquals(all.filter(({ path }) => /ldt|brk/.test(path)), []);
  const untold = [...volatile].filter(([name]) => name.includes("could not be asked"));
  assertEquals(untold.map(([, { bytes }]) => bytes), [8, 2 + ldt.length].sort((a, b) => a - b));
  assertEquals(
    findings(/\.brk$/, {
      brk: undefined,
      calledBrk: undefined,
      stat: { ...target.stat, start_brk: 1n << 60n },
    }),
    [
      "E_FIELD mm.brk",
    ],
  );
});

Deno.test("the steps' LDT and the one that modify_ldt(0) reads judge each other", () => {
  const steps = { isProgram: false };
  assertEquals(findings(/ldt/, { ldt }, steps), []);
  assertEquals(findings(/ldt/, { ldt: new Uint8Array(0) }, steps), ["E_ORACLES_DISAGREE modify_ldt(0)"]);
  assertEquals(findings(/ldt/, { ldt: ldt.subarray(0, 8) }, steps), ["E_ORACLES_DISAGREE modify_ldt(0)"]);
});

Deno.test("the break of a program is what brk(0) returns in it", () => {
  const about = /brk$|brk\(0\)/;
  const brk = options.target.brk!;
  assertEquals(findings(about, { brk: undefined, calledBrk: brk }), []);
  // A byte more lies in the same page: from maps alone nobody could tell.
  assertEquals(findings(about, { brk: undefined, calledBrk: brk - 1n }), ["E_FIELD mm.brk"]);
  assertEquals(findings(about, { calledBrk: brk + 1n }), ["E_ORACLES_DISAGREE brk(0)"]);
});

Deno.test("a kernel with CONFIG_MEM_SOFT_DIRTY has VM_SOFTDIRTY in all areas, as smaps shows", () => {
  const surgery = new ImageSurgery(recorded.image);
  for (const [index, { node }] of surgery.parts.entries()) {
    if (node.kind !== "record" || node.name !== "VMA") continue;
    surgery.set(index, "vm_flags", node.fields.vm_flags | 1n << 27n);
  }
  const image = surgery.join();
  const smaps = options.target.smaps.map((entry) => ({ ...entry, vmFlags: [...entry.vmFlags, "sd"] }));
  const steps = { isProgram: false };
  assertEquals(findings(/vm_flags/, { smaps }, { ...steps, image }), []);
  assertEquals(findings(/vm_flags/, { smaps }, steps).length, Math.min(options.target.smaps.length, 20));
  assertEquals(findings(/vm_flags/, {}, { ...steps, image }).length > areas.length, true);
});

Deno.test("VM_SOFTDIRTY is of each mapping by itself: somebody may have cleared it in some", () => {
  const [first, ...others] = options.target.smaps;
  const smaps = [{ ...first!, vmFlags: [...first!.vmFlags, "sd"] }, ...others];
  assertEquals(findings(/vm_flags/, { smaps }, { isProgram: false }), ["E_FIELD vma[0].vm_flags"]);
});

Deno.test("memory that may only be executed has the protection key that smaps shows", () => {
  const area = areas.find(({ flags }) => (flags & 7n) === 5n)!;
  const flags = area.flags & ~7n | 4n;
  const prediction = {
    ...options.prediction!,
    areas: areas.map((one) => one.start === area.start ? { ...one, flags } : one),
  };
  const isIt = (start: bigint) => start === BigInt(area.start) * 4096n;
  const smaps = options.target.smaps.map((entry) =>
    isIt(entry.start)
      ? {
        ...entry,
        vmFlags: entry.vmFlags.filter((code) => code !== "rd"),
        sizes: new Map([...entry.sizes, ["ProtectionKey", 2]]),
      }
      : entry
  );
  const found = (key: bigint) => {
    const surgery = new ImageSurgery(recorded.image);
    for (const [index, { node }] of surgery.parts.entries()) {
      if (node.kind !== "record" || node.name !== "VMA" || !isIt(node.fields.vm_start)) continue;
      surgery.set(index, "vm_flags", flags | key << 32n);
      surgery.set(index, "vm_page_prot", pageProt(flags | key << 32n, options));
    }
    const image = surgery.join();
    const target = { ...options.target, smaps };
    return compareImage(decodeBytes(image), image.length, { ...options, prediction, target }).findings
      .map(({ id, path }) => `${id} ${path.replace(/^.*\./, "")}`).filter((text) => /vm_/.test(text));
  };
  assertEquals(found(2n), []);
  assertEquals(found(0n), ["E_FIELD vm_page_prot", "E_FIELD vm_flags"]);
});
