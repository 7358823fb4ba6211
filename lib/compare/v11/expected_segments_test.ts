// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { expectedSegments } from "./expected_segments.ts";
import { manifestOf } from "./testing/small_manifest.ts";

const ENTRY = {
  base: "08048000",
  limit: "fffff",
  seg_32bit: "1",
  limit_in_pages: "1",
  useable: "1",
  ret: "0",
};
const LDT = { op: "modify_ldt", func: "1", entry: "0", ...ENTRY };
const TLS = { op: "set_thread_area", entry_in: "-1", entry_out: "6", ...ENTRY };

function segments(changes: Readonly<Record<string, unknown>>): ReturnType<typeof expectedSegments> {
  const manifest = manifestOf(changes);
  return expectedSegments(manifest, manifest.calls[0]);
}

function entry(bytes: Uint8Array): string {
  return new DataView(bytes.buffer).getBigUint64(0, true).toString(16);
}

Deno.test("expectedSegments() makes an LDT of whole pages and counts TLS slots", () => {
  const { ldt, ntls, tls, contradictions } = segments({ ops: [LDT, TLS] });
  assertEquals([ldt.length, entry(ldt), ntls, contradictions.length], [4096, "8cff2048000ffff", 1, 0]);
  assertEquals(entry(tls), "8dff2048000ffff");
  assertEquals(segments({}).ldt.length, 0);
});

Deno.test("expectedSegments() sets the accessed bit of an entry whose selector was loaded", () => {
  assertEquals(entry(segments({ ops: [LDT], lines: ["gs_set=7"] }).ldt), "8cff3048000ffff");
  assertEquals(entry(segments({ ops: [LDT], regs_at_call: [{ gs: "7" }] }).ldt), "8cff3048000ffff");
});

Deno.test("expectedSegments() names results that the model does not give", () => {
  const readback = (hi: string): Record<string, unknown> => ({
    ops: [LDT],
    ldt_readback_nonzero: [{ index: "0", lo: "8000ffff", hi }],
    manifest_text: "modify_ldt func=1\nldt_readback ret=65536",
  });
  assertEquals(segments(readback("08cff204")).contradictions, []);
  assertEquals(segments(readback("08cff205")).contradictions.length, 1);
  // The processor's own bit.
  assertEquals(segments(readback("08cff304")).contradictions, []);
  assertEquals(segments({ ops: [{ ...LDT, ret: "-22" }] }).contradictions.length, 1);
  assertEquals(segments({ ops: [{ ...TLS, entry_out: "7" }] }).contradictions.length, 1);
});
