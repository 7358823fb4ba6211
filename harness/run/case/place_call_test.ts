// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { readNodes } from "../../../lib/image/image.ts";
import { isRecord } from "../../../lib/image/nodes.ts";
import type { CallPlan } from "../../../lib/model/predict_call.ts";
import { RECORDED } from "../testing/fake_guest.ts";
import { placeCall } from "./place_call.ts";

const { image } = RECORDED;
const RECORDS = readNodes(image).nodes.filter((node) => node.kind === "record");
const VMAS = RECORDS.filter((node) => isRecord(node, "VMA"));
const CHUNKS = RECORDS.filter((node) => isRecord(node, "PGARR") && node.fields.nr_pages > 0);

function placed(
  plan: Partial<CallPlan> & { signalBehind?: string },
  length = image.length,
): Pick<ReturnType<typeof placeCall>, "signalAt" | "endsBefore"> {
  const caller = { signalBehind: "", ...plan } as CallPlan["caller"];
  const whole = { output: { kind: "pipe", size: 1 }, whileBlocked: [], ...plan, caller };
  const { signalAt, endsBefore } = placeCall(whole as unknown as CallPlan, image.subarray(0, length));
  return { signalAt, endsBefore };
}

Deno.test("a signal comes with the first write, or behind the record of an area, and ends the image there", () => {
  assertEquals(placed({}), { signalAt: undefined, endsBefore: undefined });
  assertEquals(placed({ signalBehind: "HEAD" }), { signalAt: 0, endsBefore: RECORDS[1]!.offset });
  const [first, second] = VMAS;
  assertEquals(placed({ signalBehind: "a", signalVma: first!.fields.vm_start }), {
    signalAt: RECORDS[RECORDS.indexOf(first!) + 1]!.offset,
    endsBefore: second!.offset,
  });
  const end = RECORDS[RECORDS.indexOf(second!) + 1]!.offset;
  assertEquals(placed({ signalBehind: "a", signalVma: second!.fields.vm_start }, end), {
    signalAt: end,
    endsBefore: undefined,
  });
});

Deno.test("a change of the area that is written ends the image before the next one, if a chunk is to come", () => {
  const [chunk] = CHUNKS;
  const next = VMAS.find(({ offset }) => offset > chunk!.offset)!;
  const vma = VMAS[VMAS.indexOf(next) - 1]!;
  const endsBefore = (at: number, size = 1) => {
    const action = { do: "unregister", at, address: vma.fields.vm_start };
    return placed({ whileBlocked: [action], output: { kind: "pipe", size } } as unknown as CallPlan)
      .endsBefore;
  };
  assertEquals(endsBefore(vma.offset), next.offset);
  assertEquals(endsBefore(vma.offset - 1), undefined);
  assertEquals(endsBefore(chunk!.offset), undefined);
  assertEquals(endsBefore(vma.offset, chunk!.offset - vma.offset), undefined);
});
