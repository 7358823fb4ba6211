// SPDX-License-Identifier: MIT

import { FileModel } from "./file_model.ts";
import { emitMmap } from "./memory_steps.ts";
import { MAP_FLAGS, PROT } from "./mmap_flags.ts";
import { pageCount } from "./page_set.ts";
import type { Step } from "./scenario.ts";
import { addressOf, defaultSeed, type StepContext } from "./step_context.ts";

type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

const FILE_SLOT = 1;
const O_RDWR_CREAT = 0x42n;

/** Makes a file in the target's working directory and fills it through a shared mapping that goes away again. */
export function fileStep(step: StepOf<"file">, context: StepContext): void {
  const { state, builder, index } = context;
  const pages = pageCount(step.pages, state.pagesPerChunk);
  const seed = step.seed ?? defaultSeed(index);
  const start = state.place(Math.max(pages, 1));
  const path = `/work/${step.file}`;
  builder.syscall("open", [builder.scratchString(0, path), O_RDWR_CREAT, 0o644n], { keep: FILE_SLOT });
  builder.syscall("ftruncate", [{ slot: FILE_SLOT }, BigInt(pages) * 4096n], { expected: 0n });
  if (pages > 0) {
    emitMmap(context, {
      page: start,
      pages,
      prot: PROT.r | PROT.w,
      flags: MAP_FLAGS.shared!,
      fd: { slot: FILE_SLOT },
      offset: 0,
    });
    builder.emit({ op: "fill", address: addressOf(start), pages, seed, stride: 1 });
    builder.syscall("munmap", [addressOf(start), BigInt(pages) * 4096n], { expected: 0n });
  }
  builder.syscall("close", [{ slot: FILE_SLOT }], { expected: 0n });
  state.files.set(step.file, new FileModel({ path, pages, seed, fillAddress: start * 4096 }));
}

/** ftruncate(2): pages past the new end are gone from every private mapping too, copied ones included. */
export function truncateStep(step: StepOf<"truncate">, { state, builder }: StepContext): void {
  const file = state.file(step.file);
  const pages = pageCount(step.pages, state.pagesPerChunk);
  builder.syscall("open", [builder.scratchString(0, file.path), 2n, 0n], { keep: FILE_SLOT });
  builder.syscall("ftruncate", [{ slot: FILE_SLOT }, BigInt(pages) * 4096n], { expected: 0n });
  builder.syscall("close", [{ slot: FILE_SLOT }], { expected: 0n });
  file.truncate(pages);
  for (const area of state.space.areas) {
    if (area.file !== file) continue;
    const firstGone = area.start + Math.max(0, pages - area.pgoff);
    if (firstGone < area.end) state.space.dropPages(firstGone, area.end);
  }
}

/** unlink(2). */
export function unlinkStep(step: StepOf<"unlink">, { state, builder }: StepContext): void {
  const file = state.file(step.file);
  builder.syscall("unlink", [builder.scratchString(0, file.path)], { expected: 0n });
  file.unlink();
}

/** rename(2): a mapping shows the new name. */
export function renameStep(step: StepOf<"rename">, { state, builder }: StepContext): void {
  const file = state.file(step.file);
  const path = `/work/${step.to}`;
  const from = builder.scratchString(0, file.path);
  const to = builder.scratchString(8192, path);
  builder.syscall("rename", [from, to], { expected: 0n });
  file.rename(path);
  state.files.delete(step.file);
  state.files.set(step.to, file);
}
