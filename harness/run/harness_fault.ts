// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../lib/image/finding.ts";

/**
 * An error of ckptest's own that nobody foresaw ended a scenario, such as a parser that cannot take a line of `/proc`.
 * It says nothing of the kernel.
 */
export class HarnessFault extends Error {
  override readonly name = "HarnessFault";
  /** What the guest had answered last, images among it, by names for files. */
  readonly inputs: ReadonlyMap<string, Uint8Array>;

  constructor(cause: unknown, inputs: ReadonlyMap<string, Uint8Array> = new Map()) {
    super(cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause), { cause });
    this.inputs = inputs;
  }

  /** The error as a fault; one that is a fault already stays as it is. */
  static of(error: unknown): HarnessFault {
    return error instanceof HarnessFault ? error : new HarnessFault(error);
  }

  get trace(): string {
    return this.cause instanceof Error ? this.cause.stack ?? this.message : this.message;
  }

  toFinding(): Finding {
    return mismatch("E_HARNESS", {
      path: "ckptest",
      message: "an error of ckptest itself, which says nothing of the kernel: please report it",
      actual: this.message.split("\n", 1)[0]!,
    });
  }
}
