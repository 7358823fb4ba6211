// SPDX-License-Identifier: MIT

import { firstDifference } from "../bytes.ts";
import { decodeBytes } from "../image/decoder.ts";
import { type Finding, mismatch } from "../image/finding.ts";
import { MalformedImageError } from "../image/malformed_image_error.ts";
import { fieldOf } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";

/** Where two images of the same target may differ: the time in their heads. */
const TIME = fieldOf("HEAD", "time")!;
const TIME_START = RECORD_HEADER.size + TIME.offset;
const TIME_END = TIME_START + TIME.size;

/**
 * Judges what a failed call wrote: it must be the beginning of the whole image of the same target, byte for byte but
 * for the time, and a reader must be told that it was truncated.
 *
 * @param image what the failed call wrote
 * @param whole the image of a call that succeeded while the target was the same
 * @param certain how many bytes must be the same, where the target changed while they were written; all by default
 */
export function truncatedImageFindings(
  image: Uint8Array,
  whole: Uint8Array,
  certain = image.length,
): Finding[] {
  const sure = image.subarray(0, certain);
  const findings = sameImageFindings(sure, whole.subarray(0, sure.length));
  if (!isTruncated(image)) {
    const message = "the call failed, and yet the decoder does not say that what it wrote ends early";
    findings.push(mismatch("E_NOT_TRUNCATED", { path: "image", offset: image.length, message }));
  }
  return findings;
}

/** Compares two images of a target that did not change between them: only the time may differ. */
export function sameImageFindings(image: Uint8Array, reference: Uint8Array): Finding[] {
  const at = firstDifference(withoutTime(image), withoutTime(reference));
  if (at < 0) return [];
  const show = (bytes: Uint8Array): string => {
    const byte = bytes[at];
    return byte === undefined ? `the end, at ${bytes.length}` : `0x${byte.toString(16).padStart(2, "0")}`;
  };
  const message = "a call that succeeds gives another image of the same target";
  const values = { expected: show(reference), actual: show(image) };
  return [mismatch("E_OTHER_IMAGE", { path: "image", offset: at, message, ...values })];
}

/** The time in the head of an image, in seconds since 1970; undefined when it ends before. */
export function imageTime(image: Uint8Array): bigint | undefined {
  if (image.length < TIME_END) return undefined;
  return new DataView(image.buffer, image.byteOffset).getBigInt64(TIME_START, true);
}

function withoutTime(image: Uint8Array): Uint8Array {
  return image.slice().fill(0, TIME_START, TIME_END);
}

function isTruncated(image: Uint8Array): boolean {
  try {
    for (const _ of decodeBytes(image));
    return false;
  } catch (error) {
    if (error instanceof MalformedImageError) return error.finding.id === "E_TRUNCATED";
    throw error;
  }
}
