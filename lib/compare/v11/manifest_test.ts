// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { parseV11Manifest } from "./manifest.ts";
import { manifestOf } from "./testing/small_manifest.ts";

Deno.test("parseV11Manifest() reads maps, pages, calls and registers", () => {
  const manifest = manifestOf({
    lines: ["case=small pid=12", "time_before=1228478400", "prefix=16 bytes written before"],
    present_pages: [{ from: "08049000", to: "0804b000" }],
  });
  assertEquals([manifest.pid, manifest.timeBefore, manifest.prefix], [12, 1228478400n, 16]);
  assertEquals([...manifest.presentPages], [0x8049, 0x804a]);
  assertEquals(manifest.calls[0]?.registers.get("eip"), 0x8048010n);
  assertEquals(manifest.maps[0]?.start, 0x8048000n);
});

Deno.test("parseV11Manifest() mixes known steps and other lines in the order of the raw text", () => {
  const { steps } = manifestOf({
    ops: [{ op: "modify_ldt", func: "1" }, { op: "modify_ldt", func: "11" }],
    lines: ["gs_set=7"],
    manifest_text: "modify_ldt func=1\ngs_set=7\nldt_readback ret=65536\nmodify_ldt func=11\n",
  });
  assertEquals(steps.map(({ op }) => op), ["modify_ldt", "gs_set", "ldt_readback", "modify_ldt"]);
  assertEquals(steps[1]?.fields.gs_set, "7");
});

Deno.test("parseV11Manifest() names the field that is wrong", () => {
  assertThrows(() => parseV11Manifest("[]"), SyntaxError, "JSON object");
  assertThrows(() => manifestOf({ lines: [1] }), SyntaxError, '"lines" must be a list of strings');
  assertThrows(() => manifestOf({ uname_release: 2 }), SyntaxError, '"uname_release" must be a string');
  assertThrows(
    () => manifestOf({ present_pages: [{ from: "x", to: "1000" }] }),
    SyntaxError,
    '"present_pages" must be a hexadecimal number: found "x"',
  );
});
