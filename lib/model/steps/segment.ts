// SPDX-License-Identifier: MIT

import type * as v from "valibot";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { described, integer, numberOrText, oneOf, optional, wordSet } from "../../schema.ts";
import { encodeUserDesc, type UserDesc, ZERO_USER_DESC } from "../../x86/user_desc.ts";
import { PAGE_SET, WORD } from "../fields.ts";
import type { ModelState } from "../state/model_state.ts";
import { pageRuns } from "../state/page_set.ts";
import { syscallNumber } from "../syscall_numbers.ts";
import { defineStep } from "./define_step.ts";
import type { StepContext } from "./step_context.ts";

/** Bits of a user_desc in words; `pages`: the limit is in pages. */
const SEGMENT_FLAGS = ["32bit", "readonly", "pages", "not_present", "useable", "long"] as const;

/** The `contents` field of a user_desc. */
const SEGMENT_CONTENTS = ["data", "expand_down", "code", "conforming"] as const;

const MAX_LDT_BYTES = 0x10000;

const SEGMENT_NUMBER = numberOrText({
  least: 0,
  most: 0xffff_ffff,
  pattern: String.raw`0x[\da-fA-F]{1,8}|entry|area:.+`,
  expected:
    `32 bits such as 4096 or "0x1000", "entry" for the entry's number, or "area:NAME" for its address`,
});

/** The fields of a user_desc. */
const SEGMENT = {
  base: optional(SEGMENT_NUMBER, "Base address; 0 when not given."),
  limit: optional(SEGMENT_NUMBER, "Limit; 0 when not given."),
  contents: optional(oneOf(SEGMENT_CONTENTS), "Kind of segment; data when not given."),
  flags: optional(wordSet(SEGMENT_FLAGS), "Bits that are set."),
};

type SegmentSpec = v.InferOutput<v.StrictObjectSchema<typeof SEGMENT, undefined>>;

const LDT_ENTRIES_LIMIT = 0x10000;

function segmentNumber(state: ModelState, value: number | string | undefined, entryNumber: number): number {
  if (value === "entry") return entryNumber >>> 0;
  if (typeof value === "string" && value.startsWith("area:")) {
    return state.range(value.slice(5)).start * PAGE_SIZE;
  }
  return Number(value ?? 0);
}

/** The user_desc of a step's words for one entry. */
function userDesc(state: ModelState, words: SegmentSpec, entryNumber: number): UserDesc {
  const contents = SEGMENT_CONTENTS.indexOf(words.contents ?? "data");
  const flags = words.flags ?? [];
  return {
    ...ZERO_USER_DESC,
    entryNumber: entryNumber >>> 0,
    baseAddr: segmentNumber(state, words.base, entryNumber),
    limit: segmentNumber(state, words.limit, entryNumber),
    contents,
    seg32bit: flags.includes("32bit"),
    readExecOnly: flags.includes("readonly"),
    limitInPages: flags.includes("pages"),
    segNotPresent: flags.includes("not_present"),
    useable: flags.includes("useable"),
    lm: flags.includes("long"),
  };
}

/** A native x86-64 program has no TLS entries of its own but by the 32-bit system call table. */
function threadAreaCall(
  { state, builder }: StepContext,
  name: "set_thread_area" | "get_thread_area",
  userDesc: UserDesc,
): void {
  const bytes = encodeUserDesc(userDesc);
  const call = name === "set_thread_area" ? state.tls.setThreadArea(bytes) : state.tls.getThreadArea(bytes);
  const argument = builder.scratch(0, bytes);
  if (builder.wordSize === 4) builder.syscall(name, [argument], { expected: call.result });
  else {
    const op = { op: "syscall32", nr: syscallNumber(name, 4), args: [argument] } as const;
    builder.emitWithResult(op, `${name}() by int $0x80`, call.result);
  }
  // What get_thread_area could not fill stays as it was.
  const written = call.userDesc ?? (name === "get_thread_area" ? bytes : undefined);
  if (written) builder.report(argument, written.length, `user_desc after ${name}`, written);
}

/** The steps of this family. */
export const SEGMENT_STEPS = [
  defineStep({
    op: "modify_ldt",
    about: "modify_ldt(2), once for each entry; refusals are predicted as well.",
    fields: {
      entries: PAGE_SET,
      func: optional(WORD),
      vary: optional(
        wordSet(SEGMENT_FLAGS),
        "Flags that vary from entry to entry of a range: bit k of the place in it decides on word k.",
      ),
      ...SEGMENT,
    },
    apply(step, { state, builder }) {
      const func = step.func ?? 0x11;
      for (const { first, count } of pageRuns(step.entries, LDT_ENTRIES_LIMIT, state.pagesPerChunk)) {
        for (let entry = first; entry < first + count; entry++) {
          const varied = (step.vary ?? []).filter((_, bit) => ((entry - first) >> bit & 1) === 1);
          const words = { ...step, flags: [...step.flags ?? [], ...varied] };
          const bytes = encodeUserDesc(userDesc(state, words, entry));
          const { result } = state.ldt.modifyLdt(func, bytes, 16n);
          builder.syscall("modify_ldt", [BigInt(func), builder.scratch(0, bytes), 16n], { expected: result });
        }
      }
    },
  }),
  defineStep({
    op: "read_ldt",
    about: "modify_ldt(2) that reads: what it returns, and every byte that it writes.",
    fields: { func: optional(WORD), bytes: integer(0, MAX_LDT_BYTES) },
    apply(step, { state, builder }) {
      const MARK = 0xa5;
      const before = new Uint8Array(step.bytes).fill(MARK);
      const { result, data } = state.ldt.modifyLdt(step.func ?? 0, before, BigInt(step.bytes));
      const buffer = builder.scratch(0, before);
      builder.syscall("modify_ldt", [BigInt(step.func ?? 0), buffer, BigInt(step.bytes)], {
        expected: result,
      });
      const after = before.slice();
      after.set(data ?? []);
      builder.report(buffer, step.bytes, `${step.bytes} bytes read by modify_ldt`, after);
    },
  }),
  defineStep({
    op: "set_thread_area",
    about: "set_thread_area(2): a TLS entry of the GDT.",
    fields: {
      entry: described("From 0; -1 lets the kernel choose, -2 is below the first.", integer(-2, 8191)),
      ...SEGMENT,
    },
    apply(step, context) {
      const entry = step.entry === -1 ? -1 : context.state.tls.options.firstSlot + step.entry;
      threadAreaCall(context, "set_thread_area", userDesc(context.state, step, entry));
    },
  }),
  defineStep({
    op: "get_thread_area",
    about: "get_thread_area(2): what it returns, and the user_desc that it fills.",
    fields: { entry: integer(-2, 8191) },
    apply(step, context) {
      const entryNumber = (context.state.tls.options.firstSlot + step.entry) >>> 0;
      threadAreaCall(context, "get_thread_area", { ...ZERO_USER_DESC, entryNumber });
    },
  }),
] as const;
