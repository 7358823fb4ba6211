// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { addressOf, type StepContext } from "./step_context.ts";
import type { StepOf } from "./steps.ts";
import { VM } from "../state/vm_flag_rules.ts";

// include/uapi/linux/userfaultfd.h: _IOWR(0xAA, ...) of structs of u64.
const UFFDIO_API = 0xc018aa3fn;
const UFFDIO_REGISTER = 0xc020aa00n;
const UFFDIO_COPY = 0xc028aa03n;
const UFFDIO_WRITEPROTECT = 0xc018aa06n;
const API_VERSION = 0xaan;
const REGISTER_MODE = { missing: 1n, wp: 2n } as const;
const WRITEPROTECT_MODE_WP = 1n;
const O_CLOEXEC = 0o2000000n;
const UFFD_SLOT = 5;

/**
 * Registers pages with a new userfaultfd, whose descriptor stays open. Nobody reads it: a fault there would
 * hang.
 */
export function uffdStep(step: StepOf<"uffd">, context: StepContext): void {
  const { state, builder } = context;
  const mode = REGISTER_MODE[step.mode];
  builder.syscall("userfaultfd", [O_CLOEXEC], { keep: UFFD_SLOT });
  control(context, UFFDIO_API, [API_VERSION, 0n, 0n]);
  const add = step.mode === "missing" ? VM.UFFD_MISSING : VM.UFFD_WP;
  for (const { first, count } of state.runs(step.area, step.pages)) {
    control(context, UFFDIO_REGISTER, [addressOf(first), BigInt(count) * PAGE_SIZE_BIG, mode, 0n]);
    state.space.change(first, first + count, (area) => ({ ...area, flags: area.flags | add }));
  }
}

/** UFFDIO_COPY: pages come into being with the contents of the first pages of another area. */
export function uffdPlaceStep(step: StepOf<"uffd_place">, context: StepContext): void {
  const { state, index } = context;
  let source = state.range(step.from).start;
  for (const { first, count } of state.runs(step.area, step.pages)) {
    control(context, UFFDIO_COPY, [
      addressOf(first),
      addressOf(source),
      BigInt(count) * PAGE_SIZE_BIG,
      0n,
      0n,
    ]);
    for (let i = 0; i < count; i++) {
      const content = state.space.contentAt(source + i);
      state.space.setPage(first + i, content, `placed by UFFDIO_COPY in step ${index + 1}`);
    }
    source += count;
  }
}

/** UFFDIO_WRITEPROTECT of pages that are there: they stay as they are. */
export function uffdProtectStep(step: StepOf<"uffd_protect">, context: StepContext): void {
  for (const { first, count } of context.state.runs(step.area, step.pages)) {
    control(context, UFFDIO_WRITEPROTECT, [
      addressOf(first),
      BigInt(count) * PAGE_SIZE_BIG,
      WRITEPROTECT_MODE_WP,
    ]);
  }
}

function control({ builder }: StepContext, request: bigint, words: readonly bigint[]): void {
  const bytes = new Uint8Array(words.length * 8);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => view.setBigUint64(index * 8, word, true));
  const argument = builder.scratch(0, bytes);
  builder.syscall("ioctl", [{ slot: UFFD_SLOT }, request, argument], { expected: 0n });
}
