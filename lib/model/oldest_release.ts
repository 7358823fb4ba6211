// SPDX-License-Identifier: MIT

import { isOlder } from "../abi/release.ts";
import type { TargetArch } from "../abi/arch.ts";
import type { Scenario } from "./scenario.ts";
import type { Step } from "./steps/steps.ts";

/** A release of Linux, and what it brought. */
interface Since {
  readonly release: string;
  readonly what: string;
}

/** What is younger than Linux 2.6.27, by the words of the steps: releases as madvise(2), mmap(2) ... have them. */
const ADVICE: Readonly<Record<string, string>> = {
  hwpoison: "2.6.32",
  mergeable: "2.6.32",
  unmergeable: "2.6.32",
  hugepage: "2.6.38",
  nohugepage: "2.6.38",
  dontdump: "3.4",
  dodump: "3.4",
  free: "4.5",
  wipeonfork: "4.14",
  keeponfork: "4.14",
  cold: "5.4",
  pageout: "5.4",
  populate_read: "5.14",
  populate_write: "5.14",
};

/** Flags of mmap, mlock, mlockall and mremap. */
const FLAGS: Readonly<Record<string, string>> = { hugetlb: "2.6.32", onfault: "4.4", dontunmap: "5.7" };

const SYSCALLS: Readonly<Record<string, string>> = {
  process_vm_readv: "3.2",
  memfd_create: "3.17",
  userfaultfd: "4.3",
  mlock2: "4.4",
  pidfd_open: "5.3",
  pidfd_getfd: "5.6",
  process_madvise: "5.10",
};

/** Before, the page fault handler refused user accesses more than 64 KiB below the stack pointer. */
const FAR_BELOW_SP: Since = {
  release: "5.0",
  what: "an area that grows by an access far below the stack pointer",
};

/**
 * The oldest release of Linux that can carry a scenario's steps out, and the youngest thing that they need of it;
 * undefined where 2.6.27 will do.
 */
export function oldestRelease({ steps = [] }: Scenario, target: TargetArch): Since | undefined {
  let oldest: Since | undefined;
  for (const since of steps.flatMap((step) => needsOf(step, target))) {
    if (oldest === undefined || isOlder(oldest.release, since.release)) oldest = since;
  }
  return oldest;
}

function needsOf(step: Step, target: TargetArch): Since[] {
  const table = (releases: Readonly<Record<string, string>>, words: readonly string[]) =>
    words.flatMap((word) =>
      word in releases ? [{ release: releases[word]!, what: `${step.op} ${word}` }] : []
    );
  switch (step.op) {
    case "madvise":
      return table(ADVICE, [step.advice]);
    case "mmap":
    case "mlock":
    case "mlockall":
    case "mremap":
      return table(FLAGS, step.flags ?? []);
    case "syscall":
      return table(SYSCALLS, [step.name]);
    case "in_child":
      return step.steps.flatMap((inner) => needsOf(inner, target));
    case "memfd":
      return [{ release: SYSCALLS.memfd_create!, what: "memfd_create" }];
    case "uffd":
      return step.mode === "wp"
        ? [{ release: "5.7", what: "userfaultfd with write protection" }]
        : [{ release: SYSCALLS.userfaultfd!, what: "userfaultfd" }];
    case "shm":
      return target === "i386" ? [{ release: "5.1", what: "shmget as a system call of its own" }] : [];
    case "unshare":
      return step.namespace === "pid" ? [{ release: "3.8", what: "unshare of the pid namespace" }] : [];
    case "munmap_vvar":
      return [{ release: "3.16", what: "a vvar mapping" }];
    case "grow_down":
    case "stack":
      return [FAR_BELOW_SP];
    default:
      return [];
  }
}
