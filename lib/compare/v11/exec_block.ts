// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import type { ImageNode } from "../../image/nodes.ts";

const WORD = 4;

/** What exec left at the top of the stack: the fields of MM that point there. */
export interface ExecBlock {
  readonly argStart: number;
  readonly argEnd: number;
  readonly envStart: number;
  readonly envEnd: number;
}

/** The pages of an image at addresses from `start` up, by page number. */
function pagesFrom(nodes: readonly ImageNode[], start: number): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  for (const node of nodes) {
    if (node.kind !== "pages") continue;
    node.vaddrs.forEach((vaddr, i) => {
      if (vaddr < BigInt(start)) return;
      pages.set(Number(vaddr) / PAGE_SIZE, node.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    });
  }
  return pages;
}

/**
 * Reads the block that exec makes (fs/binfmt_elf.c, create_elf_tables): the number of arguments, pointers
 * to them and to the environment, and the strings one after the other.
 *
 * @param nodes the image
 * @param stackPointer where the program's stack began: `mm.start_stack`
 * @returns undefined when the image has not all of it, or it is none
 */
export function readExecBlock(nodes: readonly ImageNode[], stackPointer: number): ExecBlock | undefined {
  const pages = pagesFrom(nodes, Math.floor(stackPointer / PAGE_SIZE) * PAGE_SIZE);
  const byte = (at: number): number | undefined => pages.get(Math.floor(at / PAGE_SIZE))?.[at % PAGE_SIZE];
  const word = (at: number): number | undefined => {
    let value = 0;
    for (let i = WORD - 1; i >= 0; i--) value = value * 256 + (byte(at + i) ?? Number.NaN);
    return Number.isNaN(value) ? undefined : value;
  };
  const endOfString = (at: number): number | undefined => {
    while (byte(at) !== undefined && byte(at) !== 0) at++;
    return byte(at) === undefined ? undefined : at + 1;
  };
  const count = word(stackPointer);
  if (count === undefined || count > PAGE_SIZE) return undefined;
  const pointers = stackPointer + WORD;
  if (word(pointers + count * WORD) !== 0) return undefined;
  const argStart = word(pointers);
  const argEnd = endOfStrings(argStart, pointers, { word, endOfString });
  const envStart = argEnd;
  const envEnd = endOfStrings(envStart, pointers + (count + 1) * WORD, { word, endOfString });
  if (argStart === undefined || argEnd === undefined || envEnd === undefined) return undefined;
  return { argStart, argEnd, envStart: argEnd, envEnd };
}

/** Where the strings end that begin at `start` and that the pointers at `table` up to a 0 name in turn. */
function endOfStrings(
  start: number | undefined,
  table: number,
  { word, endOfString }: {
    word: (at: number) => number | undefined;
    endOfString: (at: number) => number | undefined;
  },
): number | undefined {
  let end = start;
  for (let at = table; word(at) !== 0; at += WORD) {
    if (end === undefined || word(at) !== end) return undefined;
    end = endOfString(end);
  }
  return end;
}
