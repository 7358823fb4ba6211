// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { decodeBytes } from "./decoder.ts";
import { encode } from "./image_writer.ts";
import { findingText, worstVerdict } from "./finding.ts";
import { readNodes } from "./image.ts";
import { isRecord } from "./nodes.ts";
import { ruleInfo } from "./rule_ids.ts";
import { checkImage, checkImageStream, checkNodes } from "./rules.ts";
import {
  DATA_DESCRIPTOR,
  RW_FLAGS,
  syntheticImage,
  type SyntheticOptions,
} from "./testing/synthetic_image.ts";

const START = 0x1000_0000n;

function segments(): { tls: Uint8Array; ldt: Uint8Array } {
  const tls = new Uint8Array(24);
  tls.set(DATA_DESCRIPTOR);
  return { tls, ldt: new Uint8Array([...DATA_DESCRIPTOR, ...new Uint8Array(512 * 8 - 8)]) };
}

Deno.test("checkImage() finds nothing wrong with good images of the port", () => {
  const samples: SyntheticOptions[] = [
    {},
    { wordSize: 4 },
    { hasXsave: false },
    segments(),
    { ...segments(), wordSize: 4, hasXsave: false },
  ];
  for (const options of samples) {
    assertEquals(checkImage(syntheticImage(options)), [], JSON.stringify(options));
  }
});

Deno.test("checkImage() names what a v11 image has as posted, once each, as notes", () => {
  const pages = Array.from({ length: 6200 }, (_, i) => START + BigInt(i) * 4096n);
  const vma = { start: START, end: START + 6300n * 4096n, flags: RW_FLAGS, pgoff: START >> 12n, pages };
  const code = { start: 0x400000n, end: 0x402000n, flags: 0x75n };
  const findings = checkImage(syntheticImage({ dialect: "v11", ...segments(), vmas: [code, vma] }));
  assertEquals(worstVerdict(findings), undefined);
  assertEquals(findings.map(({ id }) => id), [
    "N_STALE_PADDING",
    "N_NR_PAGES_CUMULATIVE",
    "N_LDT_ALLOCATED",
    "N_FS_NOT_SAVED",
  ]);
  const [, { message, count } = {}] = findings;
  assertEquals([message, count], ["nr_pages is cumulative from chunk 2 on: cnt is never reset", 3]);
});

Deno.test("the chunks of the code as posted are valid in v11, and a corrected writer's are not", () => {
  const vma = (count: number, chunks: readonly (readonly [bigint, number])[]): SyntheticOptions => {
    const pages = Array.from({ length: count }, (_, i) => START + BigInt(i) * 4096n);
    const end = START + BigInt(count + 10) * 4096n;
    return {
      dialect: "v11",
      vmas: [{ start: START, end, flags: RW_FLAGS, pgoff: START >> 12n, pages, chunks }],
    };
  };
  const faults = (options: SyntheticOptions): string[] => {
    return checkImage(syntheticImage(options)).filter(({ verdict }) => verdict !== "note").map(findingText);
  };
  assertEquals(faults(vma(5000, [[4096n, 4096], [5000n, 904]])).map((text) => text), []);
  assertEquals(faults(vma(4096, [[4096n, 4096], [4096n, 0]])), []);
  assertEquals(
    faults(vma(8192, [[4096n, 4096], [5120n, 1024], [6144n, 1024], [7168n, 1024], [8192n, 1024]])),
    [],
  );
  const [fixed] = faults(vma(5000, [[4096n, 4096], [904n, 904]]));
  assert(fixed?.includes("nr_pages is not cumulative: not as posted"), fixed);
  const [small] = faults(vma(5000, [[4096n, 4096], [4600n, 504], [5000n, 400]]));
  assert(small?.includes("not full, though not the last chunk"), small);
});

Deno.test("vm_page_prot may be with or without NX, in all of an image alike", () => {
  const bytes = syntheticImage();
  for (const node of readNodes(bytes).nodes) {
    // Without NX: bit 63, in the last byte of vm_page_prot.
    if (isRecord(node, "VMA")) bytes[node.offset + 8 + 31] = 0;
  }
  assertEquals(checkImage(bytes), []);
});

Deno.test("a stack or code segment of the LDT is right if the entry is there", () => {
  const ldt = new Uint8Array([...new Uint8Array(8), ...DATA_DESCRIPTOR]);
  const bytes = syntheticImage({ ldt });
  const cpu = readNodes(bytes).nodes.find((node) => isRecord(node, "CPU"));
  assert(cpu !== undefined);
  for (const [selector, ids] of [[0xf, []], [0x7, ["E_CPU_SELECTOR"]], [0x17, ["E_CPU_SELECTOR"]]] as const) {
    bytes[cpu.offset + 8 + 160] = selector;
    assertEquals(checkImage(bytes).map(({ id }) => id), [...ids]);
  }
});

Deno.test("checkImageStream() and checkNodes() find the same as checkImage()", async () => {
  const bytes = syntheticImage({ dialect: "v11", ...segments() });
  const expected = checkImage(bytes);
  assertEquals(checkNodes(decodeBytes(bytes)), expected);
  assertEquals(await checkImageStream(new Blob([bytes]).stream()), expected);
  const cut = bytes.subarray(0, 9000);
  assertEquals(await checkImageStream(new Blob([cut]).stream()), checkImage(cut));
  assertEquals(checkImage(cut).at(-1)?.id, "E_TRUNCATED");
});

Deno.test("checkNodes() reports a missing record once, not everything after it", () => {
  for (const name of ["STRING", "MM_CONTEXT", "THREAD", "CPU", "X86_FSGSBASE"] as const) {
    const nodes = readNodes(syntheticImage({ hasXsave: false })).nodes.filter((node) =>
      !isRecord(node, name)
    );
    const ids = checkNodes(nodes).map(({ id }) => id);
    assertEquals(ids.filter((id) => id === "E_ORDER"), ["E_ORDER"], `${name}: ${ids.join(" ")}`);
    assert(encode(nodes).length > 0);
  }
});

Deno.test("worstVerdict() leaves notes out", () => {
  const finding = (verdict: "note" | "invalid" | "mismatch"): Parameters<typeof findingText>[0] => {
    return { id: "X", verdict, path: "head", message: "m" };
  };
  assertEquals(worstVerdict([finding("note")]), undefined);
  assertEquals(worstVerdict([finding("mismatch"), finding("invalid"), finding("note")]), "invalid");
});

Deno.test("ruleInfo() says what is known of a rule", () => {
  assertEquals(ruleInfo("E_TRUNCATED").verdict, "malformed");
  assertEquals(ruleInfo("E_ORDER").verdict, "invalid");
  const { verdict, doc, source, only } = ruleInfo("N_USES_DEBUG");
  assertEquals([verdict, doc, source, only], [
    "note",
    "uses_debug tells nothing of breakpoints",
    "the code as posted",
    "v11",
  ]);
});

Deno.test("an image that is cut, or has a huge nr_pages, is not said to count from chunk to chunk", () => {
  for (const wordSize of [8, 4] as const) {
    const pages = Array.from({ length: 4100 }, (_, i) => START + BigInt(i) * 4096n);
    const vma = { start: START, end: START + 4200n * 4096n, flags: RW_FLAGS, pgoff: START >> 12n, pages };
    const bytes = syntheticImage({ wordSize, vmas: [vma] });
    const chunks = readNodes(bytes).nodes.filter((node) => isRecord(node, "PGARR"));
    const said = (image: Uint8Array): string[] =>
      checkImage(image).map(findingText).filter((text) => text.includes("cumulative"));
    for (const { offset } of chunks) {
      for (const more of [0, 1, 8, 16, 17, 24, 4096, 5000, 30_000, 40_000]) {
        assertEquals(said(bytes.subarray(0, offset + more)), [], `cut at ${offset} + ${more}`);
      }
      for (const value of [1n << 40n, 5000n, 4097n, 0xffff_ffff_ffff_ffffn]) {
        const image = bytes.slice();
        new DataView(image.buffer).setBigUint64(offset + 8, value, true);
        assertEquals(said(image), [], `nr_pages ${value} at ${offset}`);
      }
    }
  }
});

Deno.test("an unknown extension record is a note where such may stand, if it is allowed, and a fault elsewhere", () => {
  const ids = (bytes: Uint8Array): string[] => checkImage(bytes, { allowUnknown: true }).map(({ id }) => id);
  const bytes = syntheticImage({ unknownType: 1500 });
  const { nodes } = readNodes(bytes);
  const extension = nodes.find((node) => node.kind === "unknown")!;
  assertEquals(checkImage(bytes).map(({ id }) => id), ["E_UNKNOWN_RECORD"]);
  assertEquals(ids(bytes), ["N_UNKNOWN_RECORD"]);
  bytes[extension.offset + 4]! ^= 1;
  assertEquals(ids(bytes), ["E_PARENT", "N_UNKNOWN_RECORD"]);
  bytes[extension.offset + 4]! ^= 1;
  for (const name of ["HEAD_ARCH", "TASK", "VMA", "PGARR", "MM_CONTEXT", "THREAD"] as const) {
    const rest = nodes.filter((node) => node !== extension);
    rest.splice(rest.findIndex((node) => isRecord(node, name)) + 1, 0, extension);
    const found = checkImage(encode(rest), { allowUnknown: true }).map(({ id }) => id);
    assert(found.includes("E_ORDER"), `after ${name}: ${found.join(" ")}`);
  }
});

Deno.test("one bit of a type that makes it unknown hides nothing, even where unknown records are allowed", () => {
  const bytes = syntheticImage();
  for (const { kind, offset, path } of readNodes(bytes).nodes) {
    if (kind !== "record") continue;
    for (const bit of [10, 11, 12, 13, 14]) {
      const image = bytes.slice();
      image[offset + (bit >> 3)]! ^= 1 << (bit & 7);
      const verdict = worstVerdict(checkImage(image, { allowUnknown: true }));
      assert(verdict !== undefined, `bit ${bit} of the type of ${path}`);
    }
  }
});
