// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import { VM } from "../abi/vm_flags.ts";
import type { RecordNode } from "../image/nodes.ts";
import { RECORD_HEADER, VMA_TYPE } from "../image/structs.ts";
import { type Apply, change, flip, type ImageChange, invalid, set, setFrom } from "./image_change.ts";
import type { ImageEditor, Which } from "./image_editor.ts";

function isAnonymous(node: RecordNode): boolean {
  return node.name === "VMA" && node.fields.vma_type === VMA_TYPE.ANON;
}

function isWritable(node: RecordNode): boolean {
  return isAnonymous(node) && node.name === "VMA" && (node.fields.vm_flags & VM.WRITE) !== 0n;
}

function isSpecial(node: RecordNode): boolean {
  return node.name === "VMA" && node.fields.vma_type === VMA_TYPE.SPECIAL;
}

function isExecuted(node: RecordNode): boolean {
  return node.name === "VMA" && node.fields.vma_type === VMA_TYPE.FILE &&
    (node.fields.vm_flags & VM.EXEC) !== 0n;
}

/** The data of the vdso, which is no memory. */
function isVvar(node: RecordNode): boolean {
  return isSpecial(node) && node.name === "VMA" && (node.fields.vm_flags & VM.PFNMAP) !== 0n;
}

function isVdso(node: RecordNode): boolean {
  return isSpecial(node) && !isVvar(node);
}

/** Addresses of the first chunk that has two and more. */
function twoPages(
  image: ImageEditor,
): { at: number; word: number; vaddrs: BigUint64Array; node: RecordNode } {
  const node = image.record("PGARR", (one) => one.name === "PGARR" && one.fields.nr_pages > 1n);
  const pages = image.after(node);
  if (pages.kind !== "pages") throw new RangeError("no chunk of the image has two pages");
  return { at: pages.offset, word: pages.wordSize, vaddrs: pages.vaddrs, node };
}

/** A page of its own where there can be none. */
function pageInVvar(image: ImageEditor): void {
  const vma = image.record("VMA", isVvar);
  const chunk = image.after(vma);
  const { word } = twoPages(image);
  const end = chunk.offset + chunk.length;
  image.flipAt(chunk.offset + RECORD_HEADER.size, 1n);
  image.insert(end, new Uint8Array(word + PAGE_SIZE));
  image.write(end, image.get("VMA", "vm_start", isVvar), word);
}

/** A second vdso, right behind the first. */
function secondVdso(image: ImageEditor): void {
  const vma = image.record("VMA", isVdso);
  const end = image.after(vma);
  const copy = image.bytes.slice(vma.offset, end.offset + end.length);
  const [start, behind] = [image.get("VMA", "vm_start", isVdso), image.get("VMA", "vm_end", isVdso)];
  image.set("VMA", "vm_start", behind, isVdso);
  image.set("VMA", "vm_end", 2n * behind - start, isVdso);
  oneMoreMapping(image);
  image.insert(vma.offset, copy);
}

/** The two parts of the vdso in the lowest pages, ahead of all other mappings. */
function vdsoAtZero(image: ImageEditor): void {
  const [vvar, vdso] = [image.record("VMA", isVvar), image.record("VMA", isVdso)];
  const chunk = image.after(vdso);
  const behind = chunk.offset + chunk.length;
  const start = image.get("VMA", "vm_start", isVvar);
  for (const field of ["vm_start", "vm_end"]) {
    for (const which of [isVvar, isVdso]) {
      image.set("VMA", field, image.get("VMA", field, which) - start, which);
    }
  }
  const both = image.bytes.slice(vvar.offset, behind);
  image.replace(vvar.offset, both.length, new Uint8Array());
  image.insert(image.record("VMA").offset, both);
}

/** As on a file system without programs: mapped data that cannot become code. */
function neverExecuted(image: ImageEditor): void {
  for (let nr = 0; nr < Number(image.get("MM", "map_count")); nr++) {
    const node = image.record("VMA", nr);
    const isData = node.name === "VMA" && node.fields.vma_type === VMA_TYPE.FILE && !isExecuted(node);
    if (isData) image.flip("VMA", "vm_flags", VM.MAYEXEC, nr);
  }
}

const PATH_MAX = 4096;

/** A name of so many bytes, its NUL among them. */
function nameOf(bytes: number): Apply {
  return (image) => {
    const { offset, length } = image.record("FNAME");
    const name = new TextEncoder().encode(`${"/x".repeat(bytes).slice(0, bytes - 1)}\0`);
    image.set("FNAME", "len", bytes);
    image.replace(offset + RECORD_HEADER.size, length - RECORD_HEADER.size, name);
  };
}

const oneMoreMapping = setFrom("MM", "map_count", "map_count", 1n);

/** Flags that memory of a process never has. */
function unsupported(why: string, flags: bigint, which?: Which): ImageChange {
  return change("EOPNOTSUPP", why, flipFlags(flags, which));
}

function flipFlags(flags: bigint, which?: Which): Apply {
  return flip("VMA", "vm_flags", flags, which);
}

/** How far the heap of a changed image reaches, more than any has; all of it must be below where i386 has its stack. */
export const FAR_BREAK: number = 2 ** 28;

/** Changes of the address space: its fields, areas and their pages. */
export const MEMORY_CHANGES = {
  "MM.objref": invalid("address spaces have no number", flip("MM", "objref", 1n)),
  "MM.len": invalid("a record is longer than it is", flip("MM", "len", 0x100n)),
  "MM.map_count": change(
    "ENOMEM",
    "it has more mappings than a process may have",
    flip("MM", "map_count", 0x4000_0000n),
  ),
  "MM.map_count, more": invalid("it has not so many mappings", oneMoreMapping),
  "MM.brk": invalid("the break is no address of a program", flip("MM", "brk", 1n << 62n)),
  "MM.brk, of 64 bits": invalid(
    "the break is no address of a program",
    flip("MM", "brk", 1n << 32n),
    "a target of 32 bits",
  ),
  "MM.brk, far": change(
    "ENOMEM",
    "RLIMIT_DATA does not allow such a heap",
    setFrom("MM", "brk", "start_brk", BigInt(FAR_BREAK)),
  ),
  "MM.end_data, far": change(
    "ENOMEM",
    "RLIMIT_DATA does not allow such data",
    setFrom("MM", "end_data", "start_data", BigInt(FAR_BREAK)),
  ),
  "MM.brk, ahead": invalid("the heap ends before it begins", setFrom("MM", "brk", "start_brk", -1n)),
  "MM.end_code": invalid("the code ends before it begins", setFrom("MM", "end_code", "start_code", -1n)),
  "MM.end_data": invalid("the data end before they begin", setFrom("MM", "end_data", "start_data", -1n)),
  "MM.start_stack": invalid("the stack is at no address", flip("MM", "start_stack", 1n << 62n)),
  "MM.arg_end": invalid("arguments end before they begin", setFrom("MM", "arg_end", "arg_start", -1n)),
  "MM.env_end": invalid("the environment ends before it begins", setFrom("MM", "env_end", "env_start", -1n)),
  "VMA._padding": invalid("padding is not 0", flip("VMA", "_padding", 1n)),
  "VMA.vma_type": invalid("there is no such type", flip("VMA", "vma_type", 0x10n)),
  "VMA.parent": invalid("mappings are nobody's", set("VMA", "parent", 1n)),
  "VMA.len": invalid("a record is longer than it is", flip("VMA", "len", 0x40n)),
  "VMA.vm_end": invalid("a mapping ends where no program has memory", flip("VMA", "vm_end", 1n << 63n)),
  "VMA.vm_end, of 64 bits": invalid(
    "a mapping ends where no program has memory",
    (image) => {
      const last = Number(image.get("MM", "map_count")) - 1;
      image.flip("VMA", "vm_end", 1n << 32n, last);
      // The offset of a stack goes with addresses that 64-bit programs have: nothing may be wrong about that as well.
      image.set("VMA", "vm_pgoff", 0n, last);
    },
    "a target of 32 bits",
  ),
  "VMA.vm_end, in a page": invalid("a mapping ends in a page", setFrom("VMA", "vm_end", "vm_end", -8n)),
  "VMA empty": invalid("a mapping is empty", setFrom("VMA", "vm_end", "vm_start")),
  "VMA overlapping": invalid("mappings overlap", (image) => {
    image.set("VMA", "vm_start", image.get("VMA", "vm_start"), 1);
  }),
  "VMA.vm_flags": unsupported("a mapping is of device memory", VM.PFNMAP),
  "VMA of registers": unsupported("a mapping is of device memory", VM.IO),
  "VMA of both kinds": unsupported("a mapping is of device memory and of other", VM.MIXEDMAP),
  "VMA with attributes": unsupported("the kernel keeps attributes of device memory for it", VM.PAT),
  "VMA that never grows": unsupported("mremap(2) must not make it larger", VM.DONTEXPAND),
  "VMA of hugetlbfs": unsupported("a mapping is of huge pages", VM.HUGETLB),
  // Its pages would be protected in another way, too.
  "VMA shared": unsupported("a mapping is shared", VM.SHARED | VM.MAYSHARE, isWritable),
  "VMA not to be executed": invalid("it can be executed and may not", flipFlags(VM.MAYEXEC, isExecuted)),
  "VMA never executed": { problem: undefined, apply: neverExecuted },
  "VMA unreadable": invalid("it can be read and may not", flipFlags(VM.MAYREAD)),
  "VMA unwritable": invalid("private memory may be written", flipFlags(VM.MAYWRITE)),
  "VMA in both orders": invalid("advice contradicts other advice", flipFlags(VM.SEQ_READ | VM.RAND_READ)),
  "VMA huge and not": invalid("advice contradicts other advice", flipFlags(VM.HUGEPAGE | VM.NOHUGEPAGE)),
  "VMA promised and not": invalid("flags contradict each other", flipFlags(VM.ACCOUNT | VM.NORESERVE)),
  "VMA locked on fault alone": invalid("what is locked on fault is locked", flipFlags(VM.LOCKONFAULT)),
  "VMA growing": invalid("files do not grow down", flipFlags(VM.GROWSDOWN)),
  "VMA wiped": invalid("files are not wiped in a fork", flipFlags(VM.WIPEONFORK)),
  "VMA name within its record": invalid("a name ends before its record", (image) => {
    const { offset, payload } = image.record("FNAME");
    image.flipAt(offset + RECORD_HEADER.size + 2, BigInt(payload[2]!));
  }),
  "VMA name of another": invalid("the name of a file is somebody's", set("FNAME", "parent", 1n)),
  "VMA name that is too long": invalid("a name is longer than any path", nameOf(PATH_MAX + 1)),
  "VMA.vm_page_prot": change("ENOEXEC", "pages are not protected as here", flip("VMA", "vm_page_prot", 2n)),
  "VMA.vm_pgoff": change(
    "EOVERFLOW",
    "an offset in a file is too large",
    flip("VMA", "vm_pgoff", 1n << 51n),
    "64 bits",
  ),
  "VMA.vm_pgoff, anonymous": invalid(
    "offsets have no such number",
    flip("VMA", "vm_pgoff", 1n << 60n, isAnonymous),
  ),
  "VMA.vm_pgoff, beyond": invalid("offsets have no such number", (image) => {
    const end = 1n << (twoPages(image).word === 8 ? 52n : 32n);
    image.set("VMA", "vm_pgoff", end, isAnonymous);
  }),
  "VMA.vm_pgoff, vdso": invalid("the vdso has no offset", flip("VMA", "vm_pgoff", 1n, isSpecial)),
  "VMA growing vdso": invalid("the vdso never grows", flipFlags(VM.DONTEXPAND, isVdso)),
  "VMA locked vdso": change("EOPNOTSUPP", "the vdso cannot be locked", flipFlags(VM.LOCKED, isVdso)),
  "VMA written vdso": change("ENOEXEC", "the vdso is not this kernel's", flipFlags(VM.MAYWRITE, isVvar)),
  "VMA part of the vdso": change(
    "ENOEXEC",
    "it is a part of the vdso",
    (image) => image.set("VMA", "vm_end", image.get("VMA", "vm_end", isVvar) - PAGE_SIZE_BIG, isVvar),
  ),
  "VMA overlapping the vdso": invalid(
    "it begins in the vdso's data",
    (image) => image.set("VMA", "vm_start", image.get("VMA", "vm_start", isVdso) - PAGE_SIZE_BIG, isVdso),
  ),
  "VMA vdso at 0": change("EPERM", "the vdso lies below vm.mmap_min_addr", vdsoAtZero),
  "VMA second vdso": change("ENOEXEC", "there is one vdso", secondVdso),
  "PGARR.nr_pages": invalid("a chunk has more pages than chunks have", flip("PGARR", "nr_pages", 0x1_0000n)),
  "PGARR.nr_pages, one more": invalid(
    "a chunk has more pages than chunks have",
    set("PGARR", "nr_pages", 2049n),
  ),
  "PGARR.nr_pages, wide": invalid(
    "a chunk has more pages than chunks have",
    flip("PGARR", "nr_pages", 1n << 32n, (one) => one.name === "PGARR" && one.fields.nr_pages > 0n),
  ),
  "PGARR.parent": invalid("pages are nobody's", set("PGARR", "parent", 1n)),
  "PGARR page twice": invalid("a page comes twice", (image) => {
    const { at, word, vaddrs } = twoPages(image);
    image.flipAt(at + word, vaddrs[0]! ^ vaddrs[1]!);
  }),
  "PGARR in a page": invalid("a page begins in a page", (image) => image.flipAt(twoPages(image).at, 8n)),
  "PGARR ahead": invalid("a page lies ahead of its area", (image) => {
    const { at, vaddrs } = twoPages(image);
    image.flipAt(at, vaddrs[0]! ^ PAGE_SIZE_BIG);
  }),
  "PGARR behind": invalid("a page lies behind its area", (image) => {
    const { at, word, vaddrs, node } = twoPages(image);
    const vma = image.record(
      "VMA",
      (one) => one.offset < node.offset && (one.fields["vm_end" as never] as bigint) > vaddrs[0]!,
    );
    const last = vaddrs.length - 1;
    image.flipAt(at + word * last, vaddrs[last]! ^ (vma.fields["vm_end" as never] as bigint));
  }),
  "PGARR twice": invalid("chunks do not ascend", (image) => {
    const { node } = twoPages(image);
    const pages = image.after(node);
    const end = pages.offset + pages.length;
    image.insert(end, image.bytes.slice(node.offset, end));
  }),
  "PGARR without its addresses": change(
    "EPIPE",
    "it ends among addresses of pages",
    (image) => image.cut(twoPages(image).at + 4),
  ),
  "PGARR in the vdso": invalid("the vdso's data has pages of its own", pageInVvar),
} as const satisfies Readonly<Record<string, ImageChange>>;
