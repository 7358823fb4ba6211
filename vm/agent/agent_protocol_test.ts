// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  bigintField,
  escapeValue,
  formatCommand,
  numberField,
  optionalNumberField,
  parseLine,
  textField,
  unescapeValue,
} from "./agent_protocol.ts";

Deno.test("escapeValue() hides what would break a line, and unescapeValue() brings it back", () => {
  assertEquals(escapeValue("a b=%\n\x7f"), "a%20b=%25%0a%7f");
  assertEquals(escapeValue("é"), "%c3%a9");
  for (const value of ["", "plain", "a b\nc", "100%", "naïve ☃ \u{1f600}", "a=b"]) {
    assertEquals(unescapeValue(escapeValue(value)), value);
  }
});

Deno.test("unescapeValue() refuses a percent sign without two digits", () => {
  for (const value of ["%", "%4", "a%zz", "%4 "]) {
    assertThrows(() => unescapeValue(value), SyntaxError, "two hex");
  }
});

Deno.test("formatCommand() writes words in order, leaves undefined ones out and may repeat a key", () => {
  assertEquals(
    formatCommand("exec", [["dir", "/w k"], ["uid", undefined], ["arg", "sh"], ["arg", -1], ["n", 5n]]),
    "exec dir=/w%20k arg=sh arg=-1 n=5",
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

Deno.test("parseLine() takes a line apart", () => {
  const line = parseLine("ok ret=-38 hash=00ff zero=0x1f what=a%20b=c");
  assertEquals(line.word, "ok");
  assertEquals(numberField(line, "ret"), -38);
  assertEquals(bigintField(line, "zero"), 31n);
  assertEquals(textField(line, "what"), "a b=c");
  assertEquals(optionalNumberField(line, "sig"), undefined);
  assertEquals(parseLine("ok").fields.size, 0);
});

Deno.test("parseLine() and the fields refuse what makes no sense", () => {
  for (const line of ["", " ok", "Ok", "ok  a=1", "ok a", "ok =1", "\x00\x01"]) {
    assertThrows(() => parseLine(line), SyntaxError, "expected", JSON.stringify(line));
  }
  const line = parseLine("ok n=12x big=0xffffffffffffffff");
  assertThrows(() => textField(line, "pid"), SyntaxError, 'expected pid= in the line "ok ..."');
  assertThrows(() => numberField(line, "n"), SyntaxError, 'found "12x"');
  assertThrows(() => numberField(line, "big"), SyntaxError, "smaller number");
});
