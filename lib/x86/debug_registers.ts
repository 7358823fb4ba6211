// SPDX-License-Identifier: MIT
import { ERRNO } from "../abi/errno.ts";

/** A breakpoint slot as the kernel keeps it (a perf event): an address, and what DR7 said of it last. */
interface Slot {
  readonly address: bigint;
  readonly lengthBits: number;
  readonly typeBits: number;
}

/** DR6 of a task that met no trap: the bits that read as ones (DR6_RESERVED, asm/debugreg.h). */
export const DR6_AT_REST = 0xffff0ff0n;

/** Bit of DR6: single step. */
const DR_STEP = 0x4000n;

const SLOTS = 4;
const EXECUTE = 0;
const WRITE = 1;
const IO = 2;
const LENGTH_1 = 0;
const LENGTH_8 = 2;
/** Bytes that the two length bits of DR7 stand for. */
const LENGTHS = [1n, 2n, 8n, 4n];

/**
 * The debug registers of a task as its tracer sets and sees them: PTRACE_POKEUSER and PTRACE_PEEKUSER of u_debugreg
 * (arch/x86/kernel/ptrace.c and hw_breakpoint.c, Linux 6.1). Registers are numbered 0 to 7.
 */
export class DebugRegisters {
  readonly #wordSize: 4 | 8;
  readonly #slots: (Slot | undefined)[] = [undefined, undefined, undefined, undefined];
  #dr6 = DR6_AT_REST;
  #dr7 = 0n;

  /** `wordSize`: that of the kernel, in bytes. */
  constructor(wordSize: 4 | 8) {
    this.#wordSize = wordSize;
  }

  /** The eight words that a tracer sees. */
  words(): bigint[] {
    return [...this.#slots.map((slot) => slot?.address ?? 0n), 0n, 0n, this.#dr6, this.#dr7];
  }

  /** After a tracer has had the task carry out one instruction: DR6 says so (DR_STEP). */
  step(): void {
    this.#dr6 |= DR_STEP;
  }

  /**
   * A child's: copy_thread() drops the breakpoints, but the child keeps the parent's DR6 and DR7 to see
   * (they came with its copy of thread_struct).
   */
  fork(): DebugRegisters {
    const child = new DebugRegisters(this.#wordSize);
    child.#dr6 = this.#dr6;
    child.#dr7 = this.#dr7;
    return child;
  }

  /** After execve(2): flush_ptrace_hw_breakpoint() leaves nothing. */
  exec(): DebugRegisters {
    return new DebugRegisters(this.#wordSize);
  }

  /**
   * PTRACE_POKEUSER of one register.
   *
   * @returns 0, or the errno of the refusal; nothing has changed then but addresses of slots that a refused
   * DR7 would have enabled
   */
  set(register: number, value: bigint): number {
    if (register < SLOTS) return this.#setAddress(register, value);
    if (register === 6) this.#dr6 = value;
    else if (register === 7) return this.#setControl(value);
    else return ERRNO.EIO;
    return 0;
  }

  #setAddress(register: number, address: bigint): number {
    const { lengthBits, typeBits } = this.#slots[register] ?? { lengthBits: LENGTH_1, typeBits: WRITE };
    const slot = { address, lengthBits, typeBits };
    if (!this.#isValid(slot)) return ERRNO.EINVAL;
    this.#slots[register] = slot;
    return 0;
  }

  /** ptrace_write_dr7(): every slot that is enabled, or was ever used, takes its length and type from DR7. */
  #setControl(value: bigint): number {
    const slots = this.#slots.map((slot, i) => {
      const isEnabled = (value >> BigInt(2 * i) & 3n) !== 0n;
      if (!slot && !isEnabled) return undefined;
      const bits = Number(value >> BigInt(16 + 4 * i) & 0xfn);
      return { address: slot?.address ?? 0n, typeBits: bits & 3, lengthBits: bits >> 2 };
    });
    if (!slots.every((slot) => !slot || this.#isValid(slot))) return ERRNO.EINVAL;
    slots.forEach((slot, i) => this.#slots[i] = slot);
    this.#dr7 = value;
    return 0;
  }

  /** arch_bp_generic_fields() and hw_breakpoint_arch_parse(); the kernel's own addresses are refused. */
  #isValid({ address, lengthBits, typeBits }: Slot): boolean {
    const wide = this.#wordSize === 8;
    if (typeBits === IO) return false;
    if (typeBits === EXECUTE && lengthBits !== LENGTH_1) return false;
    if (lengthBits === LENGTH_8 && !wide) return false;
    const length = LENGTHS[lengthBits]!;
    if (address % length !== 0n) return false;
    return address + length <= (wide ? 0x7ffffffff000n : 0xc0000000n);
  }
}
