// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { readNodes } from "../image/image.ts";
import { ImageWriter, type WrittenFields } from "../image/image_writer.ts";
import type { RecordNodeOf, XstateNode } from "../image/nodes.ts";
import { syntheticImage } from "../image/testing/synthetic_image.ts";
import { USER_REGS, type UserRegister } from "../x86/registers.ts";
import { compareCpu } from "./compare_cpu.ts";
import { compareXstate } from "./compare_x86.ts";
import type { ComparisonContext, SelfCall } from "./comparison_context.ts";
import { FindingCollector } from "./finding_collector.ts";

const PID = 310;
const IMAGE = syntheticImage({});
/** A CPU record as it lies in some image, for all but its fields. */
const CPU = readNodes(IMAGE).nodes.find((node) => node.kind === "record" && node.name === "CPU");

type Fields = WrittenFields<"CPU">;
type Registers = Partial<Record<UserRegister, number>>;

/** What ptrace shows, and an image must say, of a 32-bit program. */
const SHOWN = {
  cs: 0x73,
  ds: 0x7b,
  es: 0x7b,
  ss: 0x7b,
  gs: 0x33,
  sp: 0xbffff300,
  ip: 0x8048500,
  flags: 0x246,
};
const SAVED: Fields = {
  ...{
    cs: 0x73n,
    ds: 0x7bn,
    es: 0x7bn,
    ss: 0x7bn,
    gs: 0x33n,
    sp: 0xbffff300n,
    ip: 0x8048500n,
    flags: 0x246n,
  },
};
/** What the call of the target itself has in addition. */
const AT_CALL: Fields = { ...SAVED, bx: 310n, cx: 6n, orig_ax: 333n, sp: 0xbffff320n, ip: 0x80480c2n };
const CALL: SelfCall = { nr: 333, args: [310n, 6n, 0n], scratch: { start: 0n, end: 0n } };
/** What the code as posted writes of it in addition. */
const POSTED: Fields = { ...AT_CALL, debugreg6: 0xffff0ff0n, debugreg7: 0x400n };

function userRegs(shown: Registers, arch: "i386" | "x86_64"): Uint8Array {
  const words = USER_REGS[arch].map((name) => shown[name] ?? 0);
  return new Uint8Array(
    arch === "i386" ? Uint32Array.from(words).buffer : BigUint64Array.from(words, BigInt).buffer,
  );
}

/** Compares a record; gives what was found, volatile bytes and known errors. */
function compared(fields: Fields, context: Partial<ComparisonContext> = {}, shown: Registers = SHOWN) {
  const writer = new ImageWriter();
  writer.record("CPU", fields, { parent: PID });
  const bytes = writer.finish();
  const { fields: values } = decoded(bytes);
  const collector = new FindingCollector(IMAGE.length);
  const { arch = "i386" } = context;
  const whole = {
    ...{ arch, dialect: "port", self: undefined, prediction: undefined, program: undefined },
    ...{ kernel: { version: "#1 Fri Dec 5 2008" }, collector },
    target: {
      pid: PID,
      gpr: userRegs(shown, arch === "i386" ? "i386" : "x86_64"),
      debugRegisters: new Uint8Array(64),
    },
    ...context,
  };
  const node = {
    ...CPU,
    header: { ...CPU!.kind === "record" ? CPU!.header : undefined, parent: PID },
    fields: values,
  };
  compareCpu(node as unknown as RecordNodeOf<"CPU">, whole as unknown as ComparisonContext);
  return {
    findings: collector.findings.map(({ path, message }) => `${path.replace(/.*\./, "")}: ${message}`),
    notes: [...collector.knownErrors.keys()],
    volatile: collector.coverage.counts().volatile,
  };
}

/** The fields of a record that stands alone. */
function decoded(record: Uint8Array): Pick<RecordNodeOf<"CPU">, "fields"> {
  const whole = IMAGE.slice();
  whole.set(record.subarray(8), CPU!.offset + 8);
  return readNodes(whole).nodes.find(({ offset }) => offset === CPU!.offset) as RecordNodeOf<"CPU">;
}

Deno.test("compareCpu() wants what ptrace shows, and of the port FPU state", () => {
  assertEquals(compared({ ...SAVED, used_math: 1 }).findings, []);
  assertEquals(compared({ ...SAVED, used_math: 1, bp: 4n }).findings.length, 1);
  assertEquals(compared({ ...SAVED, used_math: 0 }).findings.length, 1);
});

Deno.test("compareCpu() wants the code segment of the LDT that the steps have the target stop in", () => {
  const general = new Map([["cs", 31n]]);
  const prediction = { registers: { general }, debug: [] } as unknown as ComparisonContext["prediction"];
  const far = (saved: bigint, shown: number): string[] =>
    compared({ ...SAVED, used_math: 1, cs: saved }, { prediction }, { ...SHOWN, cs: shown }).findings;
  assertEquals(far(31n, 31), []);
  assertEquals(far(0x73n, 31).map((text) => text.split(":")[0]), ["cs"]);
  assertEquals(far(31n, 0x73), ["register cs: ptrace shows another value than the steps imply"]);
});

Deno.test("compareCpu() of a self checkpoint knows the call, and where it can have been made", () => {
  const program = { syscallReturns: new Set([0x80480c2n]) } as unknown as NonNullable<
    ComparisonContext["program"]
  >;
  const self = (change: Fields): string[] =>
    compared({ ...AT_CALL, used_math: 1, ...change }, { self: CALL, program }).findings;
  assertEquals(self({ bp: 0n }), []);
  assertEquals(self({ orig_ax: 20n }).length, 1);
  assertEquals(self({ ax: 333n }).length, 1);
  assertEquals(self({ cx: 7n }).length, 1);
  // The last three arguments are 0.
  assertEquals(self({ bp: 77n }).length, 1);
  assertEquals(self({ ip: 0x80480c3n }), ["ip: no system call of the program ends there"]);
  assertEquals(self({ sp: 0xbfff0000n }), ["sp: it is not near where the target stopped right after"]);
  assertEquals(self({ sp: 0xbffff321n }).length, 1);
  assertEquals(self({ flags: 0x346n }), ["flags: flags that user mode cannot have"]);
  assertEquals(self({ flags: 0x46n }).length, 1);
  assertEquals(self({ flags: 0x202n }), []);
  // Of an unknown program any place will do.
  const anywhere = compared({ ...AT_CALL, ip: 5n, used_math: 1 }, { self: CALL });
  assertEquals([anywhere.findings, anywhere.volatile], [[], 3 * 8]);
});

Deno.test("compareCpu() finds the arguments of a self checkpoint where the word size has them", () => {
  const shown = { ...SHOWN, cs: 0x33, r12: 5 };
  const fields: Fields = {
    ...{ ...SAVED, cs: 0x33n, used_math: 1, orig_ax: 333n },
    ...{ di: 310n, si: 6n, r12: 99n, bx: 98n, bp: 97n },
  };
  const compare = (change: Fields, registers: Registers): string[] =>
    compared({ ...fields, ...change }, { arch: "x86_64", self: CALL }, registers).findings;
  assertEquals(compare({}, shown), []);
  assertEquals(compare({ r10: 1n }, shown).length, 1);
  const compat: Fields = { cs: 0x73n, di: 0n, si: 0n, bx: 310n, cx: 6n, bp: 0n };
  assertEquals(compare(compat, { ...shown, cs: 0x73 }), []);
});

Deno.test("compareCpu() knows what the code as posted saves of registers", () => {
  const dialect = "v11";
  const context = { dialect, self: CALL } as const;
  const good = compared(POSTED, context);
  assertEquals([good.findings, good.notes], [[], ["N_DEBUG_LIVE"]]);
  // Halves that are not assigned hold the same in both.
  assertEquals(compared({ ...POSTED, fs: 0x50000n, gs: 0x50033n }, context).findings, []);
  assertEquals(compared({ ...POSTED, fs: 0x50000n, gs: 0x60033n }, context).findings.length, 2);
  assertEquals(compared({ ...POSTED, gs: 0x3bn }, context).findings, [
    "gs: the low 16 bits must be 0x33, and those above the same in fs and gs",
  ]);
  assertEquals(compared({ ...POSTED, debugreg7: 0n }, context).findings.length, 1);
  // fs is the kernel's own, which on several processors is not 0.
  const lost = compared(POSTED, context, { ...SHOWN, fs: 0x3b });
  assertEquals([lost.findings, lost.notes], [[], ["N_DEBUG_LIVE", "N_FS_LOST"]]);
  const kernel = { version: "#1 SMP Fri Dec 5 2008" } as unknown as ComparisonContext["kernel"];
  assertEquals(compared({ ...POSTED, fs: 0xd8n }, { ...context, kernel }).findings, []);
  assertEquals(compared(POSTED, { ...context, kernel }).findings, [
    "fs: the low 16 bits must be 0xd8, and those above the same in fs and gs",
  ]);
  // What ptrace shows of debug registers is 0 as long as nobody has set one.
  const target = { pid: PID, gpr: userRegs(SHOWN, "i386"), debugRegisters: new Uint8Array(32).fill(1, 0, 1) };
  assertEquals(
    compared(POSTED, { ...context, target: target as unknown as ComparisonContext["target"] }).findings,
    ["register debugreg0: ptrace shows another value than the steps imply"],
  );
});

Deno.test("compareXstate() lets FSAVE pointers of an own call differ, and nothing else", () => {
  const saved = new Uint8Array(108);
  const found = (at: number, self: SelfCall | undefined): number => {
    const collector = new FindingCollector(saved.length);
    const node = {
      kind: "xstate",
      path: "xstate",
      offset: 0,
      length: 108,
      bytes: saved.slice().fill(7, at, at + 1),
    };
    const context = { collector, self, target: { xstate: saved }, prediction: undefined };
    compareXstate(node as unknown as XstateNode, context as unknown as ComparisonContext);
    return collector.findings.length;
  };
  assertEquals([11, 12, 27, 28].map((at) => found(at, CALL)), [1, 0, 0, 1]);
  assertEquals([12, 27].map((at) => found(at, undefined)), [1, 1]);
});
