// SPDX-License-Identifier: MIT
import { TLS_ENTRIES } from "../abi/arch.ts";
import type { Dialect } from "../abi/series.ts";
import { ERRNO } from "../abi/errno.ts";
import {
  decodeDescriptor,
  DESCRIPTOR_SIZE,
  encodeDescriptor,
  fillLdt,
  isEmptyDescriptor,
  type SegmentDescriptor,
} from "./descriptor.ts";
import {
  decodeUserDesc,
  encodeUserDesc,
  isLdtEmpty,
  isLdtZero,
  USER_DESC_SIZE,
  type UserDesc,
  type UserMemory,
} from "./user_desc.ts";

/** Which kernel. */
export interface TlsModelOptions {
  /** `GDT_ENTRY_TLS_MIN`: 6 on an i386 kernel, 12 on x86-64. */
  readonly firstSlot: 6 | 12;
  /** The kernel's word size: it decides what lm means in 2.6.28. */
  readonly wordSize: 4 | 8;
  /** `port` (Linux 6.1) when not given; `v11` is 2.6.28. */
  readonly dialect?: Dialect;
}

/** What a call gave. */
export interface TlsResult {
  /** 0 or -errno, as s64: these calls sign-extend it, unlike modify_ldt. */
  readonly result: bigint;
  /** The error number, or 0. */
  readonly errno: number;
  /** The program's user_desc after the call, 16 bytes; absent when the call did not write to it. */
  readonly userDesc?: Uint8Array;
}

/**
 * The TLS array of one thread as a state machine over set_thread_area(2), get_thread_area(2), fork and exec, after
 * arch/x86/kernel/tls.c. A native x86-64 program has neither system call (ENOSYS, no entry in syscall_64.tbl).
 */
export class TlsModel {
  /** What the model was made with. */
  readonly options: TlsModelOptions;
  readonly #array = new Uint8Array(TLS_ENTRIES * DESCRIPTOR_SIZE);

  /** A thread whose three slots are empty. */
  constructor(options: TlsModelOptions) {
    this.options = options;
  }

  /** Slots that are not empty: `ntls` of the image. */
  get ntls(): number {
    return this.#slots().filter((slot) => !isEmptyDescriptor(slot)).length;
  }

  /** The whole array, 24 bytes: the raw block that follows a THREAD record with `ntls` above 0. */
  array(): Uint8Array<ArrayBuffer> {
    return this.#array.slice();
  }

  /**
   * The descriptor of GDT slot `number`.
   * @throws {RangeError} when it is not one of the three.
   */
  slot(number: number): SegmentDescriptor {
    if (!Number.isInteger(number) || !this.#isSlot(number)) {
      throw new RangeError(
        `TLS slot: expected ${this.options.firstSlot} to ${
          this.options.firstSlot + TLS_ENTRIES - 1
        }, found ${number}`,
      );
    }
    return decodeDescriptor(this.#array, this.#offset(number));
  }

  /**
   * set_thread_area(2): `do_set_thread_area`. Entry number -1 takes the first empty slot and is replaced by its
   * number, which is written back before the slot is set.
   */
  setThreadArea(ptr: UserMemory): TlsResult {
    if (ptr === "fault" || ptr.length < USER_DESC_SIZE) return failure(ERRNO.EFAULT);
    const info = decodeUserDesc(ptr);
    if (!this.#isOkay(info)) return failure(ERRNO.EINVAL);
    const isAllocated = info.entryNumber === 0xffff_ffff;
    const free = this.#slots().findIndex(isEmptyDescriptor);
    if (isAllocated && free === -1) return failure(ERRNO.ESRCH);
    const index = isAllocated ? this.options.firstSlot + free : info.entryNumber;
    if (!this.#isSlot(index)) return failure(ERRNO.EINVAL);
    this.#array.set(this.#descriptorBytes(info), this.#offset(index));
    const userDesc = isAllocated && { userDesc: encodeUserDesc({ ...info, entryNumber: index }) };
    return { result: 0n, errno: 0, ...userDesc };
  }

  /** get_thread_area(2), `do_get_thread_area`: fills the user_desc whose entry number names the slot. */
  getThreadArea(ptr: UserMemory): TlsResult {
    if (ptr === "fault" || ptr.length < 4) return failure(ERRNO.EFAULT);
    const index = new DataView(ptr.buffer, ptr.byteOffset).getInt32(0, true);
    if (!this.#isSlot(index)) return failure(ERRNO.EINVAL);
    if (ptr.length < USER_DESC_SIZE) return failure(ERRNO.EFAULT);
    return { result: 0n, errno: 0, userDesc: encodeUserDesc(this.#userDesc(index)) };
  }

  /** The TLS array of a new thread or process: a copy. */
  fork(): TlsModel {
    const child = new TlsModel(this.options);
    child.#array.set(this.#array);
    return child;
  }

  /** The TLS array after exec: empty in both dialects (flush_thread). */
  exec(): TlsModel {
    return new TlsModel(this.options);
  }

  /** `tls_desc_okay`, which came after 2.6.28: 32-bit present data segments, or a request to clear. */
  #isOkay(info: UserDesc): boolean {
    if (this.options.dialect === "v11" || this.#isClearRequest(info)) return true;
    return info.seg32bit && info.contents <= 1 && !info.segNotPresent;
  }

  #isClearRequest(info: UserDesc): boolean {
    if (this.options.dialect !== "v11") return isLdtEmpty(info) || isLdtZero(info);
    return isLdtEmpty(info) && !(this.options.wordSize === 8 && info.lm);
  }

  #descriptorBytes(info: UserDesc): Uint8Array {
    if (this.#isClearRequest(info)) return new Uint8Array(DESCRIPTOR_SIZE);
    return encodeDescriptor(fillLdt(info, { dialect: this.options.dialect ?? "port" }));
  }

  /** `fill_user_desc`: an empty slot reads back as read-only and not present, which is LDT_empty again. */
  #userDesc(slot: number): UserDesc {
    const { base, limit, type, p, avl, l, d, g } = this.slot(slot);
    return {
      entryNumber: slot,
      baseAddr: base,
      limit,
      seg32bit: d,
      contents: type >> 2,
      readExecOnly: (type & 2) === 0,
      limitInPages: g,
      segNotPresent: !p,
      useable: avl,
      lm: this.options.wordSize === 8 && l,
      padding: 0,
    };
  }

  #slots(): SegmentDescriptor[] {
    return Array.from({ length: TLS_ENTRIES }, (_, index) => this.slot(this.options.firstSlot + index));
  }

  #isSlot(number: number): boolean {
    return number >= this.options.firstSlot && number < this.options.firstSlot + TLS_ENTRIES;
  }

  #offset(slot: number): number {
    return (slot - this.options.firstSlot) * DESCRIPTOR_SIZE;
  }
}

function failure(errno: number): TlsResult {
  return { result: BigInt(-errno), errno };
}
