// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../vm/host/errors.ts";
import { parseSplats } from "./parse_splats.ts";
import { allowedBy, parseSplatAllowlist, readSplatAllowlist } from "./splat_allowlist.ts";

const GOOD = { title: "WARNING in f", reason: "known since 5.10", expires: "2030-06-30" };
const SPLAT = parseSplats("WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n")[0]!;

function parse(...entries: unknown[]): ReturnType<typeof parseSplatAllowlist> {
  return parseSplatAllowlist(entries, { file: "list.json", today: "2030-06-30" });
}

Deno.test("parseSplatAllowlist() takes entries up to their last day", () => {
  const byPrint = {
    fingerprint: SPLAT.fingerprint,
    reason: "r",
    expires: "2031-01-01",
    needs: { arch: "i386" },
  };
  assertEquals(parse(GOOD, byPrint), [GOOD, byPrint]);
  assertEquals(parse(), []);
});

Deno.test("parseSplatAllowlist() names an entry that has expired, and its reason", () => {
  assertThrows(
    () => parse({ ...GOOD, expires: "2030-06-29" }),
    UsageError,
    `list.json: the entry for "WARNING in f" expired on 2030-06-29 (today is 2030-06-30)`,
  );
});

Deno.test("parseSplatAllowlist() says what is wrong with an entry", () => {
  const { reason: _reason, ...noReason } = GOOD;
  const { expires: _expires, ...noDate } = GOOD;
  const wrong: [unknown, string][] = [
    [7, "entry 0: expected an object, found number"],
    [{ ...GOOD, titel: "x" }, `entry 0: unknown key "titel"`],
    [{ ...GOOD, fingerprint: "0".repeat(16) }, `entry 0: expected either "title" or "fingerprint"`],
    [{ reason: "r", expires: "2031-01-01" }, `entry 0: expected either "title" or "fingerprint"`],
    [{ fingerprint: "XYZ", reason: "r", expires: "2031-01-01" }, "16 hexadecimal digits"],
    [noReason, `entry 0: expected a "reason"`],
    [{ ...GOOD, reason: " " }, `entry 0: expected "reason" to be a text`],
    [noDate, `entry 0: expected a date "expires"`],
    [{ ...GOOD, expires: "2031-02-30" }, `expected "expires" as YYYY-MM-DD, found "2031-02-30"`],
    [{ ...GOOD, expires: "soon" }, `expected "expires" as YYYY-MM-DD, found "soon"`],
    [{ ...GOOD, needs: { cpu: "x" } }, `entry 0: needs: unknown key "cpu"`],
    [{ ...GOOD, needs: { arch: 3 } }, `entry 0: needs: expected "arch" to be a text`],
  ];
  for (const [entry, message] of wrong) assertThrows(() => parse(entry), UsageError, message);
  assertThrows(() => parse(GOOD, GOOD), UsageError, "entry 1 is the same as entry 0");
  assertThrows(
    () => parseSplatAllowlist({}, { file: "list.json", today: "2030-01-01" }),
    UsageError,
    "expected a list of entries, found object",
  );
});

Deno.test("allowedBy() finds an entry by title or fingerprint, on the kernels that it is for", () => {
  const kernel = { arch: "x86_64", flavour: "debug", series: "6.1" };
  assertEquals(allowedBy(SPLAT, [GOOD], kernel), GOOD);
  const print = { fingerprint: SPLAT.fingerprint, reason: "r", expires: "2031-01-01" };
  assertEquals(allowedBy(SPLAT, [print], kernel), print);
  assertEquals(allowedBy(SPLAT, [{ ...GOOD, title: "WARNING in g" }], kernel), undefined);
  assertEquals(allowedBy(SPLAT, [{ ...GOOD, needs: { arch: "i386" } }], kernel), undefined);
  const needs = { arch: "x86_64", flavour: "debug" };
  assertEquals(allowedBy(SPLAT, [{ ...GOOD, needs }], kernel)?.needs, needs);
  assertEquals(allowedBy(SPLAT, [{ ...GOOD, needs }], { arch: "x86_64" }), undefined);
});

Deno.test("readSplatAllowlist() reads the project's list, and names a file that is none", async () => {
  await readSplatAllowlist();
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "[");
    await assertRejects(() => readSplatAllowlist("2030-01-01", file), UsageError, `${file} is no JSON`);
  } finally {
    await Deno.remove(file);
  }
  await assertRejects(() => readSplatAllowlist("2030-01-01", file), UsageError, `${file} cannot be read`);
});
