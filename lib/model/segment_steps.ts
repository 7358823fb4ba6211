// SPDX-License-Identifier: MIT

import { encodeUserDesc, type UserDesc, ZERO_USER_DESC } from "../x86/user_desc.ts";
import { pageRuns } from "./page_set.ts";
import type { SegmentContents, SegmentFlag, Step } from "./scenario.ts";
import type { StepContext } from "./step_context.ts";

type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

const CONTENTS: readonly SegmentContents[] = ["data", "expand_down", "code", "conforming"];
const SEGMENT_FLAGS: readonly SegmentFlag[] = [
  "32bit",
  "readonly",
  "pages",
  "not_present",
  "useable",
  "long",
];
const LDT_ENTRIES_LIMIT = 0x10000;

interface SegmentWords {
  readonly base?: number | string;
  readonly limit?: number | string;
  readonly contents?: SegmentContents;
  readonly flags?: SegmentFlag[];
}

/** A base or limit: a number, a hexadecimal string, or "entry" for the entry number. */
function segmentNumber(value: number | string | undefined, entryNumber: number): number {
  if (value === "entry") return entryNumber >>> 0;
  const number = Number(value ?? 0);
  if (!Number.isInteger(number) || number < 0 || number > 0xffff_ffff) {
    throw new SyntaxError(
      `A base or limit must be 32 bits, such as "0x1000", or "entry": found ${JSON.stringify(value)}`,
    );
  }
  return number;
}

/** The user_desc of a step's words for one entry. */
function userDesc(words: SegmentWords, entryNumber: number): UserDesc {
  const contents = CONTENTS.indexOf(words.contents ?? "data");
  if (contents < 0) {
    throw new SyntaxError(`Contents must be one of ${CONTENTS.join(", ")}: found "${words.contents}"`);
  }
  const flags = words.flags ?? [];
  const unknown = flags.find((flag) => !SEGMENT_FLAGS.includes(flag));
  if (unknown !== undefined) {
    throw new SyntaxError(`A segment flag must be one of ${SEGMENT_FLAGS.join(", ")}: found "${unknown}"`);
  }
  return {
    ...ZERO_USER_DESC,
    entryNumber: entryNumber >>> 0,
    baseAddr: segmentNumber(words.base, entryNumber),
    limit: segmentNumber(words.limit, entryNumber),
    contents,
    seg32bit: flags.includes("32bit"),
    readExecOnly: flags.includes("readonly"),
    limitInPages: flags.includes("pages"),
    segNotPresent: flags.includes("not_present"),
    useable: flags.includes("useable"),
    lm: flags.includes("long"),
  };
}

/** modify_ldt(2), once for each entry; refusals are predicted as well. */
export function modifyLdtStep(step: StepOf<"modify_ldt">, { state, builder }: StepContext): void {
  const func = step.func ?? 0x11;
  for (const { first, count } of pageRuns(step.entries, LDT_ENTRIES_LIMIT, state.pagesPerChunk)) {
    for (let entry = first; entry < first + count; entry++) {
      const bytes = encodeUserDesc(userDesc(step, entry));
      const { result } = state.ldt.modifyLdt(func, bytes, 16n);
      builder.syscall("modify_ldt", [BigInt(func), builder.scratch(0, bytes), 16n], { expected: result });
    }
  }
}

/** set_thread_area(2): a TLS entry of the GDT, which only 32-bit programs use by themselves. */
export function setThreadAreaStep(step: StepOf<"set_thread_area">, { state, builder }: StepContext): void {
  const entry = step.entry < 0 ? step.entry : state.tls.options.firstSlot + step.entry;
  const bytes = encodeUserDesc(userDesc(step, entry));
  const { result } = state.tls.setThreadArea(bytes);
  builder.syscall("set_thread_area", [builder.scratch(0, bytes)], { expected: result });
}

const SEGMENT_REGISTERS = { es: 0, ds: 2, fs: 3, gs: 4 } as const;

/** Loads a selector, so that the CPU sets the accessed bit of its descriptor. */
export function loadSegmentStep(step: StepOf<"load_segment">, { state, builder }: StepContext): void {
  const register = SEGMENT_REGISTERS[step.register];
  if (register === undefined) {
    throw new SyntaxError(`A segment register must be es, ds, fs or gs: found "${step.register}"`);
  }
  builder.emitWithResult(
    { op: "segload", selector: step.selector, register, offset: 0, access: false },
    `load 0x${step.selector.toString(16)} into ${step.register}`,
    0n,
  );
  state.ldt.selectorLoaded(step.selector, step.register);
}
