// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { integer, oneOf, optional } from "../../schema.ts";
import { FILE_NAME, PAGE_COUNT, PAGE_SET, SEED } from "../fields.ts";
import { FileModel } from "../state/file_model.ts";
import { MAP_FLAGS, PROT } from "../state/mmap_flags.ts";
import { fillContent } from "../state/page_content.ts";
import { addressOf } from "../state/page_set.ts";
import type { OpArgument } from "../target_op.ts";
import { defineStep } from "./define_step.ts";
import { defaultSeed, SLOTS, type StepContext } from "./step_context.ts";

const O_RDONLY = 0n;
const O_RDWR = 2n;
const O_RDWR_CREAT = 0x42n;
const MAX_PATH_LENGTH = 4095;

/** Opens a file (a memfd is open already) and gives its descriptor. The caller closes it. */
export function openFile(context: StepContext, file: FileModel, readOnly = false): OpArgument {
  const { builder } = context;
  const fd = { slot: SLOTS.file };
  if (file.kind === "memfd") {
    builder.syscall("dup", [{ slot: memfdSlot(context, file) }], { keep: SLOTS.file });
  } else {
    if (file.unlinked) throw new RangeError("the file has no name any more by which it could be opened");
    const path = builder.scratchString(0, usablePath(context, file.path));
    builder.syscall("open", [path, readOnly ? O_RDONLY : O_RDWR, 0n], { keep: SLOTS.file });
  }
  return fd;
}

/**
 * A path that the kernel takes: one that is too long as a whole is shortened if it lies in the working
 * directory.
 */
function usablePath({ state }: StepContext, path: string): string {
  const prefix = `${state.workingDirectory}/`;
  return path.length > MAX_PATH_LENGTH && path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

function memfdSlot({ state }: StepContext, file: FileModel): number {
  const memfds = [...state.files.values()].filter(({ kind }) => kind === "memfd");
  return SLOTS.free + memfds.indexOf(file);
}

/** Fills pages of an open file; gives the page at which they were mapped, from which the contents follow. */
function fillThroughMap(
  context: StepContext,
  { fd, offset, pages, seed }: { fd: OpArgument; offset: number; pages: number; seed: number },
): number {
  const { state, builder } = context;
  const start = state.place(Math.max(pages, 1));
  if (pages === 0) return start;
  const prot = PROT.r | PROT.w;
  builder.mmap({ page: start, pages, prot, flags: MAP_FLAGS.shared, fd, offset });
  builder.emit({ op: "fill", address: addressOf(start), pages, seed, stride: 1 });
  builder.succeed("munmap", [addressOf(start), addressOf(pages)]);
  return start;
}

/** The steps of this family. */
export const FILE_STEPS = [
  defineStep({
    op: "file",
    about: "Makes a file in the working directory and fills it through a shared mapping.",
    fields: { file: FILE_NAME, pages: PAGE_COUNT, seed: optional(SEED) },
    apply(step, context) {
      const { state, builder, index } = context;
      const pages = state.pageCount(step.pages);
      const seed = step.seed ?? defaultSeed(index);
      const path = `${state.workingDirectory}/${step.file}`;
      state.requireNoFile(step.file);
      const name = builder.scratchString(0, usablePath(context, path));
      builder.syscall("open", [name, O_RDWR_CREAT, 0o644n], { keep: SLOTS.file });
      const fd = { slot: SLOTS.file };
      builder.succeed("ftruncate", [fd, addressOf(pages)]);
      const start = fillThroughMap(context, { fd, offset: 0, pages, seed });
      builder.succeed("close", [fd]);
      state.files.set(step.file, new FileModel({ path, pages, seed, fillAddress: start * PAGE_SIZE }));
    },
  }),
  defineStep({
    op: "write_file",
    about: "Writes to the file itself: pages of the page cache change, no mapping's own ones do.",
    fields: { file: FILE_NAME, pages: PAGE_SET, seed: optional(SEED) },
    apply(step, context) {
      const { state, builder, index } = context;
      const file = state.file(step.file);
      const seed = step.seed ?? defaultSeed(index);
      const fd = openFile(context, file);
      for (const { first, count } of state.fileRuns(file, step.pages)) {
        const start = fillThroughMap(context, { fd, offset: first, pages: count, seed });
        for (let i = 0; i < count; i++) file.store(first + i, fillContent(seed, (start + i) * PAGE_SIZE));
      }
      builder.succeed("close", [fd]);
    },
  }),
  defineStep({
    op: "memfd",
    about: "memfd_create(2): a file without a place in any directory. Its descriptor stays open.",
    fields: { file: FILE_NAME, pages: PAGE_COUNT },
    apply(step, context) {
      const { state, builder } = context;
      state.requireNoFile(step.file);
      const pages = state.pageCount(step.pages);
      const file = new FileModel({
        kind: "memfd",
        path: `/memfd:${step.file}`,
        pages,
        seed: 0,
        fillAddress: 0,
      });
      state.files.set(step.file, file);
      const slot = memfdSlot(context, file);
      builder.syscall("memfd_create", [builder.scratchString(0, step.file), 0n], { keep: slot });
      builder.succeed("ftruncate", [{ slot }, addressOf(pages)]);
    },
    since: () => [{ release: "3.17", what: "by memfd_create" }],
  }),
  defineStep({
    op: "truncate",
    about: "ftruncate(2): pages past the new end are gone from private mappings, copied ones too.",
    fields: { file: FILE_NAME, pages: PAGE_COUNT },
    apply(step, context) {
      const { state, builder } = context;
      const file = state.file(step.file);
      const pages = state.pageCount(step.pages);
      const fd = openFile(context, file);
      builder.succeed("ftruncate", [fd, addressOf(pages)]);
      builder.succeed("close", [fd]);
      file.truncate(pages);
      for (const area of state.space.areas) {
        if (area.file !== file) continue;
        const firstGone = area.start + Math.max(0, pages - area.pgoff);
        if (firstGone < area.end) state.space.dropPages(firstGone, area.end);
      }
    },
  }),
  defineStep({
    op: "unlink",
    about: "unlink(2): mappings have no name that leads to the file, even if a hard link does.",
    fields: { file: FILE_NAME },
    apply(step, { state, builder }) {
      const file = state.namedFile(step.file);
      builder.succeed("unlink", [builder.scratchString(0, file.path)]);
      file.unlink();
    },
  }),
  defineStep({
    op: "rename",
    about: "rename(2): a mapping shows the new name; a file that had that name before has none from then on.",
    fields: { file: FILE_NAME, to: FILE_NAME },
    apply(step, { state, builder }) {
      const file = state.namedFile(step.file);
      const path = `${state.workingDirectory}/${step.to}`;
      const from = builder.scratchString(0, file.path);
      const to = builder.scratchString(8192, path);
      builder.succeed("rename", [from, to]);
      state.files.get(step.to)?.unlink();
      file.rename(path);
      state.files.delete(step.file);
      state.files.set(step.to, file);
    },
  }),
  defineStep({
    op: "link",
    about: "link(2): a second name for the file. Mappings show the name by which the file was opened.",
    fields: { file: FILE_NAME, to: FILE_NAME },
    apply(step, { state, builder }) {
      const file = state.namedFile(step.file);
      state.requireNoFile(step.to);
      const from = builder.scratchString(0, file.path);
      const to = builder.scratchString(8192, `${state.workingDirectory}/${step.to}`);
      builder.succeed("link", [from, to]);
      state.links.add(step.to);
    },
  }),
  defineStep({
    op: "chdir",
    about: "Makes a directory and goes into it, as often as asked.",
    fields: { directory: FILE_NAME, times: optional(integer(1, 100)) },
    apply(step, { state, builder }) {
      for (let i = 0; i < (step.times ?? 1); i++) {
        const name = builder.scratchString(0, step.directory);
        builder.succeed("mkdir", [name, 0o755n]);
        builder.succeed("chdir", [name]);
        state.workingDirectory += `/${step.directory}`;
      }
    },
  }),
  defineStep({
    op: "mount_over",
    about: "mount(2): hides a file behind another one, or its directory behind an empty tmpfs.",
    fields: { file: FILE_NAME, with: optional(FILE_NAME, "The other file.") },
    apply(step, { state, builder }) {
      const MS_BIND = 4096n;
      if (!state.hasOwnMounts) {
        throw new SyntaxError("a mount needs a mount namespace of the target's own: unshare it first");
      }
      const { path } = state.file(step.file);
      if (step.with === undefined) {
        const type = builder.scratchString(0, "tmpfs");
        const directory = path.slice(0, path.lastIndexOf("/"));
        builder.succeed("mount", [type, builder.scratchString(8192, directory), type, 0n, 0n]);
        for (const file of state.files.values()) file.hidden ||= file.path.startsWith(`${directory}/`);
      } else {
        const other = builder.scratchString(0, state.file(step.with).path);
        builder.succeed("mount", [other, builder.scratchString(8192, path), 0n, MS_BIND, 0n]);
        state.file(step.file).hidden = true;
      }
    },
  }),
  defineStep({
    op: "chroot",
    about: "chroot(2) to a new directory of the working directory: the target's own program is outside " +
      "from then on. With `bind` the old root is mounted there, so that the target can start its " +
      "program anew from within.",
    fields: { directory: FILE_NAME, bind: optional(oneOf(["/"])) },
    apply(step, { state, builder }) {
      const MS_BIND = 4096n;
      const name = builder.scratchString(0, step.directory);
      builder.succeed("mkdir", [name, 0o755n]);
      if (step.bind === "/") {
        if (!state.hasOwnMounts) {
          throw new SyntaxError(`"bind" needs a mount namespace of the target's own: unshare it first`);
        }
        builder.succeed("mount", [builder.scratchString(8192, "/"), name, 0n, MS_BIND, 0n]);
      }
      builder.succeed("chroot", [name]);
      state.hasOtherRoot = true;
      state.root += `${state.workingDirectory}/${step.directory}`;
    },
  }),
] as const;
