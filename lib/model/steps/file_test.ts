// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { nameBytes } from "../state/file_model.ts";
import { fillContent } from "../state/page_content.ts";
import { ScenarioError, type Step } from "../scenario.ts";
import { pagesIn, predictSteps } from "../testing/compile_steps.ts";

const file: Step = { op: "file", file: "data", pages: 4, seed: 7 };
const map: Step = { op: "mmap", area: "a", pages: 4, file: "data" };
function refusal(steps: Step[], expect: string) {
  return predictSteps([...steps, { op: "stop", label: "x", expect }]).refusal;
}

Deno.test("nameBytes() takes UTF-8 and escaped bytes", () => {
  assertEquals([...nameBytes("aé%ff%00%zz")], [0x61, 0xc3, 0xa9, 0xff, 0x00, 0x25, 0x7a, 0x7a]);
});

Deno.test("file gives pages their words, which a copy starts from", () => {
  const prediction = predictSteps([file, map, { op: "poke", area: "a", page: 1, value: 9 }]);
  const page = [...prediction.pages.values()][0]!.content;
  assertEquals(page.base.kind === "fill" && page.base.seed, 7);
  assertEquals(page.stores.length, 1);
  assertEquals(prediction.areas[0]!.path, "/work/data");
});

Deno.test("write_file changes the file, and no copy of its pages", () => {
  const store: Step = { op: "write_file", file: "data", pages: "1..2", seed: 9 };
  const seeds = predictSteps([
    file,
    map,
    { op: "poke", area: "a", page: 1, value: 1 },
    store,
    { op: "poke", area: "a", page: 2, value: 1 },
  ]);
  const bases = [...seeds.pages.values()].map(({ content }) =>
    content.base.kind === "fill" && content.base.seed
  );
  assertEquals(bases, [7, 9]);
});

Deno.test("truncate drops copies past the end; extended, the file has zeros there", () => {
  const cut: Step = { op: "truncate", file: "data", pages: 2 };
  const write: Step = { op: "write", area: "a", pages: "all" };
  assertEquals(pagesIn(predictSteps([file, map, write, cut]), "a"), [0, 1]);
  const steps: Step[] = [file, map, cut, { op: "truncate", file: "data", pages: 4 }, {
    op: "poke",
    area: "a",
    page: 3,
    value: 1,
  }];
  assertEquals([...predictSteps(steps).pages.values()][0]!.content.base, { kind: "zeros" });
  assertThrows(() => predictSteps([file, map, cut, write]), ScenarioError, "past the end");
});

Deno.test("unlink, rename and memfd leave files that cannot be named", () => {
  assertEquals(refusal([file, map, { op: "unlink", file: "data" }], "ENOENT")?.errno, 2);
  const other: Step = { op: "file", file: "other", pages: 1 };
  assertEquals(refusal([file, other, map, { op: "rename", file: "other", to: "data" }], "ENOENT")?.errno, 2);
  const renamed = predictSteps([file, map, { op: "rename", file: "data", to: "new" }]);
  assertEquals(renamed.areas[0]!.path, "/work/new");
  const memfd: Step = { op: "memfd", file: "m", pages: 2 };
  assertEquals(refusal([memfd, { op: "mmap", area: "a", pages: 2, file: "m" }], "EBADF")?.errno, 9);
  assertThrows(() => predictSteps([file, file]), ScenarioError, "already");
});

Deno.test("chdir and chroot change what a path is", () => {
  const deep: Step = { op: "chdir", directory: "d".repeat(250), times: 16 };
  const path = predictSteps([deep, file, map]).areas[0]!.path!;
  assertEquals(path.length, 5 + 16 * 251 + 5);
  const longer: Step = { op: "chdir", directory: "e".repeat(80) };
  assertEquals(refusal([deep, longer, file, map], "ENAMETOOLONG")?.errno, 36);
  assertEquals(refusal([{ op: "chroot", directory: "jail" }], "EBADF")?.errno, 9);
});

Deno.test("mmap takes /dev/zero as anonymous memory with a file", () => {
  const zero: Step = { op: "mmap", area: "a", pages: 4, file: "/dev/zero", offset: 3 };
  const { areas, pages } = predictSteps([zero, { op: "write", area: "a", pages: "3", seed: 1 }]);
  const page = areas[0]!.start + 3;
  assertEquals([areas[0]!.path, areas[0]!.pgoff, pages.get(page)?.content], [
    "/dev/zero",
    3,
    fillContent(1, page * 4096),
  ]);
  const moved = predictSteps([zero, { op: "mremap", area: "a", pages: "all", to: "b" }]).areas[0]!;
  assertEquals(moved.pgoff, moved.start);
});

Deno.test("mount_over hides the file, or all files below its directory, and no others", () => {
  const own: Step[] = [{ op: "unshare", namespace: "mount" }, { op: "exec" }, file, map];
  const deep: Step[] = [
    { op: "chdir", directory: "d" },
    { op: "file", file: "below", pages: 1 },
    { op: "mmap", area: "b", pages: 1, file: "below" },
  ];
  const outcome = (...steps: Step[]) => refusal([...own, ...deep, ...steps], "EBADF")?.why;
  const gone: Step = { op: "munmap", area: "b", pages: "all" };
  assertEquals(outcome({ op: "mount_over", file: "data" })?.includes(`"a"`), true);
  assertEquals(
    outcome({ op: "mount_over", file: "data" }, { op: "munmap", area: "a", pages: "all" })?.includes(`"b"`),
    true,
  );
  assertEquals(outcome({ op: "mount_over", file: "below" })?.includes(`"b"`), true);
  assertEquals(outcome({ op: "mount_over", file: "data", with: "below" })?.includes(`"a"`), true);
  assertEquals(predictSteps([...own, ...deep, { op: "mount_over", file: "below" }, gone]).refusal, undefined);
  assertThrows(
    () => predictSteps([file, { op: "mount_over", file: "data" }]),
    ScenarioError,
    "unshare it first",
  );
});
