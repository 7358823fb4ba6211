// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { changesBetween } from "./target_changes.ts";

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;
const MAPS = "1000-3000 rw-p 00000000 00:00 0 \n8000-9000 r--p 00000000 00:00 0 \n";

function blobs(
  options: { maps?: string; pages: [bigint, bigint][]; rss?: [number, number]; flags?: string },
) {
  const [first, second] = options.rss ?? [4, 4];
  const [line1, line2] = MAPS.split("\n");
  const smaps =
    `${line1}\nRss:   ${first} kB\nSwap:  ${8 - first} kB\nVmFlags: ${options.flags ?? "rd wr"}\n` +
    `${line2}\nRss:   ${second} kB\nVmFlags: rd\n`;
  const encoder = new TextEncoder();
  return new Map([
    ["maps", encoder.encode(options.maps ?? MAPS)],
    ["smaps", encoder.encode(smaps)],
    ["pages", new Uint8Array(BigUint64Array.from(options.pages.flat()).buffer)],
  ]);
}

const BEFORE = blobs({ pages: [[0x1000n, PRESENT | 5n], [0x2000n, SWAPPED | 1n], [0x8000n, PRESENT | 7n]] });
function paths(after: Map<string, Uint8Array>): string[] {
  return changesBetween(BEFORE, after).map(({ path, actual }) => `${path} ${actual}`);
}

Deno.test("changesBetween() lets pages come back from swap", () => {
  assertEquals(paths(BEFORE), []);
  const after = blobs({
    pages: [[0x1000n, PRESENT | 5n], [0x2000n, PRESENT | 9n], [0x8000n, PRESENT | 7n]],
    rss: [8, 4],
  });
  assertEquals(paths(after), []);
});

Deno.test("changesBetween() finds pages that appeared, moved or went", () => {
  const rest: [bigint, bigint][] = [[0x2000n, PRESENT | 9n], [0x8000n, PRESENT | 7n]];
  const moved = blobs({ pages: [[0x1000n, PRESENT | 6n], ...rest] });
  assertEquals(paths(moved), ["/proc/PID/pages page 0x1000: pagemap entry 0x8000000000000006"]);
  const gone = blobs({ pages: rest });
  assertEquals(paths(gone), ["/proc/PID/pages page 0x1000: neither present nor swapped"]);
  const more = blobs({ pages: [[0x1000n, PRESENT | 5n], ...rest, [0x9000n, PRESENT]] });
  assertEquals(paths(more), ["/proc/PID/pages page 0x9000: pagemap entry 0x8000000000000000"]);
  const lost = blobs({ pages: [[0x1000n, PRESENT | 5n], rest[1]!] });
  assertEquals(paths(lost), ["/proc/PID/pages page 0x2000: neither present nor swapped"]);
});

Deno.test("changesBetween() finds sizes of other VMAs, flags and VMAs that changed", () => {
  const pages: [bigint, bigint][] = [[0x1000n, PRESENT | 5n], [0x2000n, SWAPPED | 1n], [
    0x8000n,
    PRESENT | 7n,
  ]];
  assertEquals(paths(blobs({ pages, rss: [4, 8] })), ["/proc/PID/smaps Rss:   8 kB"]);
  assertEquals(paths(blobs({ pages, flags: "rd wr lo" })), ["/proc/PID/smaps VmFlags: rd wr lo"]);
  assertEquals(paths(blobs({ pages, maps: "1000-2000 rw-p\n" })), ["/proc/PID/maps 1000-2000 rw-p"]);
});

Deno.test("changesBetween() lets a batch of pages that may be freed be worked off, and nothing else", () => {
  const smaps = (lazy: number, referenced: number, rss = 8) =>
    new Map([
      ["maps", new Uint8Array(0)],
      ["pages", new Uint8Array(0)],
      [
        "smaps",
        new TextEncoder().encode(
          `1000-3000 rw-p\nRss: ${rss} kB\nReferenced: ${referenced} kB\nLazyFree: ${lazy} kB\n`,
        ),
      ],
    ]);
  assertEquals(changesBetween(smaps(0, 8), smaps(8, 0)), []);
  assertEquals(changesBetween(smaps(0, 8), smaps(0, 0)).length, 1);
  assertEquals(changesBetween(smaps(0, 8), smaps(8, 0, 4)).length, 1);
});

Deno.test("changesBetween() finds that a stopped task was touched: a switch, a fault, a signal", () => {
  const status = (state: string, switches: number, rss = 8) =>
    `Name:\tx\nState:\t${state}\nVmRSS:\t${rss} kB\nvoluntary_ctxt_switches:\t${switches}\n`;
  const stat = (faults: number, threads = 1, rss = 2) => {
    const fields = Array.from({ length: 50 }, (_, i) => ({ 10: faults, 20: threads, 24: rss })[i + 3] ?? 0);
    return `7 (a) b) ${fields.join(" ")}\n`;
  };
  const seen = (statusText: string, statText: string) =>
    new Map([
      ...BEFORE,
      ["status", new TextEncoder().encode(statusText)] as const,
      ["stat", new TextEncoder().encode(statText)] as const,
    ]);
  const found = (before: Map<string, Uint8Array>, after: Map<string, Uint8Array>) =>
    changesBetween(before, after).map(({ path, actual }) => `${path} ${actual}`);
  const before = seen(status("T (stopped)", 5), stat(3));
  assertEquals(found(before, before), []);
  assertEquals(found(before, seen(status("T (stopped)", 6), stat(3))), [
    "/proc/PID/status voluntary_ctxt_switches:\t6",
  ]);
  assertEquals(found(before, seen(status("T (stopped)", 5), stat(4))), ["/proc/PID/stat field 10: 4"]);
  // A page of BEFORE is in swap: it may come back.
  assertEquals(found(before, seen(status("T (stopped)", 5, 12), stat(3, 1, 3))), []);
  const running = seen(status("R (running)", 5), stat(3));
  assertEquals(found(running, seen(status("R (running)", 6), stat(4))), []);
  const threads = seen(status("T (stopped)", 5), stat(3, 2));
  assertEquals(found(threads, seen(status("T (stopped)", 5), stat(4, 2))), []);
});
