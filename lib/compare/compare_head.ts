// SPDX-License-Identifier: MIT

import { TASK_COMM_LENGTH } from "../abi/arch.ts";
import type { RecordNodeOf } from "../image/nodes.ts";
import { HEAD_MAGIC, RECORD_HEADER, TAIL_MAGIC } from "../image/structs.ts";
import { FSAVE_SIZE, FXSAVE_SIZE, XSAVE_HEADER } from "../x86/xstate.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { expected, type FieldExpectation, type FieldExpectations } from "./finding_collector.ts";

const PORT_REVISION = 100;
const CR_CTX_CKPT = 1n;
const encoder = new TextEncoder();

/** HEAD: the kernel's names as uname gave them; the time within the call. */
export function compareHead(node: RecordNodeOf<"HEAD">, context: ComparisonContext): void {
  const { collector, kernel, target, dialect } = context;
  const [major, minor, patch] = versionNumbers(kernel.release);
  collector.header(node, 0);
  collector.fields(node, {
    magic: expected(HEAD_MAGIC, "format"),
    major: expected(major, "uname"),
    minor: expected(minor, "uname"),
    patch: expected(patch, "uname"),
    rev: expected(dialect === "v11" ? context.revision ?? 1 : PORT_REVISION, "format"),
    time: {
      name: "head.time",
      reason: "the clock at the call; it lies between the guest's clock before and after",
      // The kernel's seconds go on with its tick, the guest's clock between ticks too: one may still be behind.
      accept: (value) => value + 1n >= target.t0 && value <= target.t1,
      wrong: `the time is not within the call, ${target.t0} to ${target.t1}`,
    },
    flags: expected(CR_CTX_CKPT, "format"),
    release: expected(utsField(kernel.release), "uname"),
    version: expected(utsField(kernel.version), "uname"),
    machine: expected(utsField(kernel.machine), "uname"),
  });
}

/** The three numbers that LINUX_VERSION_CODE holds, from the release string. */
function versionNumbers(release: string): [number, number, number] {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release);
  // LINUX_VERSION_CODE keeps the patch number in one byte, clamped since Linux 4.4.255.
  return match ? [Number(match[1]), Number(match[2]), Math.min(Number(match[3] ?? 0), 255)] : [0, 0, 0];
}

/** The first 64 bytes of a utsname field, padded with zeros. */
function utsField(text: string): Uint8Array {
  const field = new Uint8Array(64);
  field.set(encoder.encode(text).subarray(0, 64));
  return field;
}

/** HEAD_ARCH: what /proc/cpuinfo and the register sets of ptrace say of the processor. */
export function compareHeadArch(node: RecordNodeOf<"HEAD_ARCH">, context: ComparisonContext): void {
  const { collector, kernel, target, dialect } = context;
  const fxsr = kernel.cpuFlags.has("fxsr");
  collector.header(node, 0);
  collector.fields(node, {
    has_fxsr: expected(fxsr ? 1 : 0, "cpuinfo"),
    ...target.xstate
      ? {
        has_xsave: expected(target.hasXsave ? 1 : 0, "ptrace"),
        xstate_size: expected(target.xstate.length, "ptrace"),
      }
      : dialect === "v11"
      ? oldXstate(fxsr, kernel.cpuFlags.has("xsave"))
      : {},
  });
}

/** Linux 2.6.28 has no register set that tells the size; it saves x87 and SSE state alone. */
function oldXstate(fxsr: boolean, xsave: boolean): Record<string, FieldExpectation> {
  const size = xsave ? XSAVE_HEADER.offset + XSAVE_HEADER.size : fxsr ? FXSAVE_SIZE : FSAVE_SIZE;
  return { has_xsave: expected(xsave ? 1 : 0, "cpuinfo"), xstate_size: expected(size, "cpuinfo") };
}

const TASK_STOPPED = 0x104;

/** TASK: the state that the target was put in, and its exit fields as /proc/PID/stat shows them. */
export function compareTask(node: RecordNodeOf<"TASK">, context: ComparisonContext): void {
  const { collector, target: { stat }, self, prediction } = context;
  const exitCode: FieldExpectations = self
    ? { exit_code: expected(0, "rules") }
    : stat.exitCode === undefined
    ? {}
    : { exit_code: expected(stat.exitCode, "stat") };
  collector.header(node, 0);
  collector.fields(node, {
    state: expected(self ? 0 : prediction?.taskState ?? TASK_STOPPED, "rules"),
    exit_state: expected(0, "rules"),
    ...exitCode,
    exit_signal: expected(stat.exitSignal, "stat"),
    task_comm_len: expected(TASK_COMM_LENGTH, "format"),
  });
}

/** Names that the agent's kernel thread had before it became `/init`, which starts the target. */
const NAMES_BEFORE = ["swapper", "init"];

/** STRING: the task's name, zero padded. 2.6.28 leaves what longer names had behind the NUL. */
export function compareComm(
  node: RecordNodeOf<"STRING">,
  { collector, target, dialect }: ComparisonContext,
): void {
  const comm = target.comm ?? target.stat.comm;
  const bytes = new Uint8Array(TASK_COMM_LENGTH);
  if (dialect === "v11") {
    for (const name of NAMES_BEFORE) bytes.set(encoder.encode(`${name}\0`));
    if (comm.length < TASK_COMM_LENGTH) bytes[comm.length] = 0;
  }
  bytes.set(comm.subarray(0, TASK_COMM_LENGTH));
  collector.header(node, 0);
  const by = target.comm ? "comm" : "stat";
  collector.bytes(node, node.offset + 8, node.payload, { bytes, by, id: "E_COMM", what: "the task's name" });
}

/** AUXV: the auxiliary vector as /proc/PID/auxv shows it. */
export function compareAuxv(node: RecordNodeOf<"AUXV">, { collector, target }: ComparisonContext): void {
  collector.header(node, target.pid);
  if (!target.auxv) return;
  const values = { bytes: target.auxv, by: "auxv", id: "E_AUXV", what: "the auxiliary vector" } as const;
  collector.bytes(node, node.offset + RECORD_HEADER.size, node.payload, values);
}

/** TAIL: the mark of a whole image. */
export function compareTail(node: RecordNodeOf<"TAIL">, { collector }: ComparisonContext): void {
  collector.header(node, 0);
  collector.fields(node, { magic: expected(TAIL_MAGIC, "format") });
}
