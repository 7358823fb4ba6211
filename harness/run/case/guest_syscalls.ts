// SPDX-License-Identifier: MIT

import { errnoName, MAX_ERRNO } from "../../../lib/abi/errno.ts";
import { type SyscallName, syscallNumber } from "../../../lib/model/syscall_numbers.ts";
import type { SyscallArgument } from "../../../vm/agent/agent_types.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** System calls by name, made by the agent, that must succeed. */
export class GuestSyscalls {
  readonly #agent: GuestAgent;
  /** Word size of the agent and its kernel, in bytes. */
  readonly wordSize: 4 | 8;

  constructor(agent: GuestAgent) {
    this.#agent = agent;
    this.wordSize = agent.info.wordSize;
  }

  /**
   * Makes a call: what it returned, and what is in its last buffer then.
   *
   * @throws {UsageError} naming the call and its errno when it fails: what was to be set up cannot be
   */
  async call(name: SyscallName, ...args: SyscallArgument[]): Promise<{ result: number; bytes: Uint8Array }> {
    const { result, bytes } = await this.#agent.syscall(syscallNumber(name, this.wordSize), ...args);
    if (result < 0n && result >= -MAX_ERRNO) {
      const shown = args.map((arg) => typeof arg === "object" ? `${arg.length} bytes` : String(arg));
      throw new UsageError(
        `the guest's agent: ${name}(${shown.join(", ")}) gave ${errnoName(Number(-result))}`,
      );
    }
    return { result: Number(result), bytes };
  }

  /** Words as the agent has them in memory, for a struct of longs or pointers. */
  words(...values: readonly bigint[]): Uint8Array {
    const bytes = new Uint8Array(values.length * this.wordSize);
    const view = new DataView(bytes.buffer);
    values.forEach((value, index) => {
      if (this.wordSize === 8) view.setBigUint64(8 * index, value, true);
      else view.setUint32(4 * index, Number(value), true);
    });
    return bytes;
  }

  /** The two descriptors that pipe2(2) or socketpair(2) write. */
  static pair(bytes: Uint8Array): [number, number] {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return [view.getInt32(0, true), view.getInt32(4, true)];
  }
}
