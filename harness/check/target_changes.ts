// SPDX-License-Identifier: MIT

import { firstDifference as firstByteDifference } from "../../lib/bytes.ts";
import { PRESENT, rawPagemap, SWAPPED } from "../../lib/compare/pagemap.ts";
import { byteText, shownByteText } from "../../lib/printable.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { Blobs } from "../run/guest/guest.ts";

/** What of /proc/PID is looked at before and after; `pages` is the agent's list from pagemap. */
export const OBSERVED_FOR_CHANGES = ["maps", "smaps", "status", "stat", "pages"] as const;

/** Lines of an smaps entry that change when pages of that VMA come back from swap. */
const SWAP_LINES = new Set([
  ...[
    "Rss",
    "Pss",
    "Pss_Dirty",
    "Shared_Clean",
    "Shared_Dirty",
    "Private_Clean",
    "Private_Dirty",
    "Referenced",
  ],
  ...["Anonymous", "Swap", "SwapPss"],
  // Pages that are present in a locked VMA.
  "Locked",
]);

/** Lines of status that change when pages come back from swap. */
const SWAP_STATUS_LINES = new Set(["VmHWM", "VmRSS", "RssAnon", "VmSwap"]);

/**
 * Pages that may be freed count in one line, and no longer as referenced in the other, only when the kernel
 * works off a batch of them: whoever makes it do so.
 */
const BATCHED_LINES = ["LazyFree", "Referenced"] as const;

/**
 * What a checkpoint changed about its target. Allowed is one thing: a page that was swapped out may have come back,
 * and with it the sizes that smaps shows of its VMA. Every other page, VMA and line must be as it was, and for a
 * stopped task all that status and stat show: signals, faults, times, context switches.
 *
 * @param before {@linkcode OBSERVED_FOR_CHANGES} of the target before the call
 * @param after the same after it
 */
export function changesBetween(before: Blobs, after: Blobs): Finding[] {
  const message = "the checkpoint changed its target";
  return OBSERVED_FOR_CHANGES.flatMap((name) => {
    if (firstByteDifference(blobOf(before, name), blobOf(after, name)) < 0) return [];
    const difference = DIFFERENCES[name](before, after);
    return difference
      ? [mismatch("E_TARGET_CHANGED", { path: `/proc/PID/${name}`, message, ...difference })]
      : [];
  });
}

/** Whether what is not the same byte for byte has changed, and in what. */
const DIFFERENCES: Readonly<
  Record<typeof OBSERVED_FOR_CHANGES[number], (before: Blobs, after: Blobs) => Difference | undefined>
> = {
  maps: (before, after) => firstDifference(lines(before, "maps"), lines(after, "maps")),
  smaps: smapsDifference,
  pages: pageDifference,
  status: statusDifference,
  stat: statDifference,
};

interface Difference {
  readonly expected: string;
  readonly actual: string;
}

function blobOf(blobs: Blobs, name: string): Uint8Array {
  return blobs.get(name) ?? new Uint8Array(0);
}

function lines(blobs: Blobs, name: string): string[] {
  return byteText(blobOf(blobs, name)).split("\n");
}

function firstDifference(before: readonly string[], after: readonly string[]): Difference | undefined {
  const length = Math.max(before.length, after.length);
  for (let i = 0; i < length; i++) {
    if (before[i] === after[i]) continue;
    return { expected: shownByteText(before[i] ?? "no line"), actual: shownByteText(after[i] ?? "no line") };
  }
  return undefined;
}

function swappedAddresses(blobs: Blobs): bigint[] {
  return [...pagesOf(blobs)].flatMap(([address, entry]) => (entry & SWAPPED) === 0n ? [] : [address]);
}

function smapsDifference(before: Blobs, after: Blobs): Difference | undefined {
  const [was, is] = [smapsEntries(before), smapsEntries(after)];
  const swapped = swappedAddresses(before);
  for (let i = 0; i < Math.max(was.length, is.length); i++) {
    const [old, now] = [was[i] ?? [], is[i] ?? []];
    const ignored = new Set(hasSwapped(old[0] ?? "", swapped) ? SWAP_LINES : []);
    const [lazy, referenced] = BATCHED_LINES;
    const lazyLine = (entry: readonly string[]) => entry.find((line) => nameOf(line) === lazy);
    if (lazyLine(old) !== lazyLine(now)) ignored.add(lazy).add(referenced);
    const steady = (entry: readonly string[]) => entry.filter((line) => !ignored.has(nameOf(line)));
    const difference = firstDifference(steady(old), steady(now));
    if (difference) return difference;
  }
  return undefined;
}

/** Whether a task is stopped: what runs, or waits for something, changes by itself. */
function isStopped(blobs: Blobs): boolean {
  return lines(blobs, "status").some((line) => /^State:\t[Tt] /.test(line));
}

/** The first line of status that changed: signals, sizes, context switches. */
function statusDifference(before: Blobs, after: Blobs): Difference | undefined {
  if (!isStopped(before)) return undefined;
  const ignored = swappedAddresses(before).length > 0 ? SWAP_STATUS_LINES : new Set();
  const steady = (blobs: Blobs) => lines(blobs, "status").filter((line) => !ignored.has(nameOf(line)));
  return firstDifference(steady(before), steady(after));
}

/** The first field of stat that changed: faults and times. Of several threads one may still be about to stop. */
function statDifference(before: Blobs, after: Blobs): Difference | undefined {
  const was = statFields(before);
  if (!isStopped(before) || was[THREADS] !== "1") return undefined;
  if (swappedAddresses(before).length > 0) was[RESIDENT] = statFields(after)[RESIDENT] ?? "";
  const named = (fields: readonly string[]) => fields.map((value, field) => `field ${field}: ${value}`);
  return firstDifference(named(was), named(statFields(after)));
}

/** Fields of stat as proc(5) counts them: the number of threads, and the resident set. */
const THREADS = 20;
const RESIDENT = 24;

/** The fields of stat by number; the first three are left out, since a command may hold anything. */
function statFields(blobs: Blobs): string[] {
  const [line = ""] = lines(blobs, "stat");
  return ["", "", "", ...line.slice(line.lastIndexOf(")") + 2).split(" ")];
}

function smapsEntries(blobs: Blobs): string[][] {
  const entries: string[][] = [];
  for (const line of lines(blobs, "smaps")) {
    if (nameOf(line) === "" || entries.length === 0) entries.push([]);
    entries.at(-1)!.push(line);
  }
  return entries;
}

function nameOf(line: string): string {
  return /^([A-Za-z_]+):/.exec(line)?.[1] ?? "";
}

/** Whether one of the addresses lies in the VMA of a first line of an smaps entry. */
function hasSwapped(line: string, swapped: readonly bigint[]): boolean {
  const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
  if (!range) return false;
  const [start, end] = [BigInt(`0x${range[1]}`), BigInt(`0x${range[2]}`)];
  return swapped.some((address) => address >= start && address < end);
}

/** The first page that changed otherwise than by coming back from swap. */
function pageDifference(before: Blobs, after: Blobs): Difference | undefined {
  const was = pagesOf(before);
  const is = pagesOf(after);
  for (const address of new Set([...was.keys(), ...is.keys()])) {
    const [entry, now] = [was.get(address), is.get(address)];
    const cameBack = ((entry ?? 0n) & SWAPPED) !== 0n && ((now ?? 0n) & PRESENT) !== 0n;
    if (entry !== now && !cameBack) return { expected: show(address, entry), actual: show(address, now) };
  }
  return undefined;
}

function pagesOf(blobs: Blobs): Map<bigint, bigint> {
  return new Map(rawPagemap(blobOf(blobs, "pages")));
}

function show(address: bigint, entry: bigint | undefined): string {
  const where = `page 0x${address.toString(16)}`;
  if (entry === undefined) return `${where}: neither present nor swapped`;
  return `${where}: pagemap entry 0x${entry.toString(16)}`;
}
