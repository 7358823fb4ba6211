// SPDX-License-Identifier: MIT

import type { RecordNodeOf } from "../image/nodes.ts";
import {
  CPU_DEBUG_FIELDS,
  CPU_REGISTER_FIELDS,
  cpuFieldsOf,
  type CpuRegister,
  decodeUserRegs,
} from "../x86/registers.ts";
import type { ComparisonContext, SelfCall } from "./comparison_context.ts";
import { type Expectation, expected, type VolatileField } from "./finding_collector.ts";
import { hex, wordsOf } from "../bytes.ts";

type Expectations = Record<string, Expectation>;

/** Selector of a 64-bit program's code, `__USER_CS`. */
const USER_CS_64 = 0x33n;

/** CPU: every register as ptrace shows it of the stopped target, and as a self checkpoint must find it. */
export function compareCpu(node: RecordNodeOf<"CPU">, context: ComparisonContext): void {
  const { collector, target, self, dialect, prediction } = context;
  const shown = cpuFieldsOf(decodeUserRegs(target.gpr, context.arch === "x86_64" ? "x86_64" : "i386"));
  const expectations: Expectations = {
    ...shownRegisters(context, shown),
    ...self ? selfRegisters(context, self, shown) : {},
    ...expectedDebug(context),
    // The port always saves FPU state; the code as posted does once the target has used the FPU.
    used_math: dialect === "port" ? expected(1, "format") : expected(prediction?.usedFpu ? 1 : 0, "steps"),
    ...dialect === "v11" ? postedRegisters(node, context, shown) : {},
  };
  if (dialect === "v11") { for (const name of NOT_ON_I386) delete expectations[name]; }
  collector.header(node, target.pid);
  collector.fields(node, expectations);
}

/** What the code as posted never assigns: the leftovers of other records stand there. */
const NOT_ON_I386 = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

function shownRegisters(context: ComparisonContext, shown: ReadonlyMap<CpuRegister, bigint>): Expectations {
  const expectations: Expectations = {};
  for (const name of CPU_REGISTER_FIELDS) {
    const ptrace = shown.get(name)!;
    const steps = context.prediction?.registers.general.get(name);
    expectations[name] = steps === undefined ? expected(ptrace, "ptrace") : expected(steps, "steps");
    if (!context.self && steps !== undefined) {
      holdRegister(context, name, { expected: steps, actual: ptrace });
    }
  }
  return expectations;
}

/** Where the arguments of a system call stand; the target passes six, the last three of them 0. */
const ARGUMENTS = {
  64: ["di", "si", "dx", "r10", "r8", "r9"],
  32: ["bx", "cx", "dx", "si", "di", "bp"],
} as const;
/** IF and bit 1 are set in user mode, the arithmetic flags may be; no other one is. */
const FIXED_FLAGS = 0x202n;
const FREE_FLAGS = 0x8d5n;
/** The call and the stop are made from one loop of the target, a few frames apart. */
const NEAR = 4096n;

/**
 * The registers at the target's own call. ptrace shows those of the stop that follows; selectors stay, and
 * what the call passes is known.
 */
function selfRegisters(
  { program, arch }: ComparisonContext,
  { nr, args }: SelfCall,
  shown: ReadonlyMap<CpuRegister, bigint>,
): Expectations {
  const is64 = arch === "x86_64" && shown.get("cs") === USER_CS_64;
  const free = (name: string, more: Partial<VolatileField> = {}): VolatileField => ({
    name: `cpu.${name} of a self checkpoint`,
    reason: "no other interface shows the registers at the call",
    ...more,
  });
  const stopped = shown.get("sp")!;
  const expectations: Expectations = {
    bp: free("bp"),
    bx: free("bx"),
    cx: free("cx"),
    ip: free("ip", {
      accept: (value) => program?.syscallReturns.has(value) !== false,
      wrong: "no system call of the program ends there",
      ...program ? { known: { bytes: 8, by: "program" } } : {},
    }),
    sp: free("sp", {
      accept: (value) => value % 4n === 0n && value - stopped < NEAR && stopped - value < NEAR,
      wrong: "it is not near where the target stopped right after",
    }),
    flags: free("flags", {
      accept: (value) => (value & ~FREE_FLAGS) === FIXED_FLAGS,
      wrong: "flags that user mode cannot have",
    }),
    ax: expected(0n, "rules"),
    orig_ax: expected(nr, "steps"),
  };
  // On x86-64 the system call instruction itself overwrites two registers.
  if (arch === "x86_64") { for (const name of NOT_ON_I386) expectations[name] = free(name); }
  ARGUMENTS[is64 ? 64 : 32].forEach((name, index) => {
    expectations[name] = expected(args[index] ?? 0n, "steps");
  });
  return expectations;
}

/** Debug registers: what tracers have set by the steps, else what ptrace shows of a program. */
function expectedDebug(context: ComparisonContext): Expectations {
  const { target, arch, prediction, dialect } = context;
  const shown = wordsOf(target.debugRegisters, arch === "x86_64" ? 8 : 4);
  // Linux 2.6.28 shows 0 until one is set, and the code as posted writes what the processor has.
  if (dialect === "v11") return processorDebug(context, shown);
  const steps = prediction?.debug;
  const expectations: Expectations = {};
  CPU_DEBUG_FIELDS.forEach((name, index) => {
    const ptrace = shown[index] ?? 0n;
    const by = index === 4 || index === 5 ? 0n : steps?.[index];
    expectations[name] = by === undefined ? expected(ptrace, "ptrace") : expected(by, "steps");
    if (by !== undefined) holdRegister(context, name, { expected: by, actual: ptrace });
  });
  expectations.uses_debug = expected((steps ?? shown)[7] ? 1 : 0, steps ? "steps" : "ptrace");
  return expectations;
}

/** What debug registers hold after reset; nobody in a guest of 2008 sets one for a task that saves itself. */
const AT_RESET = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n];

function processorDebug(context: ComparisonContext, shown: BigUint64Array): Expectations {
  context.collector.note("N_DEBUG_LIVE", "debug registers are the processor's, not the task's: as posted");
  const expectations: Expectations = { uses_debug: expected(0, "posted") };
  CPU_DEBUG_FIELDS.forEach((name, index) => {
    expectations[name] = expected(AT_RESET[index]!, "posted");
    holdRegister(context, name, { expected: 0n, actual: shown[index] ?? 0n });
  });
  return expectations;
}

/** `__KERNEL_PERCPU`, which fs holds in a kernel for several processors. */
const KERNEL_PERCPU = 0xd8n;

/** Selectors that the code as posted writes by half. */
function postedRegisters(
  node: RecordNodeOf<"CPU">,
  { collector, kernel }: ComparisonContext,
  shown: ReadonlyMap<CpuRegister, bigint>,
): Expectations {
  const { fields } = node;
  const half = (low: bigint, by: "posted" | "ptrace"): VolatileField => ({
    name: "cpu.fs and cpu.gs above 16 bits",
    reason: "only 16 bits are written as posted; the rest is what a register of the kernel held",
    known: { bytes: 2, by },
    accept: (value) => (value & 0xffffn) === low && fields.fs >> 16n === fields.gs >> 16n,
    wrong: `the low 16 bits must be ${hex(low)}, and those above the same in fs and gs`,
  });
  if (shown.get("fs") !== 0n) {
    collector.note("N_FS_LOST", "the task's fs is not saved, the kernel's own is: as posted");
  }
  return {
    fs: half(/\bSMP\b/.test(kernel.version) ? KERNEL_PERCPU : 0n, "posted"),
    gs: half(shown.get("gs")!, "ptrace"),
  };
}

function holdRegister(
  { collector }: ComparisonContext,
  name: string,
  said: { expected: bigint; actual: bigint },
): void {
  collector.agree(`register ${name}`, "ptrace shows another value than the steps imply", said);
}
