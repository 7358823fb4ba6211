// SPDX-License-Identifier: MIT
import { TASK_COMM_LENGTH } from "../../abi/arch.ts";
import type { KernelSeries } from "../../abi/series.ts";
import type { RecordNodeOf } from "../nodes.ts";
import { displayText } from "../struct_codec.ts";
import { hex, type RuleContext } from "./rule_context.ts";

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
    const message = "no task in this state can be checkpointed";
    context.reportField("E_TASK_STATE", node, "state", { message, expected: states.map(hex).join(", ") });
  }
  context.expectField("E_TASK_EXIT", node, "exit_state", 0);
  if (exit_code > 0xffff) {
    const message = "impossible exit code";
    context.reportField("E_TASK_EXIT", node, "exit_code", { message, expected: "at most 0xffff" });
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
  context.report("N_COMM_TAIL", node, {
    message: "bytes of an older comm after the NUL: as posted",
    actual,
    at,
  });
}
