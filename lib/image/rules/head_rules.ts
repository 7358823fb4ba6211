// SPDX-License-Identifier: MIT
import { TASK_COMM_LENGTH } from "../../abi/arch.ts";
import type { KernelSeries } from "../../abi/series.ts";
import { AVX_COMPONENT, FXSAVE_SIZE, SOFT_STATE_SIZES } from "../../x86/xstate.ts";
import type { RecordNodeOf } from "../nodes.ts";
import { displayText, rawText } from "../struct_codec.ts";
import type { RuleContext } from "./rule_context.ts";
import { FIRST_PORT_REVISION, LAST_V11_REVISION } from "../dialect.ts";
import { TAIL_MAGIC } from "../structs.ts";
import { hex } from "../../bytes.ts";

/** `ctx->flags` of every image: CR_CTX_CKPT. */
const HEAD_FLAGS = 1n;
const XSAVE_MIN_SIZE = AVX_COMPONENT.offset;

/** HEAD: version, flags, strings. */
export function checkHead(node: RecordNodeOf<"HEAD">, context: RuleContext): void {
  checkVersion(node, context);
  context.expectField("E_HEAD_FLAGS", node, "flags", HEAD_FLAGS);
  for (const name of ["release", "version", "machine"] as const) checkText(node, name, context);
}

function checkVersion(node: RecordNodeOf<"HEAD">, context: RuleContext): void {
  const { major, minor, patch, rev, release } = node.fields;
  const version = `${major}.${minor}.${patch}`;
  if (context.isPort ? rev !== FIRST_PORT_REVISION : rev > LAST_V11_REVISION) {
    const expected = context.isPort ? String(FIRST_PORT_REVISION) : `1 to ${LAST_V11_REVISION}`;
    context.reportField("E_VERSION", node, "rev", { message: "not a revision that is known", expected });
  }
  if (context.flags === undefined || (!context.isPort && context.flags.series !== "2.6.28")) {
    const message = "no vm_flags table for this kernel: memory is judged in part only";
    const expected = context.isPort ? "5.10, 6.1 or 6.12" : "2.6.28";
    context.reportField("E_VERSION", node, "major", { message, expected, actual: version });
  }
  const [, first, second, third = "0"] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(rawText(release)) ?? [];
  // LINUX_VERSION_CODE holds at most 255 for the third number; distributions name theirs "6.1.0-30-amd64".
  const isSame = third === "0" || patch === Math.min(Number(third), 255);
  if (Number(first) === major && Number(second) === minor && isSame) return;
  const message = "release and version numbers contradict each other";
  context.reportField("E_VERSION", node, "release", { message, expected: version });
}

function checkText(
  node: RecordNodeOf<"HEAD">,
  name: "release" | "version" | "machine",
  context: RuleContext,
): void {
  const bytes = node.fields[name];
  const end = bytes.indexOf(0);
  if (end < 0) context.reportField("N_HEAD_NO_NUL", node, name);
  const length = end < 0 ? bytes.length : end;
  const bad = bytes.findIndex((byte, i) => i < length ? byte < 0x20 || byte > 0x7e : byte !== 0);
  // The kernel's build number comes first (scripts/mkcompile_h).
  const isOdd = bad < 0 && (length === 0 || (name === "version" && bytes[0] !== 0x23));
  if (bad < 0 && !isOdd) return;
  const isTail = bad >= length;
  context.reportField("E_HEAD_TEXT", node, name, {
    message: isTail ? "bytes after the NUL" : isOdd ? "no such text" : "not a printable string",
    expected: isTail ? "0x0" : isOdd && length > 0 ? '"#" first' : "printable ASCII",
    actual: isOdd ? "nothing like it" : hex(bytes[bad] ?? 0),
    at: Math.max(bad, 0),
  });
}

/** HEAD_ARCH: the FPU's flags and size. */
export function checkHeadArch(node: RecordNodeOf<"HEAD_ARCH">, context: RuleContext): void {
  const { has_fxsr, has_xsave, xstate_size } = node.fields;
  context.headArch = node;
  for (const name of ["has_fxsr", "has_xsave"] as const) {
    if (node.fields[name] <= 1) continue;
    const report = { message: "neither true nor false", expected: "0 or 1" };
    context.reportField("E_ARCH_FLAGS", node, name, report);
  }
  if (has_fxsr === 0 && (context.format.wordSize === 8 || has_xsave === 1)) {
    const message = has_xsave === 1 ? "XSAVE without FXSAVE" : "x86-64 without FXSAVE";
    context.reportField("E_ARCH_FLAGS", node, "has_fxsr", { message, expected: "1" });
  }
  const [isGood, expected] = has_xsave !== 0
    ? [xstate_size >= XSAVE_MIN_SIZE && xstate_size % 8 === 0, `${XSAVE_MIN_SIZE} or more, in eights`]
    : has_fxsr !== 0
    ? [xstate_size === FXSAVE_SIZE, String(FXSAVE_SIZE)]
    : [SOFT_STATE_SIZES.includes(xstate_size), SOFT_STATE_SIZES.join(" or ")];
  if (isGood) return;
  const message = `wrong size for has_fxsr=${has_fxsr} has_xsave=${has_xsave}`;
  context.reportField("E_XSTATE_SIZE", node, "xstate_size", { message, expected });
}

/** TAIL: its magic. */
export function checkTail(node: RecordNodeOf<"TAIL">, context: RuleContext): void {
  if (node.fields.magic === TAIL_MAGIC) return;
  context.reportField("E_MAGIC_TAIL", node, "magic", { expected: hex(TAIL_MAGIC) });
}

/**
 * States of a task that can be checkpointed, by kernel (include/linux/sched.h): itself; stopped; traced and
 * stopped; frozen by either kind of freezer, or (2.6.28, which checks nothing) asleep.
 */
const STATES: Readonly<Record<KernelSeries, readonly number[]>> = {
  "2.6.28": [0, 0x84, 0x88, 1, 2],
  "5.10": [0, 0x104, 0x108, 1, 2],
  "6.1": [0, 0x104, 0x8, 0x2001, 0x8000],
  "6.12": [0, 0x104, 0x8, 0x2001, 0x8000],
};

/** CSIGNAL of include/uapi/linux/sched.h: clone(2) takes any byte, though there are 64 signals only. */
const MAX_EXIT_SIGNAL = 0xff;
/** exit_signal of a thread that is not the leader of its group. The port refuses processes of several threads. */
const NO_SIGNAL = 0xffff_ffff;

/** TASK: state, exit fields, length of comm. */
export function checkTask(node: RecordNodeOf<"TASK">, context: RuleContext): void {
  const { state, exit_code, exit_signal } = node.fields;
  context.task.task = node;
  const states = STATES[context.flags?.series ?? "6.1"];
  if (!states.includes(state)) {
    context.reportField("E_TASK_STATE", node, "state", {
      expected: states.map((one) => hex(one)).join(", "),
    });
  }
  context.expectField("E_TASK_EXIT", node, "exit_state", 0);
  if (exit_code > 0xffff) {
    context.reportField("E_TASK_EXIT", node, "exit_code", { expected: "at most 0xffff" });
  }
  if (exit_signal > MAX_EXIT_SIGNAL && (context.isPort || exit_signal !== NO_SIGNAL)) {
    const message = exit_signal === NO_SIGNAL ? "a thread that leads no process" : "no such signal";
    const expected = `at most ${MAX_EXIT_SIGNAL}`;
    context.reportField("E_TASK_EXIT", node, "exit_signal", { message, expected, actual: hex(exit_signal) });
  }
  context.expectField("E_COMM", node, "task_comm_len", TASK_COMM_LENGTH);
}

/** STRING: the task's comm. */
export function checkComm(node: RecordNodeOf<"STRING">, context: RuleContext): void {
  const { payload } = node;
  const length = context.task.task?.fields.task_comm_len ?? TASK_COMM_LENGTH;
  if (payload.length !== length) {
    const values = { expected: String(length), actual: String(payload.length) };
    context.report("E_COMM", node, { message: "not as long as task_comm_len says", ...values, at: 2 });
  }
  const end = payload.indexOf(0);
  if (end < 0) {
    const actual = JSON.stringify(displayText(payload));
    return context.report("E_COMM", node, { message: "comm without NUL", expected: "a NUL", actual, at: 8 });
  }
  const rest = payload.subarray(end + 1).findIndex((byte) => byte !== 0);
  if (rest < 0) return;
  const at = 8 + end + 1 + rest;
  if (context.isPort) {
    const actual = hex(payload[at - 8] ?? 0);
    return context.report("E_COMM", node, { message: "bytes after the NUL", expected: "0x0", actual, at });
  }
  const actual = JSON.stringify(displayText(payload.subarray(end + 1 + rest)));
  context.report("N_COMM_TAIL", node, { actual, at });
}
