// SPDX-License-Identifier: MIT

import { parsePagemap } from "../lib/compare/pagemap.ts";
import type { Finding } from "../lib/image/finding.ts";
import type { Blobs } from "./guest.ts";

/** Lines of an smaps entry that change when pages of that VMA come back from swap. */
const SWAP_LINES = new Set([
  "Rss",
  "Pss",
  "Pss_Dirty",
  "Shared_Clean",
  "Shared_Dirty",
  "Private_Clean",
  "Private_Dirty",
  "Referenced",
  "Anonymous",
  "Swap",
  "SwapPss",
]);

/** Pages count there only when the kernel works off a batch of them, whoever makes it do so. */
const UNSTEADY_LINE = "LazyFree";

/**
 * What a checkpoint changed about its target. Allowed is one thing: a page that was swapped out may have come
 * back, and with it the sizes that smaps shows of its VMA. Every other page, VMA and line must be as it was.
 *
 * @param before maps, smaps and pages of the target before the call
 * @param after the same after it
 */
export function changesBetween(before: Blobs, after: Blobs): Finding[] {
  const swapped = swappedAddresses(before);
  const differences: [string, Difference | undefined][] = [
    ["maps", firstDifference(lines(before, "maps"), lines(after, "maps"))],
    [
      "smaps",
      firstDifference(smapsLines(before, swapped), smapsLines(after, swapped)),
    ],
    ["pages", pageDifference(before, after)],
  ];
  return differences.flatMap(([name, difference]) => difference ? [changed(name, difference)] : []);
}

interface Difference {
  readonly expected: string;
  readonly actual: string;
}

function changed(name: string, { expected, actual }: Difference): Finding {
  return {
    id: "E_TARGET_CHANGED",
    verdict: "mismatch",
    path: `/proc/PID/${name}`,
    message: "the checkpoint changed its target",
    expected,
    actual,
  };
}

function lines(blobs: Blobs, name: string): string[] {
  return new TextDecoder("latin1").decode(blobs.get(name)).split("\n");
}

function firstDifference(before: readonly string[], after: readonly string[]): Difference | undefined {
  const length = Math.max(before.length, after.length);
  for (let i = 0; i < length; i++) {
    if (before[i] !== after[i]) return { expected: before[i] ?? "no line", actual: after[i] ?? "no line" };
  }
  return undefined;
}

function swappedAddresses(blobs: Blobs): bigint[] {
  return parsePagemap(blobs.get("pages") ?? new Uint8Array(0))
    .filter((entry) => entry.swapped)
    .map((entry) => BigInt(entry.page) * 4096n);
}

/** The lines of smaps that must not change: of a VMA with pages in swap without those sizes. */
function smapsLines(blobs: Blobs, swapped: readonly bigint[]): string[] {
  let hasSwapped = false;
  return lines(blobs, "smaps").filter((line) => {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range) {
      const [start, end] = [BigInt(`0x${range[1]}`), BigInt(`0x${range[2]}`)];
      hasSwapped = swapped.some((address) => address >= start && address < end);
    }
    const name = /^([A-Za-z_]+):/.exec(line)?.[1] ?? "";
    return name !== UNSTEADY_LINE && !(hasSwapped && SWAP_LINES.has(name));
  });
}

/** The first page that changed otherwise than by coming back from swap. */
function pageDifference(before: Blobs, after: Blobs): Difference | undefined {
  const was = rawPages(before);
  const is = rawPages(after);
  for (const [address, entry] of was) {
    const now = is.get(address);
    const cameBack = (entry & SWAPPED) !== 0n && now !== undefined && (now & PRESENT) !== 0n;
    if (entry !== now && !cameBack) return { expected: show(address, entry), actual: show(address, now) };
  }
  for (const [address, entry] of is) {
    if (!was.has(address)) return { expected: show(address, undefined), actual: show(address, entry) };
  }
  return undefined;
}

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;

/** The agent's `pages` blob: address and raw pagemap entry. */
function rawPages(blobs: Blobs): Map<bigint, bigint> {
  const bytes = blobs.get("pages") ?? new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pages = new Map<bigint, bigint>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    pages.set(view.getBigUint64(at, true), view.getBigUint64(at + 8, true));
  }
  return pages;
}

function show(address: bigint, entry: bigint | undefined): string {
  const where = `page 0x${address.toString(16)}`;
  if (entry === undefined) return `${where}: neither present nor swapped`;
  return `${where}: pagemap entry 0x${entry.toString(16)}`;
}
