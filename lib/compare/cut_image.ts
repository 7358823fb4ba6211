// SPDX-License-Identifier: MIT

import { decodeBytes } from "../image/decoder.ts";
import type { Finding } from "../image/finding.ts";
import { MalformedImageError } from "../image/malformed_image_error.ts";
import { HEAD, RECORD_HEADER } from "../image/records/head.ts";
import { checkNodes } from "../image/rules.ts";
import { firstDifference } from "./judge.ts";

/** Where two images of the same target may differ: the time in their heads. */
const TIME = HEAD.fields.find(({ name }) => name === "time")!;
const TIME_START = RECORD_HEADER.size + TIME.offset;
const TIME_END = TIME_START + TIME.size;

/**
 * Judges what a failed call wrote: it must be the beginning of the whole image of the same target, byte for
 * byte but for the time, and no reader may take it for a whole one.
 *
 * @param cut what the failed call wrote
 * @param whole the image of a call that succeeded while the target was the same
 */
export function cutImageFindings(cut: Uint8Array, whole: Uint8Array): Finding[] {
  const findings = sameImageFindings(cut, whole.subarray(0, cut.length));
  if (isWholeImage(cut)) {
    findings.push({
      id: "E_CUT_IS_WHOLE",
      verdict: "mismatch",
      path: "image",
      offset: cut.length,
      message: "the call failed, and yet what it wrote checks as a whole image",
    });
  }
  return findings;
}

/** Compares two images of a target that did not change between them: only the time may differ. */
export function sameImageFindings(image: Uint8Array, reference: Uint8Array): Finding[] {
  const [a, b] = [withoutTime(image), withoutTime(reference)];
  const at = firstDifference(a, b);
  if (at < 0) return [];
  const show = (bytes: Uint8Array): string => at < bytes.length ? `byte ${bytes[at]}` : "the end";
  return [{
    id: "E_NOT_THE_SAME",
    verdict: "mismatch",
    path: "image",
    offset: at,
    message: "another image of the same target differs",
    expected: show(b),
    actual: show(a),
  }];
}

function withoutTime(image: Uint8Array): Uint8Array {
  return image.slice().fill(0, TIME_START, TIME_END);
}

function isWholeImage(bytes: Uint8Array): boolean {
  try {
    return checkNodes([...decodeBytes(bytes)]).every(({ verdict }) => verdict === "note");
  } catch (error) {
    if (error instanceof MalformedImageError) return false;
    throw error;
  }
}
