// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { ZERO_CONTENT } from "../model/state/page_content.ts";
import type { PredictedPage, StopPrediction } from "../model/predict_stop.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import type { ExpectedPages, ExpectedVma } from "./expected_vma.ts";
import { FindingCollector } from "./finding_collector.ts";
import { agreesWithPermissions, expectedPostedPages, postedFlags } from "./posted_memory.ts";
import { parseSmaps, type SmapsEntry } from "./proc_maps.ts";

const SMAPS = parseSmaps(
  new TextEncoder().encode(`
08048000-08049000 r-xp 00000000 00:01 18 /target
08049000-0804a000 rw-p 00000000 00:01 18 /target
0804a000-0804b000 rw-p 0804a000 00:00 0  [heap]
40000000-40001000 r-xp 00000000 00:01 19 /lib/libc.so
40001000-40002000 r--p 40001000 00:00 0
bfffe000-bffff000 r-xp bfffe000 00:00 0  [vdso]
bffff000-c0000000 rw-p bffff000 00:00 0  [stack]
`),
);

type Prediction = Partial<StopPrediction>;

function contextOf(prediction: Prediction, pages: readonly number[] = []): ComparisonContext {
  const pagemap = pages.map((page) => ({ page }));
  const collector = new FindingCollector(0);
  return {
    collector,
    target: { smaps: SMAPS, pagemap },
    prediction: { pages: new Map(), ...prediction },
  } as unknown as ComparisonContext;
}

Deno.test("postedFlags() gives what exec gives where no step made the area", () => {
  const flags = (prediction: Prediction): string[] =>
    SMAPS.map((entry) => postedFlags(entry, [], contextOf(prediction)).flags.toString(16));
  assertEquals(flags({}), [
    "8001875",
    "8100073",
    "100073",
    "8000075",
    "100071",
    "4040075",
    "100173",
  ]);
  // mlockall(2) leaves the vdso alone.
  assertEquals(flags({ locksOwnMemory: true }), [
    "8003875",
    "8102073",
    "102073",
    "8002075",
    "102071",
    "4040075",
    "102173",
  ]);
});

Deno.test("postedFlags() takes those of the steps where they made all of it", () => {
  const area = { start: 0x40001, end: 0x40002, flags: 0x73n };
  const context = contextOf({});
  const of = (areas: readonly (typeof area)[]): unknown =>
    postedFlags(SMAPS[4]!, areas as unknown as Parameters<typeof postedFlags>[1], context);
  assertEquals(of([area]), { flags: 0x73n, flagsBy: "steps" });
  assertEquals(of([{ ...area, end: 0x40001 }]), { flags: 0x100071n, flagsBy: "rules" });
});

Deno.test("agreesWithPermissions() compares what maps shows of flags", () => {
  assertEquals(agreesWithPermissions(0x75n, SMAPS[0]!), true);
  assertEquals(agreesWithPermissions(0x77n, SMAPS[0]!), false);
});

/** A VMA of 8 pages, and what is found about its pages. */
function pagesOf(
  { name = "", kB = {}, areas = [], present = [], wanted = [], hasSwap = false, perms = "rw-p" }: {
    name?: string;
    kB?: Readonly<Record<string, number>>;
    areas?: readonly { start: number; end: number }[];
    present?: readonly number[];
    wanted?: readonly number[];
    hasSwap?: boolean;
    perms?: string;
  },
): { expected: ExpectedPages; findings: string[]; notes: Record<string, number> } {
  const page: PredictedPage = { content: ZERO_CONTENT, why: "a test says so" };
  const context = contextOf(
    { pages: new Map(wanted.map((number) => [number, page])), hasSwap },
    present,
  );
  const entry = {
    ...{ start: 0n, end: 0x8000n, perms, inode: name === "" ? 0n : 3n },
    ...{ name: new TextEncoder().encode(name), sizes: new Map(Object.entries(kB)) },
  } as unknown as SmapsEntry;
  const vma = { start: 0, end: 8, entry, areas, flags: 0n, flagsBy: "steps" } as unknown as ExpectedVma;
  const expected = expectedPostedPages(context)(vma);
  return {
    expected,
    findings: context.collector.findings.map(({ id, path, expected, actual }) =>
      `${id} ${path}: ${expected}, not ${actual}`
    ),
    notes: Object.fromEntries([...context.collector.knownErrors].map(([id, { count }]) => [id, count])),
  };
}

Deno.test("expectedPostedPages() wants every anonymous page that is there, those only read as zeros", () => {
  for (const name of ["", "/dev/zero"]) {
    const { expected, findings } = pagesOf({
      ...{ name, kB: { Rss: 8, Swap: 4 }, areas: [{ start: 0, end: 8 }] },
      ...{ present: [1, 2, 5], wanted: [2] },
    });
    assertEquals(findings, []);
    assertEquals(expected.optional, 0);
    assertEquals(
      expected.pages.map(({ page, predicted, knownError }) => [page, predicted?.why, knownError?.id]),
      [
        [1, "no step wrote it, so that it holds zeros", "N_READ_PAGE"],
        [2, "a test says so", undefined],
        [5, "no step wrote it, so that it holds zeros", "N_READ_PAGE"],
      ],
    );
  }
  const own = pagesOf({ kB: { Rss: 4 }, present: [1] });
  assertEquals(own.expected.pages, [{ page: 1, predicted: undefined }]);
});

Deno.test("expectedPostedPages() says where smaps, pagemap and the steps disagree", () => {
  const uncounted = pagesOf({ kB: { Rss: 4 }, present: [1, 2] });
  assertEquals(uncounted.findings, ["E_ORACLES_DISAGREE /proc/PID/smaps 0x0: 1, not 2"]);
  const untouched = pagesOf({ areas: [{ start: 0, end: 8 }], wanted: [3] });
  assertEquals(untouched.findings, ["E_ORACLES_DISAGREE page 0x3000: yes: a test says so, not no"]);
});

Deno.test("expectedPostedPages() wants those pages of a file that were copied", () => {
  const file = { name: "/lib/libc.so", present: [0, 1, 2, 3] };
  const clean = pagesOf({ ...file, kB: { Rss: 16 } });
  assertEquals([clean.expected, clean.findings], [{ pages: [], optional: 0 }, []]);
  const shared = pagesOf({ ...file, kB: { Rss: 16, Shared_Dirty: 16 }, perms: "rw-s" });
  assertEquals(shared.expected, { pages: [], optional: 0 });
  // No step touched it, so that the dynamic linker wrote: any of them.
  const linked = pagesOf({ ...file, kB: { Rss: 16, Private_Dirty: 8 } });
  assertEquals([linked.expected.pages.length, linked.expected.optional], [4, 2]);
  assertEquals(linked.expected.pages.every(({ isOptional }) => isOptional), true);
  const areas = [{ start: 0, end: 8 }];
  const written = pagesOf({ ...file, areas, kB: { Rss: 16, Private_Dirty: 8 }, wanted: [1, 2] });
  assertEquals(written.expected.pages.map(({ page }) => page), [1, 2]);
  assertEquals(written.findings, []);
  const other = pagesOf({ ...file, areas, kB: { Rss: 16, Private_Dirty: 4 }, wanted: [1, 2] });
  assertEquals(other.findings, ["E_ORACLES_DISAGREE /proc/PID/smaps 0x0: 2, not 1"]);
});

Deno.test("expectedPostedPages() counts pages of a file that are lost in the swap cache", () => {
  const areas = [{ start: 0, end: 8 }];
  const file = { name: "/file", areas, present: [1, 2, 3], wanted: [1, 2, 3], hasSwap: true };
  const some = pagesOf({ ...file, kB: { Rss: 12, Private_Dirty: 4 } });
  assertEquals([some.findings, some.notes, some.expected.optional], [[], { N_SWAP_CACHE_LOST: 2 }, 1]);
  assertEquals(some.expected.pages.map(({ isOptional }) => isOptional), [true, true, true]);
  const all = pagesOf({ ...file, kB: { Rss: 12 } });
  assertEquals([all.notes, all.expected], [{ N_SWAP_CACHE_LOST: 3 }, { pages: [], optional: 0 }]);
  // One too many is no such loss.
  const more = pagesOf({ ...file, kB: { Rss: 12, Private_Dirty: 16 } });
  assertEquals(more.findings, ["E_ORACLES_DISAGREE /proc/PID/smaps 0x0: 3, not 4"]);
});
