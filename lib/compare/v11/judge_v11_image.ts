// SPDX-License-Identifier: MIT

import { checkImage } from "../../image/rules.ts";
import type { Comparison } from "../compare_image.ts";
import { compareV11Image, type CompareV11Options } from "./compare_v11_image.ts";
import type { V11Manifest } from "./manifest.ts";

/**
 * Everything that is held against an image of 2008 that has a manifest: the comparison with it, and the
 * rules of the format, whose notes name each bug of the code as posted that shows in the image.
 *
 * @param bytes the whole file
 */
export function judgeV11Image(
  bytes: Uint8Array,
  manifest: V11Manifest,
  options: CompareV11Options = {},
): Comparison {
  const comparison = compareV11Image(bytes, manifest, options);
  const start = options.start ?? manifest.prefix;
  if (bytes.length <= start) return comparison;
  // What cannot be decoded is the comparison's business: it knows where a refused call had to end.
  const rules = checkImage(bytes, { start, dialect: "v11", wordSize: 4 })
    .filter(({ verdict }) => verdict !== "malformed");
  return { ...comparison, findings: [...comparison.findings, ...rules] };
}
