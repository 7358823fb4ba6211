// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../abi/arch.ts";
import type { SignalAction, SignalStack } from "../model/state/signal_state.ts";
import { byteText } from "../printable.ts";
import { wordsOf } from "../bytes.ts";
import { type PagemapEntry, parsePagemap } from "./pagemap.ts";
import { type MapsEntry, nameOf, parseMaps, parseSmaps, type SmapsEntry } from "./proc_maps.ts";
import { parseProcStat, type ProcStat } from "./proc_stat.ts";

/** What the kernel says of itself and its processor, once a boot. */
export interface KernelObservation {
  /** The release of uname. */
  readonly release: string;
  /** The version of uname. */
  readonly version: string;
  /** The machine of uname. */
  readonly machine: string;
  /** Page frame number of the zero page; undefined for a kernel without one. */
  readonly zeroFrame: bigint | undefined;
  /** The flags line of /proc/cpuinfo. */
  readonly cpuFlags: ReadonlySet<string>;
}

/** What other kernel interfaces said of the stopped target; undefined is what an old kernel does not tell. */
export interface TargetObservation {
  /** Its pid in the namespace of the agent. */
  readonly pid: number;
  /** The lines of /proc/PID/maps, without the gate page. */
  readonly maps: readonly MapsEntry[];
  /** The entries of /proc/PID/smaps, without the gate page. */
  readonly smaps: readonly SmapsEntry[];
  /** The fields of /proc/PID/stat. */
  readonly stat: ProcStat;
  /** /proc/PID/comm, without its newline (since Linux 2.6.33). */
  readonly comm: Uint8Array | undefined;
  /** /proc/PID/auxv: pairs of words. */
  readonly auxv: Uint8Array | undefined;
  /** /proc/PID/cmdline: the arguments, each with its NUL. */
  readonly cmdline: Uint8Array | undefined;
  /** /proc/PID/environ: the environment, each variable with its NUL. */
  readonly environ: Uint8Array | undefined;
  /** The pages that /proc/PID/pagemap shows as present or swapped. */
  readonly pagemap: readonly PagemapEntry[];
  /** Block hashes of pages by page number: all that the host sees in the guest's memory, or the agent was asked for. */
  readonly pageHashes: ReadonlyMap<number, bigint>;
  /** ptrace's struct user_regs_struct of the agent's word size. */
  readonly gpr: Uint8Array;
  /** The NT_X86_XSTATE regset, without XSAVE another; undefined without PTRACE_GETREGSET (Linux 2.6.34). */
  readonly xstate: Uint8Array | undefined;
  /** PTRACE_GETFPXREGS of an i386 kernel, 512 bytes: asked for where there is no PTRACE_GETREGSET. */
  readonly fpxregs: Uint8Array | undefined;
  /** Whether ptrace has the NT_X86_XSTATE register set. */
  readonly hasXsave: boolean;
  /** Eight words of PTRACE_PEEKUSER, debug registers 0 to 7. */
  readonly debugRegisters: Uint8Array;
  /** Three user_desc of PTRACE_GET_THREAD_AREA. */
  readonly tls: Uint8Array;
  /** What it does about signals. */
  readonly signals: SignalObservation;
  /** The program break where the target reported it. */
  readonly brk: bigint | undefined;
  /** What brk(0) returned when a tracer had the target call it. */
  readonly calledBrk: bigint | undefined;
  /**
   * What modify_ldt(0) read when a tracer had the target call it, empty entries at the end left out: no bytes where it
   * has no LDT, at least one entry where it has one.
   */
  readonly ldt: Uint8Array | undefined;
  /** The guest's clock in seconds around the call. */
  readonly t0: bigint;
  /** The clock after the call. */
  readonly t1: bigint;
}

/** What a target does about signals, as far as it was told. */
export interface SignalObservation {
  /** PTRACE_GETSIGMASK (since Linux 3.11). */
  readonly blocked: bigint | undefined;
  /** The mask SigCgt of /proc/PID/status. */
  readonly caught: bigint;
  /** Its mask SigIgn. */
  readonly ignored: bigint;
  /** What sigaltstack(2) told when a tracer had the target call it. */
  readonly stack: SignalStack | undefined;
  /** What sigaction(2) told then of those signals that it was asked of. */
  readonly actions: ReadonlyMap<number, SignalAction> | undefined;
}

/** The raw answers that {@linkcode parseObservation} takes. */
export interface RawObservation extends Pick<TargetObservation, "pid" | "brk" | "t0" | "t1"> {
  /** Files of /proc/PID by name, and `pages`; comm, auxv, cmdline and environ may be absent. */
  readonly proc: ReadonlyMap<string, Uint8Array>;
  /**
   * Blobs of ptrace by name: gpr, debugreg, tls, and what there is of xstate, fpregs, fpxregs, brk, ldt, sigmask,
   * sigaltstack and sigactions.
   */
  readonly registers: ReadonlyMap<string, Uint8Array>;
  /** Pages that were hashed. */
  readonly hashedAddresses: BigUint64Array;
  /** Their block hashes. */
  readonly hashes: BigUint64Array;
}

/**
 * Parses what the agent read.
 *
 * @throws {SyntaxError} when an answer is missing or malformed
 */
export function parseObservation(raw: RawObservation): TargetObservation {
  const [xstate, brk, comm] = [raw.registers.get("xstate"), raw.registers.get("brk"), raw.proc.get("comm")];
  return {
    pid: raw.pid,
    maps: parseMaps(need(raw.proc, "maps")).filter(isOwnMapping),
    smaps: parseSmaps(need(raw.proc, "smaps")).filter(isOwnMapping),
    stat: parseProcStat(need(raw.proc, "stat")),
    comm: comm?.at(-1) === 0x0a ? comm.subarray(0, -1) : comm,
    auxv: raw.proc.get("auxv"),
    cmdline: raw.proc.get("cmdline"),
    environ: raw.proc.get("environ"),
    pagemap: parsePagemap(need(raw.proc, "pages")),
    pageHashes: hashTable(raw.hashedAddresses, raw.hashes),
    gpr: need(raw.registers, "gpr"),
    xstate: xstate ?? raw.registers.get("fpregs"),
    fpxregs: raw.registers.get("fpxregs"),
    hasXsave: xstate !== undefined,
    debugRegisters: need(raw.registers, "debugreg"),
    tls: need(raw.registers, "tls"),
    brk: raw.brk,
    calledBrk: brk && wordsOf(brk, 8)[0],
    ldt: raw.registers.get("ldt"),
    signals: parseSignals(raw),
    t0: raw.t0,
    t1: raw.t1,
  };
}

/** `stack_t`, and entries of a signal's number and its `struct sigaction`, in the words of the target. */
function parseSignals({ proc, registers }: RawObservation): SignalObservation {
  const status = byteText(need(proc, "status"));
  const mask = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\t([\\da-f]{16})$`, "m").exec(status)?.[1] ?? "0"}`);
  const sigmask = registers.get("sigmask");
  const known = {
    caught: mask("SigCgt"),
    ignored: mask("SigIgn"),
    blocked: sigmask && wordsOf(sigmask, 8)[0],
  };
  const [stack, actions] = [registers.get("sigaltstack"), registers.get("sigactions")];
  if (!stack || !actions) return { ...known, stack: undefined, actions: undefined };
  const wordSize = stack.length === 12 ? 4 : 8;
  const [sp, flags, size] = wordsOf(stack, wordSize);
  const entry = 4 + 3 * wordSize + 8;
  if (size === undefined || actions.length % entry !== 0) {
    throw new SyntaxError("sigaltstack and sigactions: expected whole structs of one word size");
  }
  const table = new Map<number, SignalAction>();
  for (let at = 0; at < actions.length; at += entry) {
    const [number] = wordsOf(actions.slice(at, at + 4), 4);
    const [handler, flags, restorer] = wordsOf(actions.slice(at + 4, at + entry - 8), wordSize);
    const [mask] = wordsOf(actions.slice(at + entry - 8, at + entry), 8);
    table.set(Number(number), { handler: handler!, flags: flags!, restorer: restorer!, mask: mask! });
  }
  return { ...known, stack: { sp: sp!, size, flags: Number(flags! & 0xffff_ffffn) }, actions: table };
}

/** The gate page of x86-64 is shown in maps but is no VMA of the task. */
function isOwnMapping(entry: MapsEntry): boolean {
  return nameOf(entry) !== "[vsyscall]";
}

function need(blobs: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const bytes = blobs.get(name);
  if (!bytes) {
    throw new SyntaxError(`The guest did not answer "${name}": it sent ${[...blobs.keys()].join(", ")}`);
  }
  return bytes;
}

function hashTable(addresses: BigUint64Array, hashes: BigUint64Array): Map<number, bigint> {
  if (hashes.length !== addresses.length) {
    throw new SyntaxError(`Each page must have a hash: found ${hashes.length} for ${addresses.length} pages`);
  }
  return new Map(
    Array.from(addresses, (address, index) => [Number(address / PAGE_SIZE_BIG), hashes[index]!]),
  );
}
