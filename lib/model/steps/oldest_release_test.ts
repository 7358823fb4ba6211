// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { oldestRelease, type Step } from "./steps.ts";

function oldest(...steps: Step[]): string | undefined {
  return oldestRelease(steps, "i386")?.release;
}

const AREA = { area: "a", pages: "all" } as const;

Deno.test("oldestRelease() takes the youngest thing that any step needs", () => {
  assertEquals(
    oldest({ op: "mmap", area: "a", pages: 2 }, { op: "madvise", ...AREA, advice: "dontneed" }),
    undefined,
  );
  assertEquals(
    oldest(
      { op: "mmap", area: "a", pages: 2, flags: ["noreserve", "hugetlb"] },
      { op: "in_child", steps: [{ op: "madvise", ...AREA, advice: "dontdump" }] },
      { op: "madvise", ...AREA, advice: "mergeable" },
    ),
    "3.4",
  );
});

Deno.test("oldestRelease() knows each word that is younger than Linux 2.6.27", () => {
  assertEquals(oldest({ op: "mlock", ...AREA, flags: ["onfault"] }), "4.4");
  assertEquals(oldest({ op: "mlockall", flags: ["current"] }), undefined);
  assertEquals(oldest({ op: "mremap", ...AREA, flags: ["dontunmap"] }), "5.7");
  assertEquals(oldest({ op: "syscall", name: "memfd_create" }), "3.17");
  assertEquals(oldest({ op: "memfd", file: "f", pages: 1 }), "3.17");
  assertEquals(oldest({ op: "uffd", ...AREA, mode: "missing" }), "4.3");
  assertEquals(oldest({ op: "uffd", ...AREA, mode: "wp" }), "5.7");
  assertEquals(oldest({ op: "unshare", namespace: "pid" }), "3.8");
  assertEquals(oldest({ op: "unshare", namespace: "uts" }), undefined);
  assertEquals(oldest({ op: "grow_down", area: "a", pages: 1, as: "b" }), "5.0");
  assertEquals(oldest({ op: "stack", area: "a", pages: 1 }), "5.0");
  assertEquals(oldest({ op: "munmap_vvar" }), "3.16");
  assertEquals(oldest({ op: "shm", area: "a", pages: 1 }), "5.1");
  assertEquals(oldestRelease([{ op: "shm", area: "a", pages: 1 }], "x86_64"), undefined);
});
