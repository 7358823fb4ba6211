// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { ExpectedError } from "../../vm/host/errors.ts";
import { parseSplats } from "./parse_splats.ts";
import { allowedBy, readSplatAllowlist } from "./splat_allowlist.ts";

const GOOD = { title: "WARNING in f", reason: "known since 5.10", expires: "2030-06-30" };
const SPLAT = parseSplats("WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n")[0]!;

/** Reads a list as of its last day. */
async function read(list: unknown): ReturnType<typeof readSplatAllowlist> {
  const file = await Deno.makeTempFile({ suffix: "list.json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify(list));
    return await readSplatAllowlist("2030-06-30", file);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("readSplatAllowlist() takes entries up to their last day", async () => {
  const byPrint = {
    fingerprint: SPLAT.fingerprint,
    reason: "r",
    expires: "2031-01-01",
    needs: { arch: "i386" },
  };
  assertEquals(await read([GOOD, byPrint]), [GOOD, byPrint]);
  assertEquals(await read([]), []);
});

Deno.test("readSplatAllowlist() names an entry that has expired, and its reason", async () => {
  await assertRejects(
    () => read([{ ...GOOD, expires: "2030-06-29" }]),
    ExpectedError,
    `list.json: the entry for "WARNING in f" expired on 2030-06-29 (today is 2030-06-30)`,
  );
});

Deno.test("readSplatAllowlist() says what is wrong with an entry", async () => {
  const { reason: _reason, ...noReason } = GOOD;
  const { expires: _expires, ...noDate } = GOOD;
  const wrong: [unknown, string][] = [
    [7, "$[0]: expected an object, found 7"],
    [{ ...GOOD, titel: "x" }, `$[0].titel: expected one of the keys title, `],
    [{ ...GOOD, fingerprint: "0".repeat(16) }, `$[0]: expected either "title" or "fingerprint"`],
    [{ reason: "r", expires: "2031-01-01" }, `$[0]: expected either "title" or "fingerprint"`],
    [
      { fingerprint: "XYZ", reason: "r", expires: "2031-01-01" },
      "$[0].fingerprint: expected 16 hexadecimal digits",
    ],
    [noReason, "$[0].reason: expected a text, found nothing"],
    [{ ...GOOD, reason: " " }, `$[0].reason: expected a text, found " "`],
    [noDate, "$[0].expires: expected a date as YYYY-MM-DD, found nothing"],
    [{ ...GOOD, expires: "2031-02-30" }, `$[0].expires: expected a date as YYYY-MM-DD, found "2031-02-30"`],
    [{ ...GOOD, expires: "soon" }, `$[0].expires: expected a date as YYYY-MM-DD, found "soon"`],
    [{ ...GOOD, needs: { cpu: "x" } }, `$[0].needs.cpu: expected one of the keys arch, flavour, series`],
    [{ ...GOOD, needs: { arch: 3 } }, `$[0].needs.arch: expected a text, found 3`],
  ];
  for (const [entry, message] of wrong) await assertRejects(() => read([entry]), ExpectedError, message);
  await assertRejects(
    () => read([GOOD, GOOD]),
    ExpectedError,
    "list.json: $: expected entries that differ in title, fingerprint or needs",
  );
  await assertRejects(
    () => read({}),
    ExpectedError,
    "list.json: $: expected a list, found {}",
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
    await assertRejects(
      () => readSplatAllowlist("2030-01-01", file),
      ExpectedError,
      `${file}: $: expected JSON`,
    );
  } finally {
    await Deno.remove(file);
  }
  await assertRejects(() => readSplatAllowlist("2030-01-01", file), ExpectedError, `${file} cannot be read`);
});
