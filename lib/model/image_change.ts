// SPDX-License-Identifier: MIT

import type { ErrnoName } from "../abi/errno.ts";
import type { RecordName } from "../image/records.ts";
import type { Problem } from "./call.ts";
import type { ImageEditor, Which } from "./image_editor.ts";

/** Something that is changed about an image, and what comes of it. */
export interface ImageChange {
  /** Why it is refused; undefined: it is taken. */
  readonly problem: Problem | undefined;
  readonly apply: (image: ImageEditor) => void;
  /** What the target must have, for signals a stack and two actions of them; or who alone can tell. */
  readonly needs?: "ldt" | "tls" | "signals" | "64 bits" | "a target of 32 bits" | "a kernel of 32 bits";
}

/** Makes a change. */
export type Apply = ImageChange["apply"];
type Needs = ImageChange["needs"];

/** A change that is refused. */
export function change(errno: ErrnoName, why: string, apply: Apply, needs?: Needs): ImageChange {
  return { problem: [errno, why], apply, ...needs && { needs } };
}

/** The same of one that breaks a rule of the format. */
export function invalid(why: string, apply: Apply, needs?: Needs): ImageChange {
  return change("EINVAL", why, apply, needs);
}

/** Flips bits of a field. */
export function flip(name: RecordName, field: string, mask: bigint, which?: Which): Apply {
  return (image) => image.flip(name, field, mask, which);
}

/** Sets a field. */
export function set(name: RecordName, field: string, value: bigint, which?: Which): Apply {
  return (image) => void image.set(name, field, value, which);
}

/** Sets a field to what another of the record holds, and so much more. */
export function setFrom(name: RecordName, field: string, from: string, more = 0n): Apply {
  return (image) => image.set(name, field, image.get(name, from) + more);
}

/** Ends the image so many bytes into a record. */
export function cutIn(name: RecordName, bytes = 0): Apply {
  return (image) => image.cut(image.record(name).offset + bytes);
}
