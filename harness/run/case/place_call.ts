// SPDX-License-Identifier: MIT

import { readNodes } from "../../../lib/image/image.ts";
import type { RecordNode } from "../../../lib/image/nodes.ts";
import type { CallPlan } from "../../../lib/model/predict_call.ts";

/** A call whose places are numbers of bytes. */
export interface PlacedCall extends CallPlan {
  /** Bytes of the image behind which the caller has its signal; 0: with the first ones. */
  readonly signalAt?: number | undefined;
  /** Bytes that the image may have at most. */
  readonly endsBefore?: number | undefined;
}

/** Finds the records at which something happens in the image of the plain call. */
export function placeCall(plan: CallPlan, image: Uint8Array = new Uint8Array(0)): PlacedCall {
  const records = readNodes(image).nodes.filter((node) => node.kind === "record");
  const placeOf = (name: string) => records.find((node) => node.name === name)?.offset;
  const whileBlocked = plan.whileBlocked.map((action) => ({
    ...action,
    at: (action.record === undefined ? undefined : placeOf(action.record)) ?? action.at,
  }));
  return { ...plan, whileBlocked, ...placeSignal(plan, records), ...placeEnd(plan, records) };
}

function placeSignal(
  { caller: { signalBehind }, signalVma }: CallPlan,
  records: readonly RecordNode[],
): Pick<PlacedCall, "signalAt" | "endsBefore"> {
  if (signalBehind === "") return {};
  if (signalBehind === "HEAD") return { signalAt: 0, endsBefore: records[1]?.offset };
  const index = records.findIndex((node) => node.name === "VMA" && node.fields.vm_start === signalVma);
  const vma = records[index];
  // Of an image that is cut no record may follow.
  return { signalAt: vma && vma.offset + vma.length, endsBefore: nextVma(records, index)?.offset };
}

/** Where a change of an area that is being written must be noticed: with the next chunk, if it has one. */
function placeEnd(
  { whileBlocked, output }: CallPlan,
  records: readonly RecordNode[],
): Pick<PlacedCall, "endsBefore"> {
  const [action] = whileBlocked;
  if (action?.do !== "unregister" || whileBlocked.length > 1) return {};
  const index = records.findIndex((node) =>
    node.name === "VMA" && node.fields.vm_start <= action.address && action.address < node.fields.vm_end
  );
  const next = nextVma(records, index);
  const chunks = records.slice(index + 1, next && records.indexOf(next))
    .filter((node) => node.name === "PGARR" && node.fields.nr_pages > 0);
  const isWithin = index >= 0 && action.at >= records[index]!.offset &&
    action.at + (output.size ?? 0) < (chunks.at(-1)?.offset ?? 0);
  return isWithin ? { endsBefore: next?.offset } : {};
}

function nextVma(records: readonly RecordNode[], index: number): RecordNode | undefined {
  return records.find((node, other) => other > index && node.name === "VMA");
}
