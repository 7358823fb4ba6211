// SPDX-License-Identifier: MIT

import { errnoNumber } from "../abi/errno.ts";
import type { Area } from "./state/area.ts";
import type { AddressSpace } from "./state/address_space.ts";
import { type FileModel, nameBytes } from "./state/file_model.ts";
import type { ModelState } from "./state/model_state.ts";
import { VM } from "../abi/vm_flags.ts";

/** Why the kernel code refuses: what the call returns, and where the image ends. */
export interface Refusal {
  /** Name of the errno. */
  readonly name: string;
  /** Its number. */
  readonly errno: number;
  /** The first page of the area that cannot be saved; undefined when nothing at all is written. */
  readonly atPage: number | undefined;
  /**
   * The page of that area that cannot be read, where that is the reason: the record of the area, and all chunks that
   * are full before it is come to, are in the image.
   */
  readonly page?: number;
  /** Set where the record of that area is still written: v11 looks for the file's name after it. */
  readonly afterRecord?: true;
  /** The reason, in words. */
  readonly why: string;
}

/** The refusal with an errno. */
export function refuse(name: string, atPage: number | undefined, why: string): Refusal {
  return { name, errno: errnoNumber(name), atPage, why };
}

/** PATH_MAX counts the NUL. */
function isTooLong({ path }: FileModel): boolean {
  return nameBytes(path).length > 4095;
}

/** Why the port refuses, and where. */
export function portRefusal(
  { sharedWith, hasOtherRoot, hasAioRing, space }: ModelState,
): Refusal | undefined {
  if (sharedWith !== undefined) {
    const why = sharedWith === "thread"
      ? "the target has several threads"
      : "another process shares its memory";
    return refuse("EOPNOTSUPP", undefined, why);
  }
  // cr_mm_survey: all mappings are looked at before anything is written.
  if (hasOtherRoot) return { ...otherRoot(), atPage: undefined };
  for (const area of space.areas) {
    const refused = areaRefusal(area);
    if (refused) return refuse(refused[0], undefined, `area "${area.label}" ${refused[1]}`);
  }
  // Where the ring lies is the kernel's choice: above all areas.
  if (hasAioRing) return refuse("ENOSYS", undefined, "the ring of io_setup(2) is shared memory");
  return space.areas.map((area) => unreadableRefusal(space, area)).find((refusal) => refusal);
}

/**
 * Why the code as posted refuses. It knows neither threads nor shared memory of processes, saves a file whose name
 * is gone under that name, and looks for a name after it has written the record.
 */
export function postedRefusal({ hasOtherRoot, space }: ModelState): Refusal | undefined {
  if (hasOtherRoot) return { ...otherRoot(), afterRecord: true };
  for (const area of space.areas) {
    const refused = areaRefusal({ ...area, file: undefined });
    if (refused) return refuse(refused[0], area.start, `area "${area.label}" ${refused[1]}`);
    if (area.file && isTooLong(area.file)) {
      const why = `area "${area.label}" maps a file with too long a name`;
      return { ...refuse("ENAMETOOLONG", area.start, why), afterRecord: true };
    }
    const unreadable = unreadableRefusal(space, area);
    if (unreadable) return unreadable;
  }
  return undefined;
}

function otherRoot(): Refusal {
  return refuse("EBADF", 0, "the target's own program lies outside its root directory");
}

/** The first page of an area that cannot be brought in. */
function unreadableRefusal({ pages }: AddressSpace, { label, start, end }: Area): Refusal | undefined {
  for (let page = start; page < end; page++) {
    const errno = pages.get(page)?.unreadable;
    if (errno === undefined) continue;
    return { ...refuse(errno, start, `page ${page - start} of area "${label}" cannot be read`), page };
  }
  return undefined;
}

/** Why an area cannot be saved: cr_vma_type and cr_fill_fname of the port, in the order of their checks. */
function areaRefusal({ flags, file }: Area): [errno: string, why: string] | undefined {
  if ((flags & (VM.SHARED | VM.MAYSHARE)) !== 0n) return ["ENOSYS", "is shared"];
  if ((flags & VM.HUGETLB) !== 0n) return ["ENOSYS", "is made of huge TLB pages"];
  if ((flags & (VM.IO | VM.PFNMAP | VM.MIXEDMAP)) !== 0n) return ["ENOSYS", "is device memory"];
  if (file?.kind === "memfd") return ["EBADF", "maps a file that is in no directory"];
  if (file?.unlinked) return ["ENOENT", "maps a file without a name"];
  if (file?.hidden) return ["EBADF", "maps a file that something is mounted over"];
  if (file && isTooLong(file)) return ["ENAMETOOLONG", "maps a file with too long a name"];
  return undefined;
}
