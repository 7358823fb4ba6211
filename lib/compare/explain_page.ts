// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../abi/arch.ts";
import { firstDifference, hex } from "../bytes.ts";
import type { CompiledStop } from "../model/compile_scenario.ts";
import { contentBytes, describeContent } from "../model/state/page_content.ts";

/**
 * What the model says of one page of an image, in a sentence, and whether the image has it so.
 *
 * @param address of its first byte
 * @param bytes what the image holds of it; undefined when it holds nothing
 */
export function explainPage({ prediction }: CompiledStop, address: bigint, bytes?: Uint8Array): string {
  const page = Number(address / BigInt(PAGE_SIZE));
  const area = prediction.areas.find(({ start, end }) => start <= page && page < end);
  const place = area
    ? `page ${page - area.start} of area "${area.label}"`
    : "no page of an area of the steps";
  const predicted = prediction.pages.get(page);
  if (!predicted) {
    if (!area) return `${place}: judged by what /proc/PID/pagemap and mem show`;
    return `${place}: no step wrote to it${
      bytes ? ", and yet it is in the image" : ": it is not in the image"
    }`;
  }
  const content = describeContent(predicted.content);
  const why = predicted.why.includes(content) ? predicted.why : `${predicted.why}: ${content}`;
  const must = `${place}: must be in the image, ${why}`;
  if (!bytes) return `${must}; it is not`;
  const expected = contentBytes(predicted.content);
  const at = firstDifference(expected, bytes);
  if (at < 0) return `${must}; it is there with these bytes`;
  return `${must}; byte ${hex(at, 3)} must be ${hex(expected[at]!, 2)}, and is ${hex(bytes[at] ?? 0, 2)}`;
}
