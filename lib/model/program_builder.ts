// SPDX-License-Identifier: MIT

import { hex } from "../bytes.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import { nameBytes } from "./state/file_model.ts";
import { MAP_FIXED_NOREPLACE } from "./state/vm_flag_rules.ts";
import { addressOf } from "./state/page_set.ts";
import { type SyscallName, syscallNumber } from "./syscall_numbers.ts";
import type { ExpectedResult, OpArgument, ResultRole, TargetOp } from "./target_op.ts";

/** What a system call must return: a value, or undefined where any value will do. */
interface SyscallOptions {
  readonly expected?: bigint | undefined;
  readonly keep?: number;
}

const ROLES: Partial<Record<SyscallName, ResultRole>> = { brk: "break", userfaultfd: "userfaultfd" };

/** Collects the target's ops and, beside them, what each must result in. */
export class ProgramBuilder {
  readonly ops: TargetOp[] = [];
  readonly results: ExpectedResult[] = [];
  readonly wordSize: 4 | 8;

  constructor(wordSize: 4 | 8) {
    this.wordSize = wordSize;
  }

  emit(op: TargetOp): void {
    this.ops.push(op);
  }

  /** Adds an op with one number as its result. */
  emitWithResult(
    op: TargetOp,
    what: string,
    expected?: bigint,
    more: Pick<ExpectedResult, "mask" | "orElse" | "role"> = {},
  ): void {
    this.ops.push(op);
    this.results.push({ what, expected, ...more, report: false });
  }

  /** Adds a raw system call. */
  syscall(name: SyscallName, args: readonly OpArgument[], options: SyscallOptions = {}): void {
    const op: TargetOp = { op: "syscall", nr: syscallNumber(name, this.wordSize), args };
    const shown = args.map((arg) => typeof arg === "bigint" ? hex(arg) : JSON.stringify(arg));
    this.emitWithResult(
      options.keep === undefined ? op : { ...op, keep: options.keep },
      `${name}(${shown.join(", ")})`,
      options.expected,
      { role: ROLES[name] },
    );
  }

  /** Adds a system call that must return 0. */
  succeed(name: SyscallName, args: readonly OpArgument[]): void {
    this.syscall(name, args, { expected: 0n });
  }

  /** Maps pages at a fixed place: mmap on x86-64, mmap2 (offset in pages) on i386. */
  mmap(
    { page, pages, prot, flags, fd, offset }:
      & Record<"page" | "pages" | "prot" | "flags" | "offset", number>
      & { fd: OpArgument },
  ): void {
    const wide = this.wordSize === 8;
    this.syscall(wide ? "mmap" : "mmap2", [
      addressOf(page),
      addressOf(pages),
      BigInt(prot),
      BigInt(flags | MAP_FIXED_NOREPLACE),
      fd,
      BigInt(wide ? offset * PAGE_SIZE : offset),
    ], { expected: addressOf(page) });
  }

  /** Puts bytes at an offset of the scratch memory and returns the argument that points to them. */
  scratch(offset: number, bytes: Uint8Array): OpArgument {
    this.emit({ op: "data", offset, bytes });
    return { scratch: offset };
  }

  /** Puts a NUL-terminated string (see `nameBytes`) at an offset of the scratch memory. */
  scratchString(offset: number, text: string): OpArgument {
    return this.scratch(offset, new Uint8Array([...nameBytes(text), 0]));
  }

  /** Asks for memory to be reported, and says what it must hold. */
  report(address: OpArgument, length: number, what: string, bytes?: Uint8Array): void {
    this.emit({ op: "report", address, length });
    this.results.push({ what, bytes, report: true });
  }
}
