// SPDX-License-Identifier: MIT
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
  readonly dialect?: Dialect;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const ADDRESS = 0x7fff_ffff_ffffn;
const PAGE_NUMBER = 0x7fff_ffff_f000n;

function mmFields(): OpaqueBits[] {
  const names =
    "start_code end_code start_data end_data start_brk brk start_stack arg_start arg_end env_start env_end";
  const why = "any address of user space, its end not below its start";
  return names.split(" ").map((name) => ({ where: `MM.${name}`, mask: ADDRESS, why }));
}

function registers(): OpaqueBits[] {
  const general = "ax bx cx dx si di bp sp ip orig_ax r8 r9 r10 r11 r12 r13 r14 r15 " +
    "debugreg0 debugreg1 debugreg2 debugreg3";
  return [
    ...general.split(" ").map((name) => ({ where: `CPU.${name}`, mask: ALL, why: "the program's" })),
    ..."ds es".split(" ").map((name) => ({ where: `CPU.${name}`, mask: 0xffffn, why: "the program's" })),
    ..."fs gs".split(" ").map((name) => ({
      where: `CPU.${name}`,
      mask: ALL,
      why: "the program's; v11: leftovers",
    })),
    { where: "CPU.cs", mask: 0x10n, why: "64-bit or compat code" },
    { where: "CPU.ss", mask: 0x40n, why: "the data segment, or one of the TLS segments" },
    { where: "CPU.flags", mask: 0x25_7dd5n, why: "flags that a program can change" },
    { where: "CPU.debugreg6", mask: 0xe00fn, why: "events that happened" },
    {
      where: "CPU.debugreg6",
      mask: 0xffff_ffffn,
      why: "v11: the hardware's, whoever set it",
      dialect: "v11",
    },
    {
      where: "CPU.debugreg7",
      mask: 0xffff_ffffn,
      why: "v11: the hardware's, whoever set it",
      dialect: "v11",
    },
    { where: "CPU.uses_debug", mask: 1n, why: "v11: tells nothing", dialect: "v11" },
  ];
}

/**
 * What the rules of the format alone cannot judge. Everything else is checked: a test flips each bit of
 * images of both dialects. These bits are judged by comparison with the model and with what was observed.
 */
export const OPAQUE_BITS: readonly OpaqueBits[] = [
  { where: "HEAD.time", mask: ALL, why: "any time" },
  { where: "HEAD.release", mask: 0x7fn, why: "printable text, but for the version number" },
  { where: "HEAD.version", mask: 0x7fn, why: "printable text" },
  { where: "HEAD.machine", mask: 0x03n, why: "i386 to i686 are one architecture" },
  { where: "HEAD.rev", mask: 3n, why: "1 to 3 differ in which records there are", dialect: "v11" },
  {
    where: "HEAD_ARCH._padding",
    mask: ALL,
    why: "stale bytes, unpredictable in revisions 2 and 3",
    dialect: "v11",
  },
  { where: "TREE._padding", mask: ALL, why: "stale bytes", dialect: "v11" },
  { where: "pids", mask: ALL, why: "pids of parents and groups, and padding", dialect: "v11" },
  { where: "TASK.state", mask: 3n, why: "v11 takes tasks that sleep", dialect: "v11" },
  { where: "TASK.exit_code", mask: 0xffffn, why: "any exit code" },
  { where: "TASK.exit_signal", mask: 0xffn, why: "any signal, or what clone(2) takes for one" },
  {
    where: "TASK._padding",
    mask: ALL,
    why: "stale bytes, unpredictable in revisions 2 and 3",
    dialect: "v11",
  },
  { where: "STRING", mask: 0xffn, why: "a name of any bytes" },
  ...mmFields(),
  {
    where: "VMA._padding",
    mask: ALL,
    why: "stale bytes, unpredictable in revisions 2 and 3",
    dialect: "v11",
  },
  {
    where: "VMA.vm_start",
    mask: PAGE_NUMBER,
    why: "any page between the VMA before and the first page saved",
  },
  { where: "VMA.vm_end", mask: PAGE_NUMBER, why: "any page between the last page saved and the VMA after" },
  {
    where: "VMA.vm_flags",
    mask: 0x20_ff3f_ff67n,
    why: "permissions that give the same vm_page_prot, advice, accounting, locking",
  },
  { where: "VMA.vm_pgoff", mask: 0xf_ffff_ffff_ffffn, why: "any offset that the type of VMA can have" },
  { where: "FNAME", mask: 0xffn, why: "a name of any bytes" },
  { where: "pages", mask: PAGE_NUMBER, why: "another page of the VMA, if the order stays" },
  {
    where: "MM_CONTEXT._padding",
    mask: ALL,
    why: "stale bytes, unpredictable in revisions 2 and 3",
    dialect: "v11",
  },
  { where: "ldt", mask: 0xffdf_8fff_ffff_ffffn, why: "base, limit and kind of a segment" },
  { where: "FD_ENT.objref", mask: 0xffn, why: "another open file", dialect: "v11" },
  { where: "FD_ENT.fd", mask: 0x7fff_ffffn, why: "any descriptor above the one before", dialect: "v11" },
  { where: "FD_ENT.close_on_exec", mask: 1n, why: "the program's", dialect: "v11" },
  { where: "FD_ENT._padding", mask: ALL, why: "stale bytes", dialect: "v11" },
  { where: "FD_DATA.f_mode", mask: ALL, why: "raw kernel bits", dialect: "v11" },
  { where: "FD_DATA.f_flags", mask: ALL, why: "raw kernel bits", dialect: "v11" },
  { where: "FD_DATA.f_pos", mask: ALL, why: "any offset", dialect: "v11" },
  { where: "FD_DATA.f_version", mask: ALL, why: "raw kernel value", dialect: "v11" },
  {
    where: "THREAD._padding",
    mask: ALL,
    why: "stale bytes, unpredictable in revisions 2 and 3",
    dialect: "v11",
  },
  { where: "tls", mask: 0xffdf_8fff_ffff_ffffn, why: "base, limit and kind of a segment" },
  ...registers(),
  { where: "xstate", mask: ALL, why: "contents of FPU registers and control words" },
  { where: "X86_FSGSBASE.fsbase", mask: 0xff_ffff_ffff_ffffn, why: "any address" },
  { where: "X86_FSGSBASE.gsbase", mask: 0xff_ffff_ffff_ffffn, why: "any address" },
];
