// SPDX-License-Identifier: MIT

import { bytesOfHex, hex } from "../bytes.ts";
import type * as v from "valibot";
import { PAGE_SIZE } from "../abi/arch.ts";
import { errnoNumber } from "../abi/errno.ts";
import type { KernelSeries } from "../abi/series.ts";
import { described, keysOf, list, numberOrText, object, oneOf, optional, record, text } from "../schema.ts";
import { ERRNO_NAME } from "./fields.ts";
import type { ModelState } from "./state/model_state.ts";
import { describeContent, withStore } from "./state/page_content.ts";
import { addressOf } from "./state/page_set.ts";
import { BUSY, type Busy } from "./target_op.ts";
import { VM } from "../abi/vm_flags.ts";

/**
 * How a target can be stopped, with what `__state` of its task holds then (include/linux/sched.h): by its own
 * SIGSTOP, or one that comes while it sleeps in a call; by a
 * tracer's PTRACE_SEIZE and PTRACE_INTERRUPT, its PTRACE_ATTACH, either while it has not waited for it, or one
 * instruction later; by the cgroup v2 freezer, which also freezes what a signal has stopped. TASK_TRACED had
 * TASK_WAKEKILL in it until 5.18; TASK_FREEZABLE is of 6.1.
 */
const TASK_STATES = {
  "signal": { "5.10": 0x104, "since": 0x104 },
  "signal in a call": { "5.10": 0x104, "since": 0x104 },
  "seize": { "5.10": 0x108, "since": 0x8 },
  "attach": { "5.10": 0x108, "since": 0x8 },
  "unread": { "5.10": 0x108, "since": 0x8 },
  "unread event": { "5.10": 0x108, "since": 0x8 },
  "singlestep": { "5.10": 0x108, "since": 0x8 },
  "freezer": { "5.10": 0x1, "since": 0x2001 },
  "freezer and signal": { "5.10": 0x104, "since": 0x104 },
} as const;

const OFFSET = String.raw`0x[\da-f]+|\d+`;
const TERM = String.raw`(?:\d+|\d*chunk)`;
/** "NAME:PAGE" or "NAME:PAGE+OFFSET"; the page may be "chunk-1" or the like. */
const PLACE = String.raw`([^:]+):(${TERM}(?:-${TERM})*|chunk\+\d+)(?:\+(${OFFSET}))?`;
const MAPPING = String.raw`(vdso|text)(?:\+(${OFFSET}))?`;

const DEBUG_SETTING = object({
  register: oneOf(["dr0", "dr1", "dr2", "dr3", "dr4", "dr5", "dr6", "dr7"]),
  value: numberOrText({
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
    pattern: `${OFFSET}|${PLACE}`,
    expected: `a number, "0x..." or a place in an area, "NAME:PAGE+OFFSET"`,
  }),
  expect: optional(ERRNO_NAME, "The errno that PTRACE_POKEUSER must give."),
});

const POKE = object({
  at: described(
    "In an area, or in the vdso, or in the target's program.",
    text(
      new RegExp(`^(?:${MAPPING}|${PLACE})$`),
      `a place: "NAME:PAGE+OFFSET", "vdso+OFFSET" or "text+OFFSET"`,
    ),
  ),
  bytes: text(/^([\da-f]{2}){1,64}$/, "1 to 64 bytes as pairs of hexadecimal digits"),
});

/** Registers that a tracer may set. */
const SET_REGISTERS = ["flags", "fs", "ax", "ss"] as const;

/** The keys of a stop that say what tracers do, and what stops the target. */
export const TRACER_FIELDS = {
  debug: optional(list(DEBUG_SETTING, 1), "Debug registers to set, in order."),
  poke: optional(list(POKE, 1), "Memory to write past its protection, as a debugger sets breakpoints."),
  set: optional(
    record(oneOf(SET_REGISTERS), text(/^0x[\da-f]{1,6}$/, `a number such as "0x302"`)),
    "Registers as a tracer sets them, until the target goes on. Flags: what ptrace can set, IF and bit 1.",
  ),
  stoppedBy: optional(oneOf(keysOf(TASK_STATES)), `What stops the target; "signal" when not given.`),
  busy: optional(oneOf(BUSY), "What the target does in place of stopping."),
};

/** A debug register that a tracer sets before the checkpoint. */
type DebugSetting = v.InferOutput<typeof DEBUG_SETTING>;

/** Bytes that a debugger writes into the target before the checkpoint. */
type TracerPoke = v.InferOutput<typeof POKE>;

type StoppedBy = keyof typeof TASK_STATES;

/** What a stop can say of a tracer and of what stops the target. */
export type TracerSpec = v.InferOutput<v.StrictObjectSchema<typeof TRACER_FIELDS, undefined>>;

/** A page outside of all areas that a debugger's write has made the target's own. */
export interface CopiedPage {
  /** The mapping: the vdso, or the executable one of the target's own program. */
  readonly place: "vdso" | "text";
  /** Offset of the bytes from where the mapping starts. */
  readonly offset: number;
  /** What stands there at this stop; undefined when an earlier stop's bytes were taken out again. */
  readonly bytes: Uint8Array | undefined;
}

/** What the harness does to the target at a stop, before and after the checkpoint. */
export interface TracerWork {
  /** Debug registers to set and what PTRACE_POKEUSER must return: an errno, or 0. */
  readonly debug: readonly { readonly register: number; readonly value: bigint; readonly errno: number }[];
  /** Bytes to write to addresses of areas. */
  readonly pokes: readonly { readonly address: bigint; readonly bytes: Uint8Array }[];
  /** Bytes to write to pages outside of areas; they are taken out again after the checkpoint. */
  readonly copied: readonly CopiedPage[];
  readonly set: readonly (readonly [typeof SET_REGISTERS[number], bigint])[];
  readonly stoppedBy: StoppedBy;
  readonly busy: Busy | undefined;
}

/**
 * Applies to the model what a stop says of tracers.
 *
 * @throws {SyntaxError} or RangeError naming the word, what was expected and what was found
 */
export function applyTracer(state: ModelState, spec: TracerSpec): TracerWork {
  const { stoppedBy = "signal", busy } = spec;
  const word = (["debug", "poke", "set", "stoppedBy"] as const).find((key) => spec[key] !== undefined);
  if (busy !== undefined && word !== undefined) {
    throw new SyntaxError(`"${word}" is for a target that is stopped: found "busy": "${busy}"`);
  }
  const debug = (spec.debug ?? []).map((setting, i) => applyDebug(state, setting, `"debug" ${i + 1}`));
  if (stoppedBy === "singlestep") state.debug.step();
  if (stoppedBy === "signal in a call" && state.registers) {
    throw new SyntaxError(
      `"registers" are set for a stop of the target's own: found "stoppedBy": "${stoppedBy}"`,
    );
  }
  const pokes = (spec.poke ?? []).map((poke, i) => applyPoke(state, poke, `"poke" ${i + 1}`));
  return {
    debug,
    pokes: pokes.filter((poke) => "address" in poke),
    copied: pokes.filter((poke) => "place" in poke),
    set: SET_REGISTERS.flatMap((name) =>
      spec.set?.[name] === undefined ? [] : [[name, BigInt(spec.set[name])]]
    ),
    stoppedBy,
    busy,
  };
}

/** The TASK record's state of a stopped target, in a kernel of a series (6.1 when not given). */
export function taskState(stoppedBy: StoppedBy, series?: KernelSeries): number {
  return TASK_STATES[stoppedBy][series === "5.10" ? series : "since"];
}

function wrong(where: string, expected: string, found: unknown): never {
  throw new SyntaxError(`${where} must be ${expected}: found ${JSON.stringify(found) ?? "nothing"}`);
}

function applyDebug(state: ModelState, setting: DebugSetting, where: string): TracerWork["debug"][number] {
  const register = Number(setting.register.slice(2));
  const value = debugValue(state, setting.value, `${where}: "value"`);
  const errno = state.debug.set(register, value);
  const expected = setting.expect === undefined ? 0 : errnoNumber(setting.expect);
  if (errno !== expected) {
    const shown = (number: number): string => number === 0 ? "ok" : `errno ${number}`;
    throw new SyntaxError(
      `${where}: the scenario expects "${setting.expect ?? "ok"}" of PTRACE_POKEUSER (${shown(expected)}), ` +
        `the model predicts ${shown(errno)}`,
    );
  }
  return { register, value, errno };
}

function debugValue(state: ModelState, value: number | string, where: string): bigint {
  const wordBits = 8 * state.target.kernelWordSize;
  if (typeof value === "string" && value.includes(":")) {
    const { page, offset } = placeInArea(state, value);
    return addressOf(page) + BigInt(offset);
  }
  const number = BigInt(value);
  return number >> BigInt(wordBits) === 0n ? number : wrong(where, `a word of ${wordBits} bits`, value);
}

function placeInArea(state: ModelState, text: string): { page: number; offset: number } {
  const [, area, page, offset = "0"] = new RegExp(`^${PLACE}$`).exec(text)!;
  return { page: state.range(area!).start + state.pageCount(page!), offset: Number(offset) };
}

function applyPoke(
  state: ModelState,
  poke: TracerPoke,
  where: string,
): TracerWork["pokes"][number] | CopiedPage {
  const bytes = bytesOfHex(poke.bytes);
  const mapping = new RegExp(`^${MAPPING}$`).exec(poke.at);
  const { page, offset } = mapping
    ? { page: 0, offset: Number(mapping[2] ?? "0") }
    : placeInArea(state, poke.at);
  if (offset % PAGE_SIZE + bytes.length > PAGE_SIZE || (!mapping && offset >= PAGE_SIZE)) {
    wrong(`${where}: "at"`, "a place from which the bytes lie in one page", poke.at);
  }
  if (mapping) {
    const place = mapping[1] as CopiedPage["place"];
    state.copied.set(`${place}+${Math.floor(offset / PAGE_SIZE)}`, { place, offset });
    return { place, offset, bytes };
  }
  pokePage(state, page, { offset, bytes }, where);
  return { address: addressOf(page) + BigInt(offset), bytes };
}

/** FOLL_FORCE (mm/gup.c): a private page is written whatever its protection, and becomes the target's own. */
function pokePage(
  { space }: ModelState,
  page: number,
  { offset, bytes }: { offset: number; bytes: Uint8Array },
  where: string,
): void {
  const area = space.areaAt(page);
  if (!area) throw new RangeError(`${where}: nothing is mapped at ${hex(addressOf(page))}`);
  if ((area.flags & (VM.IO | VM.PFNMAP | VM.SHARED | VM.MAYSHARE)) !== 0n) {
    throw new RangeError(
      `${where}: "${area.label}" is shared or device memory, whose bytes are not modelled`,
    );
  }
  if ((area.flags & (VM.UFFD_MISSING | VM.UFFD_WP)) !== 0n) {
    throw new RangeError(
      `${where}: a write to "${area.label}" would wait for the handler of its userfaultfd`,
    );
  }
  if (area.file && area.pgoff + page - area.start >= area.file.pages && !area.file.isZeroDevice) {
    throw new RangeError(`${where}: the page lies past the end of the file`);
  }
  const content = withStore(space.contentAt(page), offset, bytes);
  space.setPage(page, content, `written by a tracer: ${describeContent(content)}`);
}

/** The pages outside of areas that the image must hold. */
export function copiedPages(state: ModelState, work: TracerWork): CopiedPage[] {
  return [...work.copied, ...[...state.copied.values()].map((page) => ({ ...page, bytes: undefined }))];
}
