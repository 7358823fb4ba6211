// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { describePageProt, pageProt } from "./page_prot.ts";

const NX = 1n << 63n;

Deno.test("pageProt() of private mappings on x86-64: never writable, NX unless executable", () => {
  const options = { series: "6.1", arch: "x86_64" } as const;
  const prots = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((rwx) => pageProt(0x70n | rwx, options));
  assertEquals(prots, [0x120n, NX | 0x25n, NX | 0x25n, NX | 0x25n, 0x25n, 0x25n, 0x25n, 0x25n]);
  assertEquals(pageProt(0x73n, { ...options, nx: false }), 0x25n);
});

Deno.test("pageProt() of shared writable mappings has the write bit", () => {
  assertEquals(pageProt(0xfbn, { series: "6.1", arch: "x86_64" }), NX | 0x27n);
});

Deno.test("pageProt() puts the protection key into bits 59 to 62, present or not", () => {
  const options = { series: "6.1", arch: "x86_64" } as const;
  assertEquals(pageProt(0x73n | 5n << 32n, options), NX | 0x25n | 5n << 59n);
  assertEquals(pageProt(0x70n | 1n << 32n, options), 0x120n | 1n << 59n);
});

Deno.test("pageProt() on i386 has NX with PAE only, and no more since vm_get_page_prot cuts it off", () => {
  assertEquals(pageProt(0x73n, { series: "6.1", arch: "i386" }), 0x25n);
  assertEquals(pageProt(0x73n, { series: "6.1", arch: "i386-pae" }), 0x25n);
  assertEquals(pageProt(0x73n, { series: "5.10", arch: "i386-pae" }), NX | 0x25n);
});

Deno.test("pageProt() in 2.6.28: PROT_NONE is 0xa0, with PAE and NX too", () => {
  for (const arch of ["i386", "i386-pae"] as const) {
    assertEquals(pageProt(0x70n, { series: "2.6.28", arch }), 0xa0n);
  }
  assertEquals(pageProt(0x73n, { series: "2.6.28", arch: "i386-pae" }), NX | 0x25n);
});

Deno.test("describePageProt() names the bits", () => {
  assertEquals(describePageProt(NX | 0x25n, "6.1"), "present user accessed nx");
  assertEquals(describePageProt(0xa0n, "2.6.28"), "accessed protnone");
  assertEquals(describePageProt(0x1025n | 3n << 59n, "6.1"), "present user accessed pkey=3 0x1000");
});
