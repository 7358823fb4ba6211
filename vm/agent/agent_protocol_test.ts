// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { fieldsOf, formatCommand, parseLine, readFields } from "./agent_protocol.ts";

Deno.test("formatCommand() hides what would break a line, and parseLine() brings it back", () => {
  assertEquals(formatCommand("x", [["a", "a b=%\n\x7f"]]), "x a=a%20b=%25%0A%7F");
  assertEquals(formatCommand("x", [["a", "é"]]), "x a=%C3%A9");
  for (const value of ["", "plain", "a b\nc", "100%", "naïve ☃ \u{1f600}", "a=b"]) {
    assertEquals(parseLine(formatCommand("x", [["a", value]])).fields.get("a"), value);
  }
});

Deno.test("parseLine() refuses a percent sign without two digits", () => {
  for (const value of ["%", "%4", "a%zz"]) {
    assertThrows(() => parseLine(`x a=${value}`), SyntaxError, "two hex");
  }
});

Deno.test("formatCommand() writes words in order, leaves undefined ones out and may repeat a key", () => {
  assertEquals(
    formatCommand("exec", [["dir", "/w k"], ["uid", undefined], ["arg", "sh"], ["arg", -1], ["n", 5n]]),
    "exec dir=/w%20k arg=sh arg=18446744073709551615 n=5",
  );
  assertEquals(formatCommand("event", []), "event");
});

Deno.test("formatCommand() refuses a line that the agent would not take", () => {
  assertEquals(formatCommand("x", [["a", "y".repeat(4091)]]).length, 4095);
  assertThrows(
    () => formatCommand("x", [["a", "y".repeat(4092)]]),
    RangeError,
    "command x: expected at most 4095",
  );
});

Deno.test("fieldsOf() and readFields() write a name's words apart, as the agent has them", () => {
  const options = { nr: 390, pauseAt: 0, fd: "none", rlimitFsize: undefined };
  assertEquals(formatCommand("x", fieldsOf(options)), "x nr=390 pause_at=0 fd=none");
  const line = parseLine("ok result=-38 hash=00ff zero_page=0x1f what=a%20b=c is_late=1");
  assertEquals(line.word, "ok");
  const spec = {
    result: "number",
    zeroPage: "bigint",
    what: "text",
    isLate: "flag?",
    signal: "number?",
  } as const;
  assertEquals(readFields(line, spec), { result: -38, zeroPage: 31n, what: "a b=c", isLate: true });
  assertEquals(parseLine("ok").fields.size, 0);
});

Deno.test("parseLine() and readFields() refuse what makes no sense", () => {
  for (const line of ["", " ok", "Ok", "ok  a=1", "ok a", "ok =1", "\x00\x01"]) {
    assertThrows(() => parseLine(line), SyntaxError, "expected", JSON.stringify(line));
  }
  const line = parseLine("ok n=12x big=0xffffffffffffffff");
  assertThrows(
    () => readFields(line, { zeroPage: "text" }),
    SyntaxError,
    'expected zero_page= in the line "ok ..."',
  );
  assertThrows(() => readFields(line, { n: "number" }), SyntaxError, 'found "12x"');
  assertThrows(() => readFields(line, { n: "bigint?" }), SyntaxError, 'found "12x"');
  assertThrows(() => readFields(line, { big: "number" }), SyntaxError, "smaller number");
});
