// SPDX-License-Identifier: MIT

import type { RecordNodeOf } from "../image/nodes.ts";
import { HEAD_MAGIC, TAIL_MAGIC } from "../image/structs.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { observed, predicted } from "./judge.ts";

const PORT_REVISION = 100;
const CR_CTX_CKPT = 1n;
const COMM_LENGTH = 16;
const encoder = new TextEncoder();

/** HEAD: the kernel's names as uname gave them; the time within the call. */
export function compareHead(node: RecordNodeOf<"HEAD">, { judge, kernel, target }: ComparisonContext): void {
  const [major, minor, patch] = versionNumbers(kernel.release);
  judge.header(node, 0);
  judge.fields(node, {
    magic: predicted(HEAD_MAGIC),
    major: observed(major),
    minor: observed(minor),
    patch: observed(patch),
    rev: predicted(PORT_REVISION),
    time: {
      name: "head.time",
      reason: "the clock at the call; it lies between the guest's clock before and after",
      // The kernel's seconds go on with its tick, the guest's clock between ticks too: one may still be
      // behind.
      accept: (value) =>
        value + 1n >= target.t0 && value <= target.t1
          ? undefined
          : `the time is not within the call, ${target.t0} to ${target.t1}`,
    },
    flags: predicted(CR_CTX_CKPT),
    release: observed(utsField(kernel.release)),
    version: observed(utsField(kernel.version)),
    machine: observed(utsField(kernel.machine)),
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
export function compareHeadArch(
  node: RecordNodeOf<"HEAD_ARCH">,
  { judge, kernel, target }: ComparisonContext,
): void {
  judge.header(node, 0);
  judge.fields(node, {
    has_fxsr: observed(kernel.cpuFlags.has("fxsr") ? 1 : 0),
    has_xsave: observed(target.hasXsave ? 1 : 0),
    ...target.xstate ? { xstate_size: observed(target.xstate.length) } : {},
  });
}

const TASK_STOPPED = 0x104;

/** TASK: the state that the target was put in, and its exit fields as /proc/PID/stat shows them. */
export function compareTask(
  node: RecordNodeOf<"TASK">,
  { judge, target, self, prediction }: ComparisonContext,
): void {
  judge.header(node, 0);
  judge.fields(node, {
    state: predicted(self ? 0 : prediction?.taskState ?? TASK_STOPPED),
    exit_state: predicted(0),
    exit_code: self ? predicted(0) : observed(target.stat.exitCode),
    exit_signal: observed(target.stat.exitSignal),
    task_comm_len: predicted(COMM_LENGTH),
  });
}

/** STRING: the task's name, zero padded. */
export function compareComm(node: RecordNodeOf<"STRING">, { judge, target }: ComparisonContext): void {
  judge.header(node, 0);
  if (!target.comm) return;
  const bytes = new Uint8Array(COMM_LENGTH);
  bytes.set(target.comm.subarray(0, COMM_LENGTH));
  judge.bytes(node, node.offset + 8, node.payload, {
    bytes,
    by: "observed",
    id: "E_COMM",
    what: "the task's name",
  });
}

/** TAIL: the mark of a whole image. */
export function compareTail(node: RecordNodeOf<"TAIL">, { judge }: ComparisonContext): void {
  judge.header(node, 0);
  judge.fields(node, { magic: predicted(TAIL_MAGIC) });
}
