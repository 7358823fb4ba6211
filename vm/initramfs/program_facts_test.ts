// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { ExpectedError } from "../host/errors.ts";
import { readProgramFacts } from "./program_facts.ts";

interface Segment {
  readonly address: number;
  readonly bytes: readonly number[];
  readonly memory?: number;
  readonly flags: number;
}

/** A program of these segments, which are all of PT_LOAD. */
function program(segments: readonly Segment[]): Uint8Array {
  const file = new Uint8Array(52 + 32 * segments.length + 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, segments[0]!.address + 3, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, segments.length, true);
  let offset = 52 + 32 * segments.length;
  segments.forEach(({ address, bytes, memory = bytes.length, flags }, i) => {
    const words = [1, offset, address, address, bytes.length, memory, flags];
    words.forEach((word, k) => view.setUint32(52 + 32 * i + 4 * k, word, true));
    file.set(bytes, offset);
    offset += bytes.length;
  });
  return file;
}

Deno.test("readProgramFacts() finds data, break, and where system calls return to", () => {
  const code = [0x90, 0xcd, 0x80, 0xc3, 0x0f, 0x05, 0xcd];
  const facts = readProgramFacts(
    program([
      { address: 0x8048000, bytes: code, flags: 5 },
      // No instruction lies in data.
      { address: 0x8049ff0, bytes: [0xcd, 0x80, 1], memory: 0x2345, flags: 6 },
    ]),
    "made",
  );
  assertEquals(facts, {
    ...{ startData: 0x8049ff0n, endData: 0x8049ff3n, startBrk: 0x804d000n },
    // Behind the file's header and two program headers, at the fourth byte of code.
    entryOffset: 52 + 2 * 32 + 3,
    syscallReturns: new Set([0x8048003n, 0x8048006n]),
  });
});

Deno.test("readProgramFacts() names what is no program", () => {
  assertThrows(() => readProgramFacts(new Uint8Array(100), "no program"), ExpectedError, "no program");
});
