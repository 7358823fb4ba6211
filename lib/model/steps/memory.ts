// SPDX-License-Identifier: MIT
import { hex } from "../../bytes.ts";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { BlockHash } from "../../abi/block_hash.ts";
import {
  contentBytes,
  describeContent,
  type PageContent,
  withStore,
  ZERO_CONTENT,
} from "../state/page_content.ts";
import { addressOf, addressRange, type AreaRun } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import { AREA_PAGES, definePagesStep, defineStep, sinceWords, type StepContext } from "./define_step.ts";
import { either, integer, keysOf, oneOf, optional, text, wordSet } from "../../schema.ts";
import { FILE_NAME, NAME, NUMBER, PAGE_COUNT, SEED } from "../fields.ts";
import { DEVICES } from "../state/file_model.ts";
import {
  flagBits,
  MAP_ANONYMOUS,
  MAP_FLAGS,
  protBits,
  PROTECTION_KEY_SHIFT,
  PROTECTION_KEYS,
  PROTECTIONS,
  vmFlagsAfterMprotect,
  vmFlagsOfMmap,
  vmProt,
} from "../state/vm_flag_rules.ts";
import type { OpArgument } from "../target_op.ts";
import { withFile } from "./file.ts";
import { fillRuns, populate, requireAccess, requireUnsealed } from "./pages.ts";

/**
 * Has the target check every page that the model knows and that it can read: what a checkpoint must leave as
 * it was. Pages that it cannot read, whether it may or not, or that shared memory holds, are left out.
 */
export function checkAllPages(context: Pick<StepContext, "state" | "builder">): void {
  const { state } = context;
  const { space } = state;
  const isChecked = (page: number): boolean => {
    const area = space.areaAt(page);
    return area !== undefined && (area.flags & VM.READ) !== 0n && state.mayUse(area) &&
      space.pages.get(page)?.unreadable === undefined;
  };
  const pages = [...space.pages.keys()].filter(isChecked).sort((a, b) => a - b);
  for (let at = 0; at < pages.length;) {
    const first = pages[at]!;
    const areaEnd = space.areaAt(first)!.end;
    let end = first;
    for (; pages[at] === end && end < areaEnd; at++) end++;
    checkPages(context, first, end);
  }
}

function checkPages(context: Pick<StepContext, "state" | "builder">, start: number, end: number): void {
  const { state: { space }, builder } = context;
  for (let page = start; page < end;) {
    const seed = fillSeed(space.contentAt(page), page);
    let stop = page + 1;
    while (stop < end && fillSeed(space.contentAt(stop), stop) === seed) stop++;
    const address = addressOf(page);
    const pages = stop - page;
    const where = `${pages} page(s) at ${hex(address)}`;
    if (seed !== undefined) {
      builder.emitWithResult({ op: "check", address, pages, seed, stride: 1 }, `check of ${where}`, 0n);
    } else {
      const op = { op: "hash", address, length: pages * PAGE_SIZE } as const;
      builder.emitWithResult(op, `hash of ${where}`, hashOfPages(context, page, stop));
    }
    for (; page < stop; page++) space.readPage(page);
  }
}

/** What the target's hash of whole pages must give: the lower 63 bits of the digest. */
function hashOfPages({ state }: Pick<StepContext, "state">, start: number, end: number): bigint {
  const hash = new BlockHash();
  for (let page = start; page < end; page++) hash.update(contentBytes(state.space.contentAt(page)));
  return BigInt.asUintN(63, hash.digest());
}

/** The seed of a page that is nothing but the fill of its own address. */
function fillSeed({ base, stores }: PageContent, page: number): number | undefined {
  const isOwnFill = base.kind === "fill" && base.address === page * PAGE_SIZE && stores.length === 0;
  return isOwnFill ? base.seed : undefined;
}

const NO_FILE = 0xffffffffffffffffn;

/** mmap's flags, and two words more: the file is opened for reading, the address is below 4 GiB. */
const MMAP_WORDS = { ...MAP_FLAGS, readonly_file: 0, low: 0 };

/** What mprotect(2) makes of areas. With a key of its own the areas get that too. */
function protect(context: StepContext, { first, end }: AreaRun, prot: number, key?: bigint): void {
  const { space, target: { series } } = context.state;
  const before = space.areasIn(first, end);
  space.change(first, end, (area) => {
    const isUntouched = !area.hasAnonVma && (!area.file || area.file.isZeroDevice);
    const flags = vmFlagsAfterMprotect(area.flags, prot, { series, isUntouched });
    return {
      ...area,
      flags: key === undefined ? flags : flags & ~PROTECTION_KEYS | key << PROTECTION_KEY_SHIFT,
    };
  });
  for (const { start, end: areaEnd, flags } of before) {
    // mprotect_fixup (mm/mprotect.c): locked memory that becomes writable gets its own pages at once.
    const lock = VM.WRITE | VM.SHARED | VM.LOCKED | VM.LOCKONFAULT;
    if ((flags & lock) !== VM.LOCKED || (vmProt(prot) & VM.WRITE) === 0n) continue;
    const from = Math.max(start, first);
    populate(context, from, Math.min(areaEnd, end) - from);
  }
}

/** Mapping, protecting and using memory. */
export const MEMORY_STEPS = [
  defineStep({
    op: "mmap",
    about: "mmap(2).",
    fields: {
      area: NAME,
      pages: PAGE_COUNT,
      prot: optional(oneOf(PROTECTIONS)),
      flags: optional(wordSet(keysOf(MMAP_WORDS))),
      file: optional(
        either(
          `a plain file name, or one of ${keysOf(DEVICES).join(", ")}`,
          oneOf(keysOf(DEVICES)),
          FILE_NAME,
        ),
        `A file of a "file" or "memfd" step, or a device.`,
      ),
      offset: optional(integer(0, 2 ** 31), "Pages of the file that are left out."),
      after: optional(NAME, "Maps right behind that area instead of with a gap."),
      align: optional(integer(1, 2 ** 20), "Aligns the start to so many pages."),
      gap: optional(integer(0, 2 ** 20), "Leaves so many pages free below."),
      at: optional(
        text(/^0x[\da-f]{1,9}000$/, `the address of a page below 2^48, such as "0x10000000"`),
        "Maps at this address.",
      ),
    },
    apply(step, context) {
      const { state, builder } = context;
      const pages = state.areaPages(step.pages);
      const words = step.flags ?? [];
      const prot = protBits(step.prot ?? "rw");
      const start = state.place(pages, step);
      let flags = flagBits(words, MMAP_WORDS);
      if (!words.includes("shared") && !words.includes("droppable")) flags |= MAP_FLAGS.private;
      const readOnlyFile = words.includes("readonly_file");
      const file = step.file === undefined ? undefined : state.file(step.file);
      if (!file) flags |= MAP_ANONYMOUS;
      const offset = step.offset ?? 0;
      const map = (fd: OpArgument): void => builder.mmap({ page: start, pages, prot, flags, fd, offset });
      if (file) withFile(context, { file, to: readOnlyFile ? "read" : "write" }, map);
      else map(NO_FILE);
      const { series } = state.target;
      const vmFlags = vmFlagsOfMmap({ prot, flags: words, readOnlyFile, file: file?.kind, series }) |
        state.defaultFlags;
      state.nameArea(step.area, { start, pages });
      state.space.map({
        label: step.area,
        start,
        end: start + pages,
        flags: vmFlags,
        pgoff: file ? offset : start,
        file,
      });
      const locks = (vmFlags & (VM.LOCKED | VM.LOCKONFAULT)) === VM.LOCKED;
      if (words.includes("populate") || locks) populate(context, start, pages);
    },
    since: ({ flags }) => sinceWords({ hugetlb: "2.6.32", droppable: "6.11" }, flags),
  }),
  definePagesStep({
    op: "munmap",
    about: "munmap(2).",
    apply(run, _step, { state, builder }) {
      requireUnsealed(state.space, run);
      builder.succeed("munmap", addressRange(run));
      state.space.unmap(run.first, run.end);
    },
  }),
  definePagesStep({
    op: "mseal",
    about: "mseal(2): mapping and protection cannot be changed from then on.",
    apply(run, _step, { state, builder }) {
      builder.succeed("mseal", [...addressRange(run), 0n]);
      state.space.change(run.first, run.end, (area) => ({ ...area, flags: area.flags | VM.SEALED }));
    },
    since: () => [{ release: "6.10", what: "by mseal" }],
  }),
  definePagesStep({
    op: "mprotect",
    about: "mprotect(2).",
    fields: { prot: oneOf(PROTECTIONS) },
    apply(run, step, context) {
      const prot = protBits(step.prot);
      requireUnsealed(context.state.space, run);
      context.builder.succeed("mprotect", [...addressRange(run), BigInt(prot)]);
      protect(context, run, prot);
    },
  }),
  definePagesStep({
    op: "pkey_protect",
    about: "pkey_alloc(2), and pkey_mprotect(2) with the new key, which restricts nothing by itself.",
    fields: {
      prot: oneOf(PROTECTIONS),
      rights: optional(oneOf(["none"]), "The target may not use memory with that key from then on."),
    },
    apply(run, step, context) {
      const { state, builder } = context;
      const key = BigInt(++state.protectionKeys);
      const PKEY_DISABLE_ACCESS = 1n;
      const rights = step.rights === "none" ? PKEY_DISABLE_ACCESS : 0n;
      builder.syscall("pkey_alloc", [0n, rights], { expected: key });
      if (step.rights === "none") state.forbiddenKeys.add(key);
      const prot = protBits(step.prot);
      builder.succeed("pkey_mprotect", [...addressRange(run), BigInt(prot), key]);
      protect(context, run, prot, key);
    },
    since: () => [{ release: "4.9", what: "by pkey_alloc" }],
  }),
  defineStep({
    op: "write",
    about: "Stores the generator's words to whole pages.",
    fields: { ...AREA_PAGES, seed: optional(SEED) },
    apply(step, context) {
      const runs = context.state.runs(step.area, step.pages);
      for (const run of runs) requireAccess(context, run, VM.WRITE, "write");
      fillRuns(context, runs, step.seed, "written");
    },
  }),
  definePagesStep({
    op: "read",
    about: "Loads a byte of each page.",
    apply(run, _step, context) {
      requireAccess(context, run, VM.READ, "read");
      context.builder.emit({ op: "read", address: addressOf(run.first), pages: run.count, stride: 1 });
      for (let page = run.first; page < run.end; page++) context.state.space.readPage(page);
    },
  }),
  definePagesStep({
    op: "zero",
    about: "Stores zeros to whole pages: they are dumped all the same, being written.",
    apply(run, _step, context) {
      const { state, builder, index } = context;
      requireAccess(context, run, VM.WRITE, "write");
      builder.emit({ op: "zero", address: addressOf(run.first), length: run.count * PAGE_SIZE });
      for (let page = run.first; page < run.end; page++) {
        state.space.setPage(page, ZERO_CONTENT, `zeros written by step ${index + 1}`);
      }
    },
  }),
  defineStep({
    op: "poke",
    about: "Stores one value of 1, 2, 4 or 8 bytes.",
    fields: {
      area: NAME,
      page: PAGE_COUNT,
      offset: optional(integer(0, PAGE_SIZE - 1)),
      size: optional(oneOf([1, 2, 4, 8])),
      value: NUMBER,
    },
    apply(step, context) {
      const { state, builder, index } = context;
      const page = state.range(step.area).start + state.pageCount(step.page);
      requireAccess(context, { first: page, count: 1 }, VM.WRITE, "write");
      const offset = step.offset ?? 0;
      const size = step.size ?? 1;
      if (offset + size > PAGE_SIZE) {
        throw new RangeError(`a poke must stay within its page: found ${size} bytes at ${offset}`);
      }
      if (step.value < -(2 ** (8 * size - 1)) || step.value >= 2 ** (8 * size)) {
        throw new RangeError(`a value of ${size} bytes: found ${step.value}`);
      }
      const value = BigInt.asUintN(64, BigInt(step.value));
      const bytes = new Uint8Array(BigUint64Array.of(value).buffer, 0, size);
      builder.emit({ op: "poke", address: addressOf(page) + BigInt(offset), size, value });
      const content = withStore(state.space.contentAt(page), offset, bytes);
      state.space.setPage(page, content, `stored to by step ${index + 1}: ${describeContent(content)}`);
    },
  }),
  definePagesStep({
    op: "check",
    about: "The target looks itself whether pages still hold what the model says.",
    apply: ({ first, end }, _step, context) => checkPages(context, first, end),
  }),
] as const;
