// SPDX-License-Identifier: MIT

import type { LdtNode, RecordNodeOf, TlsNode, XstateNode } from "../../image/nodes.ts";
import { CPU } from "../../image/structs.ts";
import { DESCRIPTOR_SIZE } from "../../x86/descriptor.ts";
import { TLS_ENTRIES } from "../../x86/tls_model.ts";
import { FXSAVE_SIZE, XSAVE_HEADER } from "../../x86/xstate.ts";
import {
  type FieldExpectation,
  type FieldExpectations,
  observed,
  predicted,
  type VolatileField,
} from "../judge.ts";
import type { V11Context } from "./v11_context.ts";

const CHECKPOINT_NR = 333;
const HEADER_SIZE = 8;
/** `__KERNEL_PERCPU`, the kernel's own fs where it has several processors. */
const KERNEL_FS = 0xd8n;

/** MM_CONTEXT: the allocated size of the LDT. */
export function compareV11MmContext(node: RecordNodeOf<"MM_CONTEXT">, context: V11Context): void {
  context.judge.header(node, 0);
  context.judge.fields(node, {
    ldt_entry_size: predicted(DESCRIPTOR_SIZE),
    nldt: predicted(context.segments.ldt.length / DESCRIPTOR_SIZE),
  });
}

/** The raw LDT, entry by entry. */
export function compareV11Ldt(node: LdtNode, { judge, segments }: V11Context): void {
  judge.bytes(node, node.offset, node.bytes, {
    bytes: segments.ldt,
    by: "predicted",
    id: "E_LDT_ENTRY",
    what: "the LDT",
    unit: DESCRIPTOR_SIZE,
  });
}

/** THREAD: how many TLS slots are in use. */
export function compareV11Thread(
  node: RecordNodeOf<"THREAD">,
  { judge, manifest, segments }: V11Context,
): void {
  judge.header(node, manifest.pid);
  judge.fields(node, {
    gdt_entry_tls_entries: predicted(TLS_ENTRIES),
    sizeof_tls_array: predicted(TLS_ENTRIES * DESCRIPTOR_SIZE),
    ntls: predicted(segments.ntls),
  });
}

/** The raw TLS array. The processor marks access in the GDT, not here. */
export function compareV11Tls(node: TlsNode, { judge, segments }: V11Context): void {
  judge.bytes(node, node.offset, node.bytes, {
    bytes: segments.tls,
    by: "predicted",
    id: "E_TLS_ENTRY",
    what: "the TLS array",
    unit: DESCRIPTOR_SIZE,
  });
}

/** CPU: the registers that the program noted at the call, and what the code as posted leaves in the rest. */
export function compareV11Cpu(node: RecordNodeOf<"CPU">, context: V11Context): void {
  const { judge, manifest } = context;
  judge.header(node, manifest.pid);
  judge.fields(node, {
    ...staleRegisters(context),
    ...callRegisters(context),
    ax: predicted(0n),
    orig_ax: predicted(CHECKPOINT_NR),
    fs: selector(node, context, "fs"),
    gs: selector(node, context, "gs"),
    ...debugRegisters(),
    ...flagsOf(context),
  });
}

/** r8 to r15, which i386 does not have: the bytes that other records left in the buffer. */
function staleRegisters({ vmas, segments, mm }: V11Context): FieldExpectations {
  const last = vmas.at(-1);
  if (!last || !mm) return {};
  const thread = BigInt(TLS_ENTRIES) | BigInt(TLS_ENTRIES * DESCRIPTOR_SIZE) << 16n |
    BigInt(segments.ntls) << 32n;
  return {
    r15: predicted(thread),
    r14: predicted(last.entry.start),
    r13: predicted(last.entry.end),
    r12: last.pageProt === undefined ? UNKNOWN_NX : predicted(last.pageProt),
    r11: predicted(mm.fields.brk),
    r10: predicted(mm.fields.start_stack),
    r9: predicted(mm.fields.arg_start),
    r8: predicted(mm.fields.arg_end),
  };
}

/** vm_page_prot where the processor is not known. */
export const UNKNOWN_NX: VolatileField = {
  name: "vm_page_prot of a processor that is not known",
  reason: "bit 63 depends on the processor having NX",
  accept: (value) =>
    (value & ~(1n << 63n)) === 0x25n ? undefined : "not that of a private mapping, whatever NX is",
};

const REGISTERS = { bp: "ebp", bx: "ebx", cx: "ecx", dx: "edx", si: "esi", di: "edi", ip: "eip", sp: "esp" };
const SELECTORS = { cs: "cs", ss: "ss", ds: "ds", es: "es", flags: "eflags" };

function callRegisters({ call }: V11Context): FieldExpectations {
  const expectations: Record<string, FieldExpectation | VolatileField> = {};
  for (const [field, name] of Object.entries({ ...REGISTERS, ...SELECTORS })) {
    const value = call?.registers.get(name);
    expectations[field] = value !== undefined ? observed(value) : {
      name: "registers at the call",
      reason: "the manifest has none",
      accept: (found) => found >> 32n === 0n ? undefined : "more bits than the register has",
    };
  }
  return expectations;
}

/**
 * The low 16 bits; what stands above them is left over. fs is the kernel's: no user fs on one processor
 * reads 0.
 */
function selector(
  node: RecordNodeOf<"CPU">,
  { judge, call, manifest }: V11Context,
  name: "fs" | "gs",
): VolatileField {
  const uniprocessor = !/\bSMP\b/.test(manifest.kernel);
  const noted = call?.registers.get("gs");
  const expected = name === "gs" ? noted : uniprocessor ? 0n : KERNEL_FS;
  const field = CPU.fields.find((each) => each.name === name)!;
  if (expected !== undefined) {
    const by = name === "fs" ? "predicted" : "observed";
    judge.account.claim(node.offset + HEADER_SIZE + field.offset, 2, by);
  }
  return {
    name: "cpu.fs and cpu.gs above 16 bits",
    reason: "only 16 bits are written as posted; the rest depends on the compiler",
    accept: (value) =>
      expected === undefined || (value & 0xffffn) === expected
        ? undefined
        : `the low 16 bits must be 0x${expected.toString(16)}`,
  };
}

function debugRegisters(): FieldExpectations {
  const live: VolatileField = {
    name: "cpu.debugreg0 to debugreg7",
    reason: "as posted they are what the processor has, whichever task set it",
    accept: (value) => value >> 32n === 0n ? undefined : "more than 32 bits",
  };
  const names = ["debugreg0", "debugreg1", "debugreg2", "debugreg3", "debugreg6", "debugreg7"];
  return {
    ...Object.fromEntries(names.map((name) => [name, live])),
    debugreg4: predicted(0n),
    debugreg5: predicted(0n),
  };
}

/**
 * uses_debug: as posted 1 when the task is traced or a signal waits. used_math: after exec 0 until the
 * program uses the FPU.
 */
function flagsOf({ manifest }: V11Context): FieldExpectations {
  const told = (words: RegExp): boolean =>
    manifest.steps.some(({ op, text }) => words.test(`${op} ${text}`)) || words.test(manifest.name);
  const eitherWay = (name: string, reason: string): VolatileField => ({
    name,
    reason,
    accept: (value) => value <= 1n ? undefined : "neither 0 nor 1",
  });
  return {
    uses_debug: told(/sig|alarm|kill|trace|trap|step|debug|breakpoint|watch|\bdr\d/i)
      ? eitherWay(
        "cpu.uses_debug",
        "as posted it tells of signals and tracing, which the steps name in words only",
      )
      : predicted(0),
    used_math: manifest.fpuState
      ? predicted(1)
      : told(/fpu|fld|sse|x87|mmx|math|float|xmm|f\w*save/i)
      ? eitherWay("cpu.used_math", "the steps name the FPU, but not its state at the call")
      : predicted(0),
  };
}

/** The FPU state: what the program's own FXSAVE or FSAVE gave; after it the header of XSAVE. */
export function compareV11Xstate(node: XstateNode, { judge, manifest }: V11Context): void {
  const saved = manifest.fpuState;
  const legacy = Math.min(node.bytes.length, FXSAVE_SIZE);
  if (saved?.length === legacy) {
    judge.bytes(node, node.offset, node.bytes.subarray(0, legacy), {
      bytes: saved,
      by: "observed",
      id: "E_XSTATE",
      what: "the FPU state",
    });
  } else {
    const name = "xstate";
    const reason = "the program did not note the state of its FPU";
    judge.account.claimVolatile(node.offset, legacy, { name, reason });
  }
  if (node.bytes.length <= XSAVE_HEADER.offset) return;
  compareXsaveHeader(node, judge);
}

/** XSTATE_BV can be any of x87 and SSE, all that 2.6.28 enables; the rest is zero. */
function compareXsaveHeader(node: XstateNode, judge: V11Context["judge"]): void {
  const { offset } = XSAVE_HEADER;
  const enabled = 3;
  judge.account.claimVolatile(node.offset + offset, 1, {
    name: "xstate_bv",
    reason: "which components are in their initial state is the processor's business",
  });
  const expected = new Uint8Array(node.bytes.length - offset);
  expected[0] = (node.bytes[offset] ?? 0) & enabled;
  judge.bytes(node, node.offset + offset, node.bytes.subarray(offset), {
    bytes: expected,
    by: "predicted",
    id: "E_XSTATE",
    what: "the header of the XSAVE area",
  });
}
