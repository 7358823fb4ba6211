// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { parseObservation, type RawObservation } from "./observation.ts";

const encoder = new TextEncoder();
const MAPS = "1000-2000 rw-p 00000000 00:00 0 \n" +
  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
const STAT = `7 (target) T ${Array.from({ length: 49 }, (_, i) => i + 4).join(" ")}\n`;
const STATUS = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000200\n";

function raw(changes: Partial<RawObservation> = {}): RawObservation {
  return {
    pid: 7,
    proc: new Map(
      [["maps", MAPS], ["smaps", MAPS], ["stat", STAT], ["comm", "target\n"], ["pages", ""], [
        "status",
        STATUS,
      ]]
        .map(([name, text]) => [name!, encoder.encode(text!)]),
    ),
    registers: new Map(["gpr", "xstate", "debugreg", "tls"].map((name) => [name, encoder.encode(name)])),
    hashedAddresses: BigUint64Array.of(0x1000n),
    hashes: BigUint64Array.of(0x11112222_33334444n),
    brk: undefined,
    t0: 1n,
    t1: 2n,
    ...changes,
  };
}

function without(blobs: ReadonlyMap<string, Uint8Array>, name: string): Map<string, Uint8Array> {
  return new Map([...blobs].filter(([key]) => key !== name));
}

Deno.test("parseObservation() leaves out the gate page, which is no VMA of the task", () => {
  const { maps, smaps } = parseObservation(raw());
  assertEquals([maps.length, smaps.length, maps[0]?.start], [1, 1, 0x1000n]);
});

Deno.test("parseObservation() cuts the newline off the name, but only that", () => {
  const comm = (text: string): Uint8Array | undefined =>
    parseObservation(raw({ proc: new Map([...raw().proc, ["comm", encoder.encode(text)]]) })).comm;
  assertEquals(comm("target\n"), encoder.encode("target"));
  assertEquals(comm("a\n\n"), encoder.encode("a\n"));
  assertEquals(comm("whole"), encoder.encode("whole"));
});

Deno.test("parseObservation() splits hashes into their lanes by page", () => {
  assertEquals([...parseObservation(raw()).pageHashes], [[1, 0x1111222233334444n]]);
  assertThrows(() => parseObservation(raw({ hashes: new BigUint64Array(2) })), SyntaxError, "found 2 for 1");
});

Deno.test("parseObservation() takes the older register set when the processor has no XSAVE", () => {
  const { registers } = raw();
  assertEquals(parseObservation(raw()).hasXsave, true);
  const old = without(registers, "xstate").set("fpregs", encoder.encode("fpregs"));
  const { hasXsave, xstate } = parseObservation(raw({ registers: old }));
  assertEquals([hasXsave, xstate], [false, encoder.encode("fpregs")]);
});

Deno.test("parseObservation() names each answer that is missing", () => {
  const { proc, registers } = raw();
  for (const name of ["maps", "smaps", "stat", "pages"]) {
    assertThrows(() => parseObservation(raw({ proc: without(proc, name) })), SyntaxError, `"${name}"`);
  }
  for (const name of ["gpr", "debugreg", "tls"]) {
    assertThrows(
      () => parseObservation(raw({ registers: without(registers, name) })),
      SyntaxError,
      `"${name}"`,
    );
  }
});

Deno.test("parseObservation() leaves undefined what an old kernel does not tell", () => {
  const { proc, registers } = raw();
  const target = parseObservation(
    raw({
      proc: without(proc, "comm"),
      registers: without(registers, "xstate").set("fpxregs", encoder.encode("fx")),
    }),
  );
  const { comm, auxv, cmdline, environ, xstate, fpxregs, hasXsave } = target;
  assertEquals([comm, auxv, cmdline, environ, xstate, hasXsave], [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    false,
  ]);
  assertEquals(fpxregs, encoder.encode("fx"));
});

Deno.test("parseObservation() takes what a target does about signals apart, in its own words", () => {
  const { signals } = parseObservation(raw());
  assertEquals([signals.caught, signals.ignored, signals.stack, signals.actions], [
    ...[0x8000_0000_0000_0200n, 0x1000n, undefined, undefined],
  ]);
  const registers = (wide: boolean, cut = 0) => {
    const words = (...values: bigint[]) =>
      new Uint8Array((wide ? BigUint64Array.from(values) : Uint32Array.from(values, Number)).buffer);
    const action = [...Uint8Array.of(10, 0, 0, 0), ...words(0x1000n, 4n, 0x2000n), ...Uint8Array.of(0, 64)];
    return new Map([
      ...raw().registers,
      ["sigmask", Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0)],
      ["sigaltstack", words(0x7000n, 2n, 0x800n)],
      ["sigactions", new Uint8Array([...action, ...new Uint8Array(6 - cut)])],
    ]);
  };
  for (const wide of [true, false]) {
    const { signals } = parseObservation(raw({ registers: registers(wide) }));
    assertEquals([signals.blocked, signals.stack], [
      ...[2n, { sp: 0x7000n, size: 0x800n, flags: 2 }],
    ]);
    const action = { handler: 0x1000n, flags: 4n, restorer: 0x2000n, mask: 0x4000n };
    assertEquals([...signals.actions!], [[10, action]]);
    assertThrows(
      () => parseObservation(raw({ registers: registers(wide, 1) })),
      SyntaxError,
      "whole structs",
    );
  }
});
