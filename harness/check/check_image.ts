// SPDX-License-Identifier: MIT

import { compareImage, type Comparison } from "../../lib/compare/compare_image.ts";
import type { CompareOptions } from "../../lib/compare/comparison_context.ts";
import { firstDifference } from "../../lib/compare/judge.ts";
import { decodeBytes } from "../../lib/image/decoder.ts";
import { encode } from "../../lib/image/image_writer.ts";
import type { Finding } from "../../lib/image/finding.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import type { ImageNode } from "../../lib/image/nodes.ts";
import { checkNodes } from "../../lib/image/rules.ts";

/**
 * Everything that is held against one image: the comparison with model and observation, the rules of the
 * format, and that encoding what was decoded gives the same bytes.
 */
export function checkImage(image: Uint8Array, options: CompareOptions): Comparison {
  const refusal = options.prediction?.refusal;
  const nodes: ImageNode[] = [];
  const keep = function* (): Generator<ImageNode> {
    if (image.length === 0 && refusal?.atPage === undefined && refusal) return;
    for (const node of decodeBytes(image)) {
      nodes.push(node);
      yield node;
    }
  };
  const comparison = compareImage(keep(), image.length, options);
  const findings = [...comparison.findings, ...recodeFindings(nodes, image)];
  if (!refusal) findings.push(...ruleFindings(nodes));
  return { ...comparison, findings };
}

function recodeFindings(nodes: readonly ImageNode[], image: Uint8Array): Finding[] {
  const again = encode(nodes);
  const at = firstDifference(again, image.subarray(0, again.length));
  if (at < 0) return [];
  return [{
    id: "E_RECODE",
    verdict: "malformed",
    path: "image",
    offset: at,
    message: "encoding what was decoded gives other bytes",
  }];
}

function ruleFindings(nodes: readonly ImageNode[]): Finding[] {
  try {
    return checkNodes(nodes).filter((finding) => finding.verdict !== "note");
  } catch (error) {
    // The comparison has reported that already.
    if (error instanceof MalformedImageError) return [];
    throw error;
  }
}
