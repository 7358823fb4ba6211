// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import type { ProgramFacts } from "../../lib/model/state/model_state.ts";
import { type LoadedSegment, readElf } from "../host/elf_file.ts";

/**
 * Reads what an image must repeat of a program from its ELF file.
 *
 * @param bytes the whole file
 * @param name for errors
 * @throws {ExpectedError} when it is no ELF file
 */
export function readProgramFacts(bytes: Uint8Array, name: string): ProgramFacts {
  const { loaded, loadEnd, entry } = readElf(bytes, name);
  const highest = (values: readonly bigint[]): bigint =>
    values.reduce((most, value) => value > most ? value : most, 0n);
  const pageMask = BigInt(PAGE_SIZE) - 1n;
  return {
    startData: highest(loaded.map(({ address }) => address)),
    endData: highest(loaded.map(({ address, bytes }) => address + BigInt(bytes.length))),
    startBrk: (loadEnd + pageMask) & ~pageMask,
    entryOffset: loaded.reduce(
      (found, { address, offset }) => address <= entry ? offset + Number(entry - address) : found,
      0,
    ),
    syscallReturns: new Set(loaded.flatMap(syscallReturns)),
  };
}

/** `int $0x80` and `syscall`: two bytes each. */
const SYSCALL_INSTRUCTIONS = [[0xcd, 0x80], [0x0f, 0x05]];

function syscallReturns({ address, isExecutable, bytes }: LoadedSegment): bigint[] {
  const found: bigint[] = [];
  for (let at = 0; isExecutable && at + 2 <= bytes.length; at++) {
    const isCall = SYSCALL_INSTRUCTIONS.some(([first, second]) =>
      bytes[at] === first && bytes[at + 1] === second
    );
    if (isCall) found.push(address + BigInt(at + 2));
  }
  return found;
}
