// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/series.ts";
import { LDT_ENTRIES, PAGE_SIZE } from "../abi/arch.ts";
import { ERRNO } from "../abi/errno.ts";
import {
  decodeDescriptor,
  DESCRIPTOR_SIZE,
  encodeDescriptor,
  fillLdt,
  type SegmentDescriptor,
  segmentLoadFault,
  type SegmentRegister,
} from "./descriptor.ts";
import { decodeUserDesc, isLdtEmpty, USER_DESC_SIZE, type UserDesc, type UserMemory } from "./user_desc.ts";

/** Entries of a page; the 2.6.28 kernel allocates by that number. */
const ENTRIES_PER_PAGE = PAGE_SIZE / DESCRIPTOR_SIZE;

/** Which kernel, and which kind of program on it. */
export interface LdtModelOptions {
  /** Which kernel. */
  readonly dialect: Dialect;
  /** The kernel's word size: 8 for x86-64, 4 for i386. */
  readonly wordSize: 4 | 8;
  /** A 32-bit program on an x86-64 kernel: it sees its own 32-bit result register. False when not given. */
  readonly compat?: boolean;
}

/** What a call gave. */
export interface ModifyLdtResult {
  /**
   * The result register as a raw system call leaves it, as s64. modify_ldt returns an int that the x86-64
   * kernel does not sign-extend: there -EINVAL is 0xffffffea, 4294967274.
   */
  readonly result: bigint;
  /** The error number, or 0. */
  readonly errno: number;
  /** The bytes that were written to the program's memory from its start; absent when none was promised. */
  readonly data?: Uint8Array;
}

/**
 * The LDT of one address space as a state machine over modify_ldt(2), after arch/x86/kernel/ldt.c of Linux 6.1 (`port`)
 * or 2.6.28 (`v11`). Running out of memory, fatal signals and kernels without CONFIG_X86_16BIT are not modelled.
 */
export class LdtModel {
  /** What the model was made with. */
  readonly options: LdtModelOptions;
  #table: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** A process that has no LDT yet. */
  constructor(options: LdtModelOptions) {
    this.options = options;
  }

  /** The entries that the kernel keeps: `nldt` of the image. 0 before the first successful write. */
  get nrEntries(): number {
    return this.#table.length / DESCRIPTOR_SIZE;
  }

  /**
   * One call. `func`: 0 read, 1 write in old mode, 2 read the default LDT, 0x11 write; ENOSYS for all others.
   * `bytecount` is the third argument as the register holds it, negative numbers as u64 (a compat program's
   * as u32). Memory is taken as far as `ptr` has bytes; a read into fewer bytes than it fills is EFAULT.
   */
  modifyLdt(func: number | bigint, ptr: UserMemory, bytecount: bigint): ModifyLdtResult {
    const count = BigInt.asUintN(this.#registerBits(), bytecount);
    // The kernel's parameter is an int: the upper half of the register is ignored.
    switch (Number(BigInt.asIntN(32, BigInt(func)))) {
      case 0:
        return this.#readLdt(ptr, count);
      case 1:
        return this.#writeLdt(ptr, count, true);
      case 2:
        return this.#readDefaultLdt(ptr, count);
      case 0x11:
        return this.#writeLdt(ptr, count, false);
      default:
        return this.#failure(ERRNO.ENOSYS);
    }
  }

  /** A copy of the table, `nrEntries` times 8 bytes: the raw block that follows the MM_CONTEXT record. */
  entries(): Uint8Array<ArrayBuffer> {
    return this.#table.slice();
  }

  /**
   * The descriptor of entry `index`.
   * @throws {RangeError} when the table has no such entry.
   */
  entry(index: number): SegmentDescriptor {
    if (!Number.isInteger(index) || index < 0 || index >= this.nrEntries) {
      throw new RangeError(`LDT entry: expected 0 to below ${this.nrEntries}, found ${index}`);
    }
    return decodeDescriptor(this.#table, index * DESCRIPTOR_SIZE);
  }

  /** The LDT of a new process: the same table, its own copy. (CLONE_VM shares: use the same object.) */
  fork(): LdtModel {
    const child = new LdtModel(this.options);
    child.#table = this.#table.slice();
    return child;
  }

  /**
   * The LDT after exec. Linux 6.1 starts without one. 2.6.28 copies the caller's: its init_new_context makes
   * no difference between fork and exec (changed in 4.15).
   */
  exec(): LdtModel {
    return this.options.dialect === "v11" ? this.fork() : new LdtModel(this.options);
  }

  /**
   * The program loads `selector` into `register`. When that succeeds the processor sets the accessed bit of
   * the entry, if it is clear; in the port dialect it never is. Selectors of the GDT do nothing here. LAR and
   * LSL never set the bit.
   * @returns whether the table was changed.
   */
  selectorLoaded(selector: number, register: SegmentRegister = "fs"): boolean {
    const index = selector >>> 3;
    if ((selector & 4) === 0 || index >= this.nrEntries) return false;
    const descriptor = this.entry(index);
    const use = { rpl: selector & 3, longMode: this.options.wordSize === 8 };
    if (segmentLoadFault(descriptor, register, use) !== undefined || (descriptor.type & 1) !== 0) {
      return false;
    }
    this.#table.set(encodeDescriptor({ ...descriptor, type: descriptor.type | 1 }), index * DESCRIPTOR_SIZE);
    return true;
  }

  /** `read_ldt`: pretends that the table goes on with zeros up to 64 KiB, and says that it read them. */
  #readLdt(ptr: UserMemory, bytecount: bigint): ModifyLdtResult {
    if (this.nrEntries === 0) return this.#success(0, new Uint8Array(0));
    const count = smaller(bytecount, LDT_ENTRIES * DESCRIPTOR_SIZE);
    if (!canHold(ptr, count)) return this.#failure(ERRNO.EFAULT);
    const data = new Uint8Array(count);
    data.set(this.#table.subarray(0, count));
    return this.#success(count, data);
  }

  /** `read_default_ldt`: zeros, five descriptors' worth on i386 and 128 bytes on x86-64. */
  #readDefaultLdt(ptr: UserMemory, bytecount: bigint): ModifyLdtResult {
    const count = smaller(bytecount, this.options.wordSize === 8 ? 128 : 5 * DESCRIPTOR_SIZE);
    if (!canHold(ptr, count)) return this.#failure(ERRNO.EFAULT);
    return this.#success(count, new Uint8Array(count));
  }

  /** `write_ldt`: the checks stand in the kernel's order, the first that fails names the error. */
  #writeLdt(ptr: UserMemory, bytecount: bigint, oldMode: boolean): ModifyLdtResult {
    if (bytecount !== BigInt(USER_DESC_SIZE)) return this.#failure(ERRNO.EINVAL);
    if (ptr === "fault" || ptr.length < USER_DESC_SIZE) return this.#failure(ERRNO.EFAULT);
    const info = decodeUserDesc(ptr);
    if (info.entryNumber >= LDT_ENTRIES) return this.#failure(ERRNO.EINVAL);
    if (info.contents === 3 && (oldMode || !info.segNotPresent)) return this.#failure(ERRNO.EINVAL);
    const clears = this.#isClearRequest(info, oldMode);
    this.#grow(info.entryNumber + 1);
    const bytes = clears
      ? new Uint8Array(DESCRIPTOR_SIZE)
      : encodeDescriptor(fillLdt(info, { dialect: this.options.dialect, oldMode }));
    this.#table.set(bytes, info.entryNumber * DESCRIPTOR_SIZE);
    return this.#success(0);
  }

  #isClearRequest(info: UserDesc, oldMode: boolean): boolean {
    if (oldMode && info.baseAddr === 0 && info.limit === 0) return true;
    // The LDT_empty of 2.6.28 wanted lm = 0 too, on x86-64.
    const lmForbids = this.options.dialect === "v11" && this.options.wordSize === 8 && info.lm;
    return isLdtEmpty(info) && !lmForbids;
  }

  /** A table never shrinks; clearing an entry beyond its end grows it too. */
  #grow(entries: number): void {
    const wanted = this.options.dialect === "v11"
      ? Math.ceil(entries / ENTRIES_PER_PAGE) * ENTRIES_PER_PAGE
      : entries;
    if (wanted <= this.nrEntries) return;
    const table = new Uint8Array(wanted * DESCRIPTOR_SIZE);
    table.set(this.#table);
    this.#table = table;
  }

  #registerBits(): 32 | 64 {
    return this.options.wordSize === 4 || this.options.compat ? 32 : 64;
  }

  #success(value: number, data?: Uint8Array): ModifyLdtResult {
    return { result: BigInt(value), errno: 0, ...data && { data } };
  }

  #failure(errno: number): ModifyLdtResult {
    return { result: this.#registerBits() === 64 ? BigInt(-errno >>> 0) : BigInt(-errno), errno };
  }
}

function smaller(bytecount: bigint, maximum: number): number {
  return bytecount > BigInt(maximum) ? maximum : Number(bytecount);
}

/** Whether `count` bytes can be written; nothing at all can be written anywhere. */
function canHold(ptr: UserMemory, count: number): boolean {
  return count === 0 || (ptr !== "fault" && ptr.length >= count);
}
