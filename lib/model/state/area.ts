// SPDX-License-Identifier: MIT
import type { FileModel } from "./file_model.ts";
import type { PageContent } from "./page_content.ts";

/** One stretch of an address space with the same attributes; page numbers, not bytes. `end` is exclusive. */
export interface Area {
  readonly label: string;
  readonly start: number;
  readonly end: number;
  readonly flags: bigint;
  readonly pgoff: number;
  readonly file?: FileModel | undefined;
  /** The name that anonymous memory was given (CONFIG_ANON_VMA_NAME): areas of different names do not merge. */
  readonly anonName?: string | undefined;
  /** Whether an anonymous page was ever made in it (vma->anon_vma): mremap keeps vm_pgoff only then. */
  readonly hasAnonVma?: boolean;
  /** Set in a forked child whose parent had made it: such an area does not merge with one that has no page. */
  readonly isForked?: boolean;
  /**
   * Set where it is no VMA with what lies right below, though their attributes are the same: brk(2) made it right
   * behind .bss, or only one had an anonymous page when they came to be alike. Until attributes change.
   */
  readonly isApart?: boolean;
}

/** Why a page is, or is not, in an image. */
export interface AnonPage {
  readonly content: PageContent;
  readonly why: string;
  /** Set when the page was written out to swap and not touched since. */
  readonly swapped?: boolean;
  /** Set while another process has the same page, after fork. */
  readonly shared?: boolean;
  /** Set once the page may be discarded (MADV_FREE); `dirty` when it was written since. */
  readonly lazy?: "clean" | "dirty";
  /** Set once the page was written out to a device that takes its time: what becomes of it again cannot be told. */
  readonly mayBeUnderWriteback?: boolean;
  /** Set once the page cannot be read any more: what the kernel says when it is to be brought in. */
  readonly unreadable?: UnreadableErrno;
}

/** A swap device that fails, or memory that does (vm_fault_to_errno, include/linux/mm.h). */
export type UnreadableErrno = "EFAULT" | "EHWPOISON";

/** Whether the kernel keeps two areas, the second right behind the first, as one VMA (is_mergeable_vma, mm/mmap.c). */
export function isOneVma(a: Area, b: Area): boolean {
  return a.end === b.start && !b.isApart && a.flags === b.flags && a.file === b.file &&
    a.anonName === b.anonName && a.pgoff + a.end - a.start === b.pgoff;
}
