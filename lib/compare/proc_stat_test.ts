// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { parseProcStat } from "./proc_stat.ts";

const encoder = new TextEncoder();

/** A line whose field n is n itself, but for the name and the state. */
function line(name: string, fields = 52): Uint8Array {
  const rest = Array.from({ length: fields - 3 }, (_, i) => i + 4);
  return encoder.encode(`1 (${name}) T ${rest.join(" ")}\n`);
}

Deno.test("parseProcStat() finds each field at its number", () => {
  assertEquals(parseProcStat(line("target")), {
    pid: 1,
    comm: encoder.encode("target"),
    state: "T",
    exitSignal: 38,
    start_code: 26n,
    end_code: 27n,
    start_stack: 28n,
    start_data: 45n,
    end_data: 46n,
    start_brk: 47n,
    arg_start: 48n,
    arg_end: 49n,
    env_start: 50n,
    env_end: 51n,
    exitCode: 52,
  });
});

Deno.test("parseProcStat() is not misled by a name with spaces and parentheses", () => {
  for (const name of [") T 9 (", "a b", "(", "))", ""]) {
    const { comm, state, exitCode } = parseProcStat(line(name));
    assertEquals([comm, state, exitCode], [encoder.encode(name), "T", 52]);
  }
});

Deno.test("parseProcStat() refuses a line that is cut", () => {
  for (const fields of [43, 45, 46, 48, 51]) {
    assertThrows(() => parseProcStat(line("target", fields)), SyntaxError, "52 fields");
  }
  assertThrows(() => parseProcStat(new Uint8Array(0)), SyntaxError, "52 fields");
});

Deno.test("parseProcStat() leaves undefined what old kernels do not tell", () => {
  const old = parseProcStat(line("target", 44));
  assertEquals([old.start_code, old.exitSignal, old.start_data, old.arg_start, old.exitCode], [
    26n,
    38,
    undefined,
    undefined,
    undefined,
  ]);
  const later = parseProcStat(line("target", 47));
  assertEquals([later.start_brk, later.arg_start, later.exitCode], [47n, undefined, undefined]);
});

Deno.test("parseProcStat() keeps the bytes of a name that is no text", () => {
  const bytes = line("x");
  bytes[3] = 0x9c;
  assertEquals(parseProcStat(bytes).comm, Uint8Array.of(0x9c));
});

Deno.test("parseProcStat() keeps addresses of 64 bits whole", () => {
  const text = new TextDecoder().decode(line("x")).replace(" 28 ", " 18446744073709551615 ");
  assertEquals(parseProcStat(encoder.encode(text)).start_stack, 0xffffffffffffffffn);
});
