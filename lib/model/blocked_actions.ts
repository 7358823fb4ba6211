// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import type { ActionKind, ActionSpec, OutputSpec } from "./call.ts";
import type { AddressSpace } from "./state/address_space.ts";
import { isOneVma } from "./state/area.ts";
import type { ModelState } from "./state/model_state.ts";
import { withStore } from "./state/page_content.ts";
import { VM } from "../abi/vm_flags.ts";
import { EMPTY_USER_DESC, encodeUserDesc } from "../x86/user_desc.ts";

/** An action with what the model knows of its object. */
export type PlannedAction = Omit<ActionSpec, "at"> & {
  /** Bytes of the image that have been read; 0 where a record tells. */
  readonly at: number;
  /** The record that is in the pipe. */
  readonly record: string | undefined;
  /** First byte of the area, or of the page of a poke. */
  readonly address: bigint;
  readonly length: number;
  /** The file's path as the target's root sees it. */
  readonly path: string;
  readonly newPath: string;
};

/** Where an image ends early: after this many bytes at the earliest. */
export interface EarlyEnd {
  /** The errno, or the signal that ends the caller. */
  readonly name: string;
  readonly at: number;
  readonly why: string;
  /** Whether the image shows what has changed, behind what it showed before. */
  readonly isTorn?: boolean;
}

/**
 * What becomes of the target while the call is made: nothing (`same`), it stays stopped but is changed by an action, it
 * runs on, or it ends.
 */
export type TargetFate = "same" | "changed" | "continued" | "killed";

/** More than what records, program and stack of a target take in an image. */
const MAX_BESIDES_AREAS = 512 * 1024;

const CHANGING: readonly ActionKind[] = [
  ...["poke", "pageout", "cold", "unlink", "rename", "unregister", "clear_tls"] as const,
];
const ENDING: readonly ActionKind[] = ["kill", "cont", "unlink"];
const CHANGING_IMAGE: readonly ActionKind[] = ["poke", "rename", "unregister"];

/** Looks up what an action is about. */
export function planAction(state: ModelState, action: ActionSpec): PlannedAction {
  const isPlaced = typeof action.at === "string";
  const place = { at: isPlaced ? 0 : Number(action.at), record: isPlaced ? String(action.at) : undefined };
  const planned = { ...place, address: 0n, length: 0, path: "", newPath: "" };
  const { file: name, area, to } = action;
  if (name !== undefined) {
    const file = state.file(name);
    const mapped = state.space.areas.find((one) => one.file === file);
    if (!mapped) throw new SyntaxError(`${action.do}: the file "${name}" must be mapped`);
    const { path } = file;
    const newPath = `${path.slice(0, path.lastIndexOf("/"))}/${to ?? ""}`;
    return { ...action, ...planned, address: BigInt(mapped.start) * PAGE_SIZE_BIG, path, newPath };
  }
  if (area === undefined) return { ...action, ...planned };
  const range = state.range(area);
  const first = range.start + (action.page ?? 0);
  return { ...action, ...planned, address: BigInt(first) * PAGE_SIZE_BIG, length: range.pages * PAGE_SIZE };
}

/** Where an action ends the call. */
export function endByAction(
  state: ModelState,
  action: PlannedAction,
  output: OutputSpec,
): EarlyEnd | undefined {
  // What is at 0 has let the kernel fill the pipe.
  const at = Math.max(action.at, 1);
  switch (action.do) {
    case "kill":
    case "cont":
      return { name: "EBUSY", at, why: "the target did not remain stopped" };
    case "unregister":
      // What comes later is as it is then, an image of one moment, unless the number of VMAs, which is written before
      // all of them, is another one by then.
      if (!isAhead(state, action, output)) return { name: "EBUSY", at, why: "the address space changed" };
      return joinsAreas(state, action)
        ? { name: "EBUSY", at, why: "the number of VMAs changed", isTorn: true }
        : undefined;
    case "signal":
      return action.handled === true
        ? { name: "EINTR", at, why: "a signal for the caller" }
        : { name: action.signal ?? "SIGKILL", at, why: "a signal ends the caller" };
    case "unlink":
      return isAhead(state, action, output)
        ? { name: "ENOENT", at, why: "a mapped file was unlinked" }
        : undefined;
    default:
      return undefined;
  }
}

/** Whether the image shows what an action changed. */
export function changesImage(state: ModelState, action: PlannedAction, output: OutputSpec): boolean {
  return CHANGING_IMAGE.includes(action.do) && isAhead(state, action, output);
}

/**
 * Which state of the target each further checkpoint of it shows, in their order.
 *
 * @throws {SyntaxError} when one is made between two changes, or after its end
 */
export function othersSee(actions: readonly Pick<PlannedAction, "do" | "at">[]): ("before" | "after")[] {
  const changes = actions.flatMap((action, index) => CHANGING_IMAGE.includes(action.do) ? [index] : []);
  return actions.flatMap((action, index) => {
    if (action.do !== "checkpoint") return [];
    const earlier = changes.filter((change) => change < index).length;
    const isEnded = actions.slice(0, index).some(({ do: kind }) => ENDING.includes(kind));
    if (isEnded || (earlier > 0 && earlier < changes.length)) {
      throw new SyntaxError(
        `the "checkpoint" at byte ${action.at} must come before or after all that changes the target`,
      );
    }
    return [earlier > 0 ? "after" : "before"];
  });
}

/** Whether an area that leaves its userfaultfd becomes one with its neighbours. */
function joinsAreas(state: ModelState, action: PlannedAction): boolean {
  const space = state.space.clone();
  const countVmas = ({ areas }: AddressSpace) =>
    areas.filter((area, index) => index === 0 || !isOneVma(areas[index - 1]!, area)).length;
  unregister(space, action);
  return countVmas(space) !== countVmas(state.space);
}

function unregister(space: AddressSpace, { address, length }: PlannedAction): void {
  const start = Number(address / PAGE_SIZE_BIG);
  const flags = VM.UFFD_MISSING | VM.UFFD_WP;
  space.change(start, start + length / PAGE_SIZE, (area) => ({ ...area, flags: area.flags & ~flags }));
}

/** Whether the image has yet to come to the object of an action when it happens; throws when that is not sure. */
function isAhead(state: ModelState, action: PlannedAction, output: OutputSpec): boolean {
  const page = Number(action.address / PAGE_SIZE_BIG);
  const before = bytesBefore(state, page);
  if (action.at + (output.size ?? 0) < before) return true;
  if (action.at > bytesBefore(state, page + 1) * 1.01 + MAX_BESIDES_AREAS) return false;
  throw new SyntaxError(
    `whether byte ${action.at} of the image comes before ${action.do} matters: ${before} bytes surely do`,
  );
}

/** The least that an image has before the contents of a page. */
export function bytesBefore(state: ModelState, page: number): number {
  return [...state.space.pages.keys()].filter((one) => one < page).length * PAGE_SIZE;
}

/** The user_desc that empties a TLS entry. */
export function emptyTls(firstSlot: number, { entry = 0 }: Pick<PlannedAction, "entry">): Uint8Array {
  return encodeUserDesc({ ...EMPTY_USER_DESC, entryNumber: firstSlot + entry });
}

/** What becomes of the target by some actions. */
export function fateOf(actions: readonly Pick<ActionSpec, "do">[]): TargetFate {
  const kinds = actions.map((action) => action.do);
  if (kinds.includes("kill")) return "killed";
  if (kinds.includes("cont")) return "continued";
  return kinds.some((kind) => CHANGING.includes(kind)) ? "changed" : "same";
}

/** What an action changes about the target, for all that comes after it. */
export function applyAction(
  state: ModelState,
  action: PlannedAction,
): void {
  const { file = "", value = 0, newPath } = action;
  const page = Number(action.address / PAGE_SIZE_BIG);
  if (action.do === "poke") {
    const content = withStore(state.space.contentAt(page), 0, Uint8Array.of(value));
    state.space.setPage(page, content, "written to through /proc/PID/mem");
  } else if (action.do === "unlink") {
    state.file(file).unlinked = true;
  } else if (action.do === "rename") {
    state.file(file).path = newPath;
  } else if (action.do === "unregister") {
    unregister(state.space, action);
  } else if (action.do === "clear_tls") {
    state.tls.setThreadArea(emptyTls(state.tls.options.firstSlot, action));
  }
}
