// SPDX-License-Identifier: MIT

import { errnoNumber } from "../abi/errno.ts";

/** Why the kernel code refuses: what the call returns, and where the image ends. */
export interface Refusal {
  /** Name of the errno. */
  readonly name: string;
  /** Its number. */
  readonly errno: number;
  /** The first page of the area that cannot be saved; undefined when nothing at all is written. */
  readonly atPage: number | undefined;
  /**
   * The page of that area that cannot be read, where that is the reason: the record of the area, and all chunks that
   * are full before it is come to, are in the image.
   */
  readonly page?: number;
  /** The reason, in words. */
  readonly why: string;
}

/** The refusal with an errno. */
export function refuse(name: string, atPage: number | undefined, why: string): Refusal {
  return { name, errno: errnoNumber(name), atPage, why };
}
