// SPDX-License-Identifier: MIT

import { firstDifference } from "../../lib/bytes.ts";
import { compareImage, type Comparison } from "../../lib/compare/compare_image.ts";
import type { CompareOptions } from "../../lib/compare/comparison_context.ts";
import { decodeBytes } from "../../lib/image/decoder.ts";
import { ImageWriter, writeNode } from "../../lib/image/image_writer.ts";
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
    for (const node of decodeBytes(image, { dialect: options.dialect })) {
      nodes.push(node);
      yield node;
    }
  };
  const comparison = compareImage(keep(), image.length, options);
  const findings = [...comparison.findings, ...recodeFindings(nodes, image)];
  const knownErrors = new Map(comparison.knownErrors);
  for (const finding of refusal ? [] : ruleFindings(nodes, options)) {
    if (finding.verdict !== "note") findings.push(finding);
    // In an image of the port nothing is excused.
    else if (options.dialect === "v11") {
      knownErrors.set(finding.id, { count: finding.count ?? 1, message: finding.message });
    }
  }
  return { ...comparison, findings, knownErrors };
}

function recodeFindings(nodes: readonly ImageNode[], image: Uint8Array): Finding[] {
  const writer = new ImageWriter();
  for (const node of nodes) writeNode(writer, node);
  let at = 0;
  for (const part of writer.parts) {
    const end = at + part.length;
    const offset = at + firstDifference(part, image.subarray(at, end));
    if (offset >= at) {
      const message = "encoding what was decoded gives other bytes";
      return [{ id: "E_RECODE", verdict: "malformed", path: "image", offset, message }];
    }
    at = end;
  }
  return [];
}

function ruleFindings(nodes: readonly ImageNode[], { dialect }: CompareOptions): Finding[] {
  try {
    return checkNodes(nodes, { dialect });
  } catch (error) {
    // The comparison has reported that already.
    if (error instanceof MalformedImageError) return [];
    throw error;
  }
}
