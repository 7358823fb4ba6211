// SPDX-License-Identifier: MIT

import { integer, oneOf, optional, wordSet } from "../../schema.ts";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { FILE_NAME, PAGE_COUNT, PAGE_SET, SEED } from "../fields.ts";
import { FileModel } from "../state/file_model.ts";
import { MAP_FLAGS, PROT } from "../state/vm_flag_rules.ts";
import { addressOf, type PageRun } from "../state/page_set.ts";
import type { OpArgument } from "../target_op.ts";
import { defaultSeed, defineStep, SLOTS, type StepContext } from "./define_step.ts";

const OPEN = { read: [0n, 0n], write: [2n, 0n], create: [0x42n, 0o644n] } as const;
/** A program of 32 bits needs O_LARGEFILE, and calls of another name, for a file of more. */
const MAX_SMALL_PAGES = 2 ** 31 / PAGE_SIZE - 1;
const O_LARGEFILE = 0x8000n;
const [AF_INET, SOCK_STREAM] = [2n, 1n];
const MAX_PATH_LENGTH = 4095;
const MS_BIND = 4096n;
/** Where the second path of a call lies in the scratch memory: behind the longest first one. */
const SECOND_PATH = 8192;

/** Opens a file (a memfd is open already), works with its descriptor, and closes it. */
export function withFile(
  context: StepContext,
  { file, to, pages = file.pages }: {
    readonly file: FileModel;
    readonly to: keyof typeof OPEN;
    /** How large it is, or is to be. */
    readonly pages?: number;
  },
  use: (fd: OpArgument) => void,
): void {
  const { builder } = context;
  const fd = { slot: SLOTS.file };
  if (file.kind === "memfd") {
    builder.syscall("dup", [{ slot: memfdSlot(context, file) }], { keep: SLOTS.file });
  } else if (file.kind === "tcp") {
    builder.syscall("socket", [AF_INET, SOCK_STREAM, 0n], { keep: SLOTS.file });
  } else {
    if (file.unlinked) throw new RangeError("the file has no name any more by which it could be opened");
    const path = builder.scratchString(0, usablePath(context, file.path));
    const [flags, mode] = OPEN[to];
    const large = isLarge(pages) ? O_LARGEFILE : 0n;
    builder.syscall("open", [path, flags | large, mode], { keep: SLOTS.file });
  }
  use(fd);
  builder.succeed("close", [fd]);
}

function isLarge(pages: number): boolean {
  return Number.isFinite(pages) && pages > MAX_SMALL_PAGES;
}

/** A path that the kernel takes: one that is too long as a whole is shortened if it lies in the working directory. */
function usablePath({ state }: StepContext, path: string): string {
  const prefix = `${state.workingDirectory}/`;
  return path.length > MAX_PATH_LENGTH && path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

function memfdSlot({ state }: StepContext, file: FileModel): number {
  return SLOTS.free + [...state.files.values()].filter(({ kind }) => kind === "memfd").indexOf(file);
}

/** Fills pages of an open file through a shared mapping, from whose address the contents follow. */
function fillThroughMap(
  { state, builder }: StepContext,
  { fd, file, run, seed }: { fd: OpArgument; file: FileModel; run: PageRun; seed: number },
): void {
  const { first: offset, count: pages } = run;
  const start = state.place(Math.max(pages, 1));
  if (pages === 0) return;
  builder.mmap({ page: start, pages, prot: PROT.r | PROT.w, flags: MAP_FLAGS.shared, fd, offset });
  builder.emit({ op: "fill", address: addressOf(start), pages, seed, stride: 1 });
  builder.succeed("munmap", [addressOf(start), addressOf(pages)]);
  file.fill(run, { seed, start });
}

function callWithPaths({ builder }: StepContext, name: "rename" | "link", paths: [string, string]): void {
  builder.succeed(name, [builder.scratchString(0, paths[0]), builder.scratchString(SECOND_PATH, paths[1])]);
}

function makeDirectory({ builder }: StepContext, name: string): OpArgument {
  const argument = builder.scratchString(0, name);
  builder.succeed("mkdir", [argument, 0o755n]);
  return argument;
}

function requireOwnMounts({ state }: StepContext, what: string): void {
  if (state.hasOwnMounts) return;
  throw new SyntaxError(`${what} needs a mount namespace of the target's own: unshare it first`);
}

function mountTmpfs({ builder }: StepContext, directory: string): void {
  const type = builder.scratchString(0, "tmpfs");
  builder.succeed("mount", [type, builder.scratchString(SECOND_PATH, directory), type, 0n, 0n]);
}

/** The steps of this family. */
export const FILE_STEPS = [
  defineStep({
    op: "file",
    about: "Makes a file in the working directory and fills it through a shared mapping.",
    fields: { file: FILE_NAME, pages: PAGE_COUNT, seed: optional(SEED) },
    apply(step, context) {
      const { state, builder, index } = context;
      const count = state.pageCount(step.pages);
      state.requireNoFile(step.file);
      const file = new FileModel("regular", `${state.workingDirectory}/${step.file}`, count);
      withFile(context, { file, to: "create" }, (fd) => {
        builder.succeed("ftruncate", [fd, addressOf(count)]);
        const run = { first: 0, count };
        fillThroughMap(context, { fd, file, run, seed: step.seed ?? defaultSeed(index) });
      });
      state.files.set(step.file, file);
    },
  }),
  defineStep({
    op: "write_file",
    about: "Writes to the file itself: pages of the page cache change, no mapping's own ones do.",
    fields: { file: FILE_NAME, pages: PAGE_SET, seed: optional(SEED) },
    apply(step, context) {
      const { state, index } = context;
      const file = state.file(step.file);
      const seed = step.seed ?? defaultSeed(index);
      withFile(context, { file, to: "write" }, (fd) => {
        for (const run of state.fileRuns(file, step.pages)) fillThroughMap(context, { fd, file, run, seed });
      });
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
      const file = new FileModel("memfd", `/memfd:${step.file}`, pages);
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
    fields: {
      file: FILE_NAME,
      pages: PAGE_COUNT,
      bytes: optional(integer(1, PAGE_SIZE - 1), "The file ends so many bytes behind these pages."),
    },
    apply(step, context) {
      const { state, builder } = context;
      const file = state.file(step.file);
      const whole = state.pageCount(step.pages);
      const size = addressOf(whole) + BigInt(step.bytes ?? 0);
      withFile(
        context,
        { file, to: "write", pages: Math.max(whole, file.pages) },
        (fd) =>
          builder.wordSize === 8 || !isLarge(whole)
            ? builder.succeed("ftruncate", [fd, size])
            : builder.succeed("ftruncate64", [fd, BigInt.asUintN(32, size), size >> 32n]),
      );
      file.truncate(whole, step.bytes);
      const { pages } = file;
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
      file.unlinked = true;
    },
  }),
  defineStep({
    op: "rename",
    about: "rename(2): a mapping shows the new name; a file that had that name before has none from then on.",
    fields: { file: FILE_NAME, to: FILE_NAME },
    apply(step, context) {
      const { state } = context;
      const file = state.namedFile(step.file);
      const path = `${state.workingDirectory}/${step.to}`;
      callWithPaths(context, "rename", [file.path, path]);
      const replaced = state.files.get(step.to);
      if (replaced) replaced.unlinked = true;
      file.path = path;
      state.files.delete(step.file);
      state.files.set(step.to, file);
    },
  }),
  defineStep({
    op: "link",
    about: "link(2): a second name for the file. Mappings show the name by which the file was opened.",
    fields: { file: FILE_NAME, to: FILE_NAME },
    apply(step, context) {
      const { state } = context;
      const file = state.namedFile(step.file);
      state.requireNoFile(step.to);
      callWithPaths(context, "link", [file.path, `${state.workingDirectory}/${step.to}`]);
      state.links.add(step.to);
    },
  }),
  defineStep({
    op: "chdir",
    about: "Makes a directory and goes into it, as often as asked.",
    fields: { directory: FILE_NAME, times: optional(integer(1, 100)) },
    apply({ directory, times = 1 }, context) {
      for (let i = 0; i < times; i++) {
        context.builder.succeed("chdir", [makeDirectory(context, directory)]);
        context.state.workingDirectory += `/${directory}`;
      }
    },
  }),
  defineStep({
    op: "mount_over",
    about: "mount(2): hides a file behind another one, or its directory behind an empty tmpfs.",
    fields: { file: FILE_NAME, with: optional(FILE_NAME, "The other file.") },
    apply(step, context) {
      const { state, builder } = context;
      requireOwnMounts(context, "a mount");
      const file = state.file(step.file);
      const directory = file.path.slice(0, file.path.lastIndexOf("/"));
      const path = step.with === undefined ? directory : file.path;
      const isBelow = (one: FileModel): boolean =>
        step.with === undefined ? one.path.startsWith(`${directory}/`) : one === file;
      if (step.with === undefined) {
        mountTmpfs(context, path);
      } else {
        const other = builder.scratchString(0, state.file(step.with).path);
        builder.succeed("mount", [other, builder.scratchString(SECOND_PATH, path), 0n, MS_BIND, 0n]);
      }
      const hidden = [...state.files.values()].filter((one) => isBelow(one) && !one.hidden);
      for (const one of hidden) one.hidden = true;
      state.mounts.push({ path, hidden });
    },
  }),
  defineStep({
    op: "mount_over_root",
    about:
      "mount(2) of an empty tmpfs over the root directory, in which the target stays: names lead where they led.",
    apply(_step, context) {
      requireOwnMounts(context, "a mount");
      mountTmpfs(context, "/");
    },
  }),
  defineStep({
    op: "umount",
    about: "umount2(2) of what the last step `mount_over` mounted: what it hid is there again.",
    fields: { flags: optional(wordSet(["detach"]), "MNT_DETACH: it goes even if it is in use.") },
    apply({ flags = [] }, { state, builder }) {
      const MNT_DETACH = 2n;
      const mount = state.mounts.pop();
      if (!mount) throw new SyntaxError(`"umount" needs a step "mount_over" before it`);
      const flag = flags.includes("detach") ? MNT_DETACH : 0n;
      builder.succeed("umount2", [builder.scratchString(0, mount.path), flag]);
      for (const file of mount.hidden) file.hidden = false;
    },
  }),
  defineStep({
    op: "mount",
    about: "mount(2): an empty tmpfs on the working directory; files are made there from then on.",
    apply(_step, context) {
      requireOwnMounts(context, "a mount");
      mountTmpfs(context, context.state.workingDirectory);
    },
  }),
  defineStep({
    op: "chroot",
    about: "chroot(2) to a new directory of the working directory: the target's own program is outside " +
      "from then on. With `bind` the old root is mounted there, so that the target can start its " +
      "program anew from within.",
    fields: { directory: FILE_NAME, bind: optional(oneOf(["/"])) },
    apply(step, context) {
      const { state, builder } = context;
      const name = makeDirectory(context, step.directory);
      if (step.bind === "/") {
        requireOwnMounts(context, `"bind"`);
        builder.succeed("mount", [builder.scratchString(SECOND_PATH, "/"), name, 0n, MS_BIND, 0n]);
      }
      builder.succeed("chroot", [name]);
      state.hasOtherRoot = true;
      state.root += `${state.workingDirectory}/${step.directory}`;
    },
  }),
] as const;
