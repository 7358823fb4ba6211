// SPDX-License-Identifier: MIT
/**
 * Images that real kernels wrote, recorded with everything that they were judged by (`tests/record_case.ts`),
 * and then damaged: whatever is changed in the image or in the observation must be noticed, and named.
 */
import { assert, assertEquals } from "@std/assert";
import { decodeBytes } from "../image/decoder.ts";
import type { Finding } from "../image/finding.ts";
import { compareImage, type Comparison } from "./compare_image.ts";
import type { CompareOptions } from "./comparison_context.ts";
import type { RawObservation } from "./observation.ts";
import { ImageSurgery } from "./testing/image_surgery.ts";
import { compareOptionsOf, type RecordedCase, unpackRecordedCase } from "./testing/recorded_case.ts";
import { random } from "../image/testing/random.ts";

const PAGE = 4096;
const CASES = await Promise.all(["x86_64-mixed", "compat-mixed_tls", "i386-mixed_tls"].map(load));
const MIXED = CASES[0]!;
const WITH_TLS = CASES[1]!;

async function load(name: string): Promise<RecordedCase & { name: string; options: CompareOptions }> {
  const file = new URL(`../../fixtures/recorded/${name}.json.gz`, import.meta.url);
  const recorded = await unpackRecordedCase(await Deno.readFile(file));
  return { ...recorded, name, options: compareOptionsOf(recorded) };
}

function compare(image: Uint8Array, options: CompareOptions): Comparison {
  return compareImage(decodeBytes(image), image.length, options);
}

function findings(image: Uint8Array, { options }: { options: CompareOptions }): readonly Finding[] {
  return compare(image, options).findings;
}

/** Some finding has this id, lies there, and says that. */
function assertFinding(all: readonly Finding[], id: string, path: string | RegExp, says = ""): void {
  const found = all.some((finding) =>
    finding.id === id && finding.message.includes(says) &&
    (typeof path === "string" ? finding.path === path : path.test(finding.path))
  );
  assert(found, `no ${id} at ${path} (${says}) among ${JSON.stringify(all.slice(0, 5), null, 2)}`);
}

for (const recorded of CASES) {
  const { name, image, options } = recorded;

  Deno.test(`compareImage() finds nothing in ${name} and explains each of its bytes`, () => {
    const { findings, counts, volatile } = compare(image, options);
    assertEquals(findings, []);
    assertEquals([counts.total, counts.unexplained, counts.volatile], [image.length, 0, 8]);
    assertEquals([...volatile.keys()], ["head.time"]);
    assert(counts.predicted > 0 && counts.observed > 0);
  });

  Deno.test(`compareImage() names a record of ${name} in which one byte changed`, () => {
    const damaged = image.slice();
    for (const node of decodeBytes(image)) {
      // In the middle of a record's payload (a header's byte may make it another record); anywhere in raw
      // bytes.
      const header = node.kind === "record" ? 8 : 0;
      const place = node.offset + header + ((node.length - header) >> 1);
      damaged[place]! ^= 0x10;
      const all = findings(damaged, recorded);
      damaged[place]! ^= 0x10;
      const named = all.some(({ path, offset }) =>
        path.startsWith(node.path) ||
        (offset !== undefined && offset >= node.offset && offset < node.offset + node.length)
      );
      assert(named, `${node.path}, byte ${place}: ${JSON.stringify(all.slice(0, 3))}`);
    }
  });

  Deno.test(`compareImage() calls ${name} cut short wherever it is cut`, () => {
    const next = random(5);
    const nodes = [...decodeBytes(image)];
    const places = [
      ...nodes.map(({ offset }) => offset),
      ...Array.from({ length: 200 }, () => next(image.length)),
    ];
    for (const place of places) {
      const cut = findings(image.subarray(0, place), recorded).filter(({ id }) => id === "E_TRUNCATED");
      assertEquals(
        cut.map(({ verdict, offset }) => [verdict, offset]),
        [["malformed", place]],
        `at ${place}`,
      );
      const index = nodes.findIndex(({ offset, length }) => place < offset + length);
      const paths = ["head", nodes[index - 1]?.path, nodes[index]?.path];
      assert(paths.includes(cut[0]?.path), `at ${place}: ${cut[0]?.path} is none of ${paths.join(", ")}`);
    }
  });
}

/** Changes an image and compares it. */
function operate(recorded: typeof MIXED, change: (surgery: ImageSurgery) => void): readonly Finding[] {
  const surgery = new ImageSurgery(recorded.image);
  change(surgery);
  return findings(surgery.join(), recorded);
}

/** The part that holds the pages of the area `label` (or of the part of it that starts at page `at`). */
function chunkOf(surgery: ImageSurgery, label: string, at = 0): number {
  const area = MIXED.options.prediction!.areas.filter((candidate) => candidate.label === label)[at]!;
  const vma = surgery.vma(BigInt(area.start) * 4096n);
  return surgery.parts.findIndex(({ node }, index) => index > vma && node.kind === "pages");
}

Deno.test("compareImage() names a page that is missing from the image", () => {
  const all = operate(MIXED, (surgery) => {
    const chunk = chunkOf(surgery, "a", 2);
    surgery.setPages(chunk, surgery.pagesOf(chunk).slice(0, -1));
  });
  assertFinding(all, "E_PAGE_MISSING", "task[0]/vma[7]", "written by step");
});

Deno.test("compareImage() says why a page does not belong into the image", () => {
  const add = (label: string, page: number): readonly Finding[] =>
    operate(MIXED, (surgery) => {
      const chunk = chunkOf(surgery, label);
      const pages = surgery.pagesOf(chunk);
      const start = BigInt(MIXED.options.prediction!.areas.find((area) => area.label === label)!.start);
      const extra = { vaddr: (start + BigInt(page)) * 4096n, bytes: new Uint8Array(PAGE) };
      surgery.setPages(chunk, [...pages, extra].sort((a, b) => Number(a.vaddr - b.vaddr)));
    });
  assertFinding(add("a", 0), "E_PAGE_EXTRA", /vaddr\[0\]$/, "never touched");
  assertFinding(add("a", 2), "E_PAGE_EXTRA", /vaddr\[1\]$/, "zero page");
  assertFinding(add("file", 0), "E_PAGE_EXTRA", /vaddr\[0\]$/, "file's own");
  assertFinding(add("file", 9), "E_PAGE_EXTRA", /vaddr\[1\]$/, "outside its VMA");
  // Nothing else is said of it, of its bytes neither.
  const ids = new Set(add("a", 2).map(({ id }) => id));
  assertEquals([...ids], ["E_PAGE_EXTRA"]);
});

Deno.test("compareImage() notices pages in another order, and pages with each other's contents", () => {
  const reordered = operate(MIXED, (surgery) => {
    const chunk = chunkOf(surgery, "a", 2);
    surgery.setPages(chunk, surgery.pagesOf(chunk).reverse());
  });
  assertFinding(reordered, "E_PAGE_ORDER", /vaddr\[1\]$/, "belongs before");
  const exchanged = operate(MIXED, (surgery) => {
    const chunk = chunkOf(surgery, "a", 2);
    const [first, second] = surgery.pagesOf(chunk);
    surgery.setPages(chunk, [{ ...first!, bytes: second!.bytes }, { ...second!, bytes: first!.bytes }]);
  });
  assertFinding(
    exchanged,
    "E_PAGE_BYTES",
    /page\[0x[0-9a-f]+\]$/,
    "differs from the predicted one (the steps)",
  );
});

Deno.test("compareImage() notices chunks that are not full, and counts that go on from chunk to chunk", () => {
  const split = (secondCount: number): readonly Finding[] =>
    operate(MIXED, (surgery) => {
      const chunk = chunkOf(surgery, "a", 2);
      const [first, second] = surgery.pagesOf(chunk);
      surgery.parts.splice(chunk + 1, 0, ...new ImageSurgery(MIXED.image).parts.slice(chunk - 1, chunk + 1));
      surgery.setPages(chunk, [first!]);
      surgery.setPages(chunk + 2, [second!]);
      surgery.set(chunk + 1, "nr_pages", secondCount);
    });
  assertFinding(split(1), "E_FIELD", /pgarr\[0\]\.nr_pages$/);
  assertFinding(split(2), "E_FIELD", /pgarr\[1\]\.nr_pages$/);
});

Deno.test("compareImage() names a VMA that is missing, one that is too many, and one with another range", () => {
  const start = BigInt(MIXED.options.prediction!.areas.find(({ label }) => label === "b")!.start) * 4096n;
  const removed = operate(MIXED, (surgery) => {
    const at = surgery.vma(start);
    surgery.parts.splice(at, surgery.vmaEnd(at) - at);
  });
  assertFinding(removed, "E_VMA_MISSING", new RegExp(`^vma 0x${start.toString(16)}-`));
  const moved = operate(MIXED, (surgery) => surgery.set(surgery.vma(start), "vm_start", start + 4096n));
  assertFinding(moved, "E_VMA_EXTRA", /vma\[\d+\]$/);
  const longer = operate(MIXED, (surgery) => surgery.set(surgery.vma(start), "vm_end", start + 8192n));
  assertFinding(longer, "E_FIELD", /vma\[\d+\]\.vm_end$/);
});

Deno.test("compareImage() notices a VMA that is there twice, and two in the wrong order", () => {
  const start = BigInt(MIXED.options.prediction!.areas.find(({ label }) => label === "b")!.start) * 4096n;
  const twice = operate(MIXED, (surgery) => {
    const at = surgery.vma(start);
    const end = surgery.vmaEnd(at);
    surgery.parts.splice(end, 0, ...surgery.parts.slice(at, end));
  });
  assertFinding(twice, "E_VMA_EXTRA", /vma\[\d+\]$/, "twice");
  const exchanged = operate(MIXED, (surgery) => {
    const at = surgery.vma(start);
    const moved = surgery.parts.splice(at, surgery.vmaEnd(at) - at);
    surgery.parts.splice(surgery.record("VMA"), 0, ...moved);
  });
  assertFinding(exchanged, "E_VMA_ORDER", /vma\[1\]$/);
});

Deno.test("compareImage() names an LDT entry that differs, and an LDT that is an entry short", () => {
  const changed = operate(MIXED, (surgery) => {
    surgery.parts[surgery.find(({ kind }) => kind === "ldt")]!.bytes[3 * 8 + 5]! ^= 0x20;
  });
  assertFinding(changed, "E_LDT_ENTRY", "task[0]/mm_context/ldt[3]");
  const short = operate(MIXED, (surgery) => {
    const at = surgery.find(({ kind }) => kind === "ldt");
    surgery.parts[at]!.bytes = surgery.parts[at]!.bytes.slice(0, -8);
    surgery.set(at - 1, "nldt", 3);
  });
  assertFinding(short, "E_FIELD", "task[0]/mm_context.nldt");
  assertFinding(short, "E_LDT_ENTRY", "task[0]/mm_context/ldt[3]");
});

Deno.test("compareImage() names a TLS entry that differs, and one that is missing", () => {
  const changed = operate(WITH_TLS, (surgery) => {
    surgery.parts[surgery.find(({ kind }) => kind === "tls")]!.bytes[2 * 8 + 2]! ^= 0x01;
  });
  assertFinding(changed, "E_TLS_ENTRY", "task[0]/thread/tls[2]", "predicted");
  assertFinding(changed, "E_TLS_ENTRY", "task[0]/thread/tls[2]", "observed");
  const fewer = operate(WITH_TLS, (surgery) => {
    surgery.set(surgery.record("THREAD"), "ntls", 1);
  });
  assertFinding(fewer, "E_FIELD", "task[0]/thread.ntls");
});

Deno.test("compareImage() names the field that is wrong: padding, parent, name, time, break, registers", () => {
  const set = (record: Parameters<ImageSurgery["record"]>[0], field: string, value: number | bigint) =>
    operate(MIXED, (surgery) => surgery.set(surgery.record(record), field, value));
  assertFinding(set("VMA", "_padding", 7), "E_PADDING", "task[0]/vma[0]._padding");
  assertFinding(set("MM", "brk", 0x1000), "E_FIELD", "task[0]/mm.brk");
  assertFinding(set("HEAD", "time", MIXED.options.target.t1 + 1n), "E_FIELD", "head.time", "within the call");
  assertFinding(set("CPU", "bx", 1), "E_FIELD", "task[0]/cpu.bx", "observed");
  assertFinding(set("X86_FSGSBASE", "fsbase", 1), "E_FIELD", /fsgsbase\.fsbase$/);
  const parent = operate(MIXED, (surgery) => surgery.parts[surgery.record("MM")]!.bytes[4]! ^= 1);
  assertFinding(parent, "E_PARENT", "task[0]/mm.parent");
  const name = operate(MIXED, (surgery) => surgery.parts[surgery.record("FNAME")]!.bytes[9]! ^= 1);
  assertFinding(name, "E_FNAME", /fname$/);
  const comm = operate(MIXED, (surgery) => surgery.parts[surgery.record("STRING")]!.bytes[8 + 15] = 1);
  assertFinding(comm, "E_COMM", /.*/);
});

Deno.test("compareImage() leaves a record that it does not know, and bytes after the end, unexplained", () => {
  const unknown = operate(MIXED, (surgery) => {
    const bytes = Uint8Array.of(0xdc, 0x05, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4);
    const at = surgery.record("TAIL");
    surgery.parts.splice(at, 0, { node: surgery.parts[at]!.node, bytes });
  });
  assertFinding(unknown, "E_UNEXPLAINED", "image", "12 byte(s)");
  const longer = operate(MIXED, (surgery) => {
    surgery.parts.push({ node: surgery.parts[0]!.node, bytes: new Uint8Array(5) });
  });
  assertFinding(longer, "E_UNEXPLAINED", "image", "5 byte(s)");
});

Deno.test("compareImage() does not take an image for one that had to be refused, nor the other way round", () => {
  const prediction = MIXED.options.prediction!;
  const refusal = { name: "EOPNOTSUPP", errno: 95, atPage: undefined, why: "a test says so" };
  const options = { ...MIXED.options, prediction: { ...prediction, refusal } };
  assertFinding(compare(MIXED.image, options).findings, "E_REFUSED_OUTPUT", "image", "EOPNOTSUPP");
  assertEquals(compare(new Uint8Array(0), options).findings, []);
  assertFinding(findings(new Uint8Array(0), MIXED), "E_TRUNCATED", "head");

  const b = prediction.areas.find(({ label }) => label === "b")!;
  const partly = { ...options, prediction: { ...prediction, refusal: { ...refusal, atPage: b.start } } };
  const surgery = new ImageSurgery(MIXED.image);
  const at = surgery.vma(BigInt(b.start) * 4096n);
  const whole = surgery.parts.slice();
  surgery.parts.splice(at);
  assertEquals(compare(surgery.join(), partly).findings, []);
  surgery.parts.push(whole[at]!);
  assertFinding(compare(surgery.join(), partly).findings, "E_VMA_REFUSED", /^vma 0x/);
  assertFinding(compare(MIXED.image, partly).findings, "E_REFUSED_OUTPUT", "tail");
});

Deno.test("compareImage() wants an image to end behind a VMA's record where a page cannot be read", () => {
  const prediction = MIXED.options.prediction!;
  const page = Math.max(...prediction.pages.keys());
  const area = prediction.areas.find(({ start, end }) => start <= page && page < end)!;
  const refusal = { name: "EFAULT", errno: 14, atPage: area.start, page, why: "a test says so" };
  const options = { ...MIXED.options, prediction: { ...prediction, refusal } };
  const surgery = new ImageSurgery(MIXED.image);
  const at = surgery.vma(BigInt(area.start) * 4096n);
  const whole = surgery.parts.slice();
  const cut = (end: number): readonly Finding[] => {
    surgery.parts.splice(0, Infinity, ...whole.slice(0, end));
    return compare(surgery.join(), options).findings;
  };
  assertEquals(cut(at + 1), []);
  assertFinding(cut(at), "E_VMA_MISSING", /^vma 0x/);
  assertFinding(cut(at + 3), "E_PAGE_REFUSED", /vma/);
  assertFinding(compare(MIXED.image, options).findings, "E_REFUSED_OUTPUT", "tail");
});

/** Compares the image with an observation in which one answer reads otherwise. */
function tamper(
  recorded: typeof MIXED,
  change: (raw: { -readonly [K in keyof RawObservation]: RawObservation[K] }) => void,
): readonly Finding[] {
  const raw = {
    ...recorded.raw,
    proc: new Map(recorded.raw.proc),
    registers: new Map(recorded.raw.registers),
  };
  change(raw);
  return compare(recorded.image, compareOptionsOf({ ...recorded, raw })).findings;
}

function edit(blobs: ReadonlyMap<string, Uint8Array>, name: string, change: (text: string) => string): void {
  const bytes = blobs.get(name)!;
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const changed = change(text);
  assert(changed !== text, `${name} was not changed`);
  (blobs as Map<string, Uint8Array>).set(name, Uint8Array.from(changed, (char) => char.charCodeAt(0)));
}

Deno.test("compareImage() notices an observation that disagrees with the steps about an area", () => {
  const start = MIXED.options.prediction!.areas.find(({ label }) => label === "b")!.start * 4096;
  const line = new RegExp(`^${start.toString(16).padStart(8, "0")}-[^\\n]*\\n`, "m");
  const entry = new RegExp(`^${start.toString(16).padStart(8, "0")}-[^\\n]*\\n(?:[A-Z][^\\n]*\\n)*`, "m");
  const gone = tamper(MIXED, ({ proc }) => {
    edit(proc, "maps", (text) => text.replace(line, ""));
    edit(proc, "smaps", (text) => text.replace(entry, ""));
  });
  assertFinding(gone, "E_ORACLES_DISAGREE", `area "b"`, "/proc/PID/maps does not show");
  assertFinding(gone, "E_VMA_EXTRA", /vma\[\d+\]$/);
  const flags = tamper(MIXED, ({ proc }) => {
    edit(
      proc,
      "smaps",
      (text) => text.replace(entry, (all) => all.replace("VmFlags: rd ex", "VmFlags: rd wr")),
    );
  });
  assertFinding(flags, "E_VM_FLAGS", /vma\[\d+\]\.vm_flags$/, `the steps that made "b" imply`);
});

Deno.test("compareImage() notices that maps and smaps disagree", () => {
  const all = tamper(MIXED, ({ proc }) => edit(proc, "maps", (text) => text.replace(" r-xp ", " rwxp ")));
  assertFinding(all, "E_ORACLES_DISAGREE", "/proc/PID/maps", "smaps");
});

Deno.test("compareImage() notices a pagemap that disagrees with the steps about a page", () => {
  const area = MIXED.options.prediction!.areas.filter(({ label }) => label === "a")[2]!;
  const path = `page 0x${(area.start * 4096).toString(16)}`;
  const withPages = (change: (pairs: bigint[][]) => bigint[][]): readonly Finding[] =>
    tamper(MIXED, ({ proc }) => {
      const bytes = proc.get("pages")!.slice();
      const words = Array.from(new BigUint64Array(bytes.buffer));
      const pairs = change(Array.from({ length: words.length / 2 }, (_, i) => words.slice(2 * i, 2 * i + 2)));
      const changed = new Uint8Array(BigUint64Array.from(pairs.flat()).buffer);
      (proc as Map<string, Uint8Array>).set("pages", changed);
    });
  const at = BigInt(area.start) * 4096n;
  const dropped = withPages((pairs) => pairs.filter(([address]) => address !== at));
  assertFinding(dropped, "E_ORACLES_DISAGREE", path);
  const filePage = withPages((pairs) =>
    pairs.map(([address, entry]) => [address!, address === at ? entry! | 1n << 61n : entry!])
  );
  assertFinding(filePage, "E_ORACLES_DISAGREE", path);
  const untouched = MIXED.options.prediction!.areas.find(({ label }) => label === "b")!.start;
  const added = withPages((pairs) => [...pairs, [BigInt(untouched) * 4096n, 1n << 63n | 0x1234n]]);
  assertFinding(added, "E_ORACLES_DISAGREE", `page 0x${(untouched * 4096).toString(16)}`);
});

Deno.test("compareImage() notices each other answer of the guest that reads otherwise", () => {
  const stat = tamper(MIXED, ({ proc }) => edit(proc, "stat", (text) => text.replace(/\d+\n$/, "9\n")));
  assertFinding(stat, "E_FIELD", "task[0].exit_code", "observed");
  const comm = tamper(MIXED, ({ proc }) => edit(proc, "comm", (text) => text.replace("target", "tarGet")));
  assertFinding(comm, "E_COMM", /.*/);
  for (
    const [name, path] of [["gpr", /cpu\./], ["xstate", /xstate/], ["debugreg", /debugreg0$/]] as const
  ) {
    const all = tamper(MIXED, ({ registers }) => {
      edit(registers, name, (text) => String.fromCharCode(text.charCodeAt(0) ^ 1) + text.slice(1));
    });
    assert(all.some((finding) => path.test(finding.path)), `${name}: ${JSON.stringify(all)}`);
  }
  const tls = tamper(WITH_TLS, ({ registers }) => {
    edit(registers, "tls", (text) => `${text.slice(0, 5)}\x7f${text.slice(6)}`);
  });
  assertFinding(tls, "E_TLS_ENTRY", "task[0]/thread/tls[0]", "observed");
  const hash = tamper(
    MIXED,
    (raw) => raw.hashes = raw.hashes.map((lanes, i) => i === 0 ? lanes ^ 1n : lanes),
  );
  assertFinding(hash, "E_PAGE_BYTES", /page\[/, "the target's memory");
  const [page] = compareOptionsOf(MIXED).prediction!.pages.keys();
  const seen = tamper(MIXED, (raw) => {
    raw.hashedAddresses = BigUint64Array.of(...raw.hashedAddresses, BigInt(page!) * 4096n);
    raw.hashes = BigUint64Array.of(...raw.hashes, 1n);
  });
  assertFinding(seen, "E_ORACLES_DISAGREE", `page 0x${(page! * 4096).toString(16)}`, "steps imply");
  const time = tamper(MIXED, (raw) => raw.t1 = raw.t0 - 1n);
  assertFinding(time, "E_FIELD", "head.time");
  const brk = tamper(MIXED, (raw) => raw.brk = raw.brk! + 1n);
  assertFinding(brk, "E_FIELD", "task[0]/mm.brk");
});
