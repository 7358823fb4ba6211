// SPDX-License-Identifier: MIT
import { UNBLOCKABLE } from "../../abi/signals.ts";
import type { Dialect } from "../../abi/series.ts";

/** Bits of an image in which the rules of the format cannot see an error. */
interface OpaqueBits {
  /** `RECORD.field`, `RECORD` for each payload byte of a record without fields, or the kind of a raw node. */
  readonly where: string;
  /** The bits: of the field, of each of its bytes when it is text, of each address or descriptor. */
  readonly mask: bigint;
  /** Why no rule can tell. */
  readonly why: string;
  /** Only in this dialect. */
  readonly dialect: Dialect | undefined;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const PAGE_NUMBER = 0x7fff_ffff_f000n;

/** Places one after the other, their bits, why, and the dialect. */
const ROWS: readonly (readonly [places: string, mask: bigint, why: string, dialect?: Dialect])[] = [
  ["HEAD.time", ALL, "any time"],
  ["HEAD.release", 0x7fn, "printable text, but for the version number"],
  ["HEAD.version", 0x7fn, "printable text"],
  ["HEAD.machine", 0x03n, "i386 to i686 are one architecture"],
  ["HEAD.rev", 3n, "1 to 3 differ in which records there are", "v11"],
  [
    "HEAD_ARCH._padding TASK._padding VMA._padding MM_CONTEXT._padding THREAD._padding",
    ALL,
    "stale bytes, unpredictable in revisions 2 and 3",
    "v11",
  ],
  ["TREE._padding FD_ENT._padding", ALL, "stale bytes", "v11"],
  ["pids", ALL, "pids of parents and groups, and padding", "v11"],
  ["TASK.state", 3n, "v11 takes tasks that sleep", "v11"],
  ["TASK.exit_code", 0xffffn, "any exit code"],
  ["TASK.exit_signal", 0xffn, "any signal, or what clone(2) takes for one"],
  ["STRING FNAME", 0xffn, "a name of any bytes"],
  [
    "MM.start_code MM.end_code MM.start_data MM.end_data MM.start_brk MM.brk MM.start_stack " +
    "MM.arg_start MM.arg_end MM.env_start MM.env_end",
    0x7fff_ffff_ffffn,
    "any address of user space, its end not below its start",
  ],
  ["VMA.vm_start", PAGE_NUMBER, "any page between the VMA before and the first page saved"],
  ["VMA.vm_end", PAGE_NUMBER, "any page between the last page saved and the VMA after"],
  [
    "VMA.vm_flags",
    0x20_ff3f_ff67n,
    "permissions that give the same vm_page_prot, advice, accounting, locking",
  ],
  ["VMA.vm_pgoff", 0xf_ffff_ffff_ffffn, "any offset that the type of VMA can have"],
  ["pages", PAGE_NUMBER, "another page of the VMA, if the order stays"],
  ["ldt tls", 0xffdf_8fff_ffff_ffffn, "base, limit and kind of a segment"],
  ["FD_ENT.objref", 0xffn, "another open file", "v11"],
  ["FD_ENT.fd", 0x7fff_ffffn, "any descriptor above the one before", "v11"],
  ["FD_ENT.close_on_exec", 1n, "the program's", "v11"],
  ["FD_DATA.f_mode FD_DATA.f_flags", ALL, "raw kernel bits", "v11"],
  ["FD_DATA.f_pos", ALL, "any offset", "v11"],
  ["FD_DATA.f_version", ALL, "raw kernel value", "v11"],
  [
    "CPU.ax CPU.bx CPU.cx CPU.dx CPU.si CPU.di CPU.bp CPU.sp CPU.ip CPU.orig_ax CPU.r8 CPU.r9 CPU.r10 CPU.r11 " +
    "CPU.r12 CPU.r13 CPU.r14 CPU.r15 CPU.debugreg0 CPU.debugreg1 CPU.debugreg2 CPU.debugreg3",
    ALL,
    "the program's",
  ],
  ["CPU.ds CPU.es", 0xffffn, "the program's"],
  ["CPU.fs CPU.gs", ALL, "the program's; v11: leftovers"],
  ["CPU.cs", 0x10n, "64-bit or compat code"],
  ["CPU.ss", 0x40n, "the data segment, or one of the TLS segments"],
  ["CPU.flags", 0x25_7dd5n, "flags that a program can change"],
  ["CPU.debugreg6", 0xe00fn, "events that happened"],
  ["CPU.debugreg6 CPU.debugreg7", 0xffff_ffffn, "v11: the hardware's, whoever set it", "v11"],
  ["CPU.uses_debug", 1n, "v11: tells nothing", "v11"],
  ["xstate", ALL, "contents of FPU registers and control words"],
  ["X86_FSGSBASE.fsbase X86_FSGSBASE.gsbase", 0xff_ffff_ffff_ffffn, "any address"],
  ["SIGNALS.blocked SIGACTION.sa_mask", ALL & ~UNBLOCKABLE, "any signals that can be blocked"],
  ["SIGNALS.sas_ss_sp SIGNALS.sas_ss_size", ALL, "any stack that is large enough"],
  ["SIGNALS.sas_ss_flags", 0x8000_0000n, "a stack that is disarmed in a handler"],
  ["SIGACTION.sa_handler SIGACTION.sa_restorer", ALL, "any address"],
  ["SIGACTION.sa_flags", 0xde00_0807n, "any flags of an action"],
  ["SIGACTION.signr", 0x7fn, "another signal, if the order stays"],
  ["AUXV", 0xffn, "what the kernel told the program, but for the AT_NULL at its end"],
];

/**
 * What the rules of the format alone cannot judge. Everything else is checked: a test flips each bit of
 * images of both dialects. These bits are judged by comparison with the model and with what was observed.
 */
export const OPAQUE_BITS: readonly OpaqueBits[] = ROWS.flatMap(([places, mask, why, dialect]) =>
  places.split(" ").map((where) => ({ where, mask, why, dialect }))
);
