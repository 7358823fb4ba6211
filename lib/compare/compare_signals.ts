// SPDX-License-Identifier: MIT

import { SA, SIG_DFL, SIG_IGN, signalBit } from "../abi/signals.ts";
import type { RecordNodeOf } from "../image/nodes.ts";
import type { SignalAction } from "../model/state/signal_state.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type Expectation, expected } from "./finding_collector.ts";
import { hex } from "../bytes.ts";

const UNTOLD = {
  name: "signals of a process that could not be asked",
  reason: "sigaltstack(2) and sigaction(2) alone tell it, and could not be called without a trace",
};

const DIFFERS = "something else of signals than the steps imply";

/** SIGNALS: the mask and the stack as the steps imply, as ptrace shows the one, and as the target tells the other. */
export function compareSignals(node: RecordNodeOf<"SIGNALS">, context: ComparisonContext): void {
  const { collector, prediction, target } = context;
  const { signals } = target;
  collector.header(node, target.pid);
  const blocked = prediction?.signals.blocked ?? signals.blocked;
  const stack = prediction?.signals.stack ?? signals.stack;
  const by = prediction ? "steps" : "calls";
  collector.fields(node, {
    blocked: blocked === undefined ? UNTOLD : expected(blocked, prediction ? "steps" : "ptrace"),
    sas_ss_sp: stack ? expected(stack.sp, by) : UNTOLD,
    sas_ss_size: stack ? expected(stack.size, by) : UNTOLD,
    sas_ss_flags: stack ? expected(stack.flags, by) : UNTOLD,
    nactions: prediction ? expected(prediction.signals.actions.size, by) : expectedActions(context),
  });
  if (!prediction) return;
  if (signals.blocked !== undefined) {
    const said = { expected: prediction.signals.blocked, actual: signals.blocked };
    collector.agree("PTRACE_GETSIGMASK", DIFFERS, said);
  }
  if (signals.stack && stack) {
    const show = ({ sp, size, flags }: typeof stack) => `${hex(sp)}, ${size} bytes, flags ${hex(flags)}`;
    collector.agree("sigaltstack(2)", DIFFERS, { expected: show(stack), actual: show(signals.stack) });
  }
}

/** Of a program: what status shows, and what the target tells of others, whose action is the default but for flags. */
function expectedActions({ target: { signals } }: ComparisonContext): Expectation {
  let set = signals.caught | signals.ignored;
  for (const [number, { handler, flags, restorer, mask }] of signals.actions ?? []) {
    if (handler === SIG_DFL && (flags | restorer | mask) !== 0n) set |= signalBit(number);
  }
  return expected([...set.toString(2)].filter((bit) => bit === "1").length, "status");
}

/** SIGACTION: what a signal does, as the steps imply and as the target tells; status shows whether it has a handler. */
export function compareAction(node: RecordNodeOf<"SIGACTION">, context: ComparisonContext): void {
  const { collector, prediction, target: { pid, signals } } = context;
  const { signr, sa_handler } = node.fields;
  const told = signals.actions?.get(signr);
  const index = Number(/(\d+)\]$/.exec(node.path)?.[1]);
  const [number = 0, action] = prediction ? [...prediction.signals.actions][index] ?? [] : [signr, told];
  const by = prediction ? "steps" : "calls";
  const value = (field: keyof SignalAction): Expectation => action ? expected(action[field], by) : UNTOLD;
  collector.header(node, pid);
  collector.fields(node, {
    ...{ sa_handler: value("handler"), sa_flags: !prediction && told ? toldFlags(told) : value("flags") },
    ...{ sa_restorer: value("restorer"), sa_mask: value("mask") },
    signr: prediction || told ? expected(number, by) : UNTOLD,
  });
  const kind = sa_handler === SIG_DFL ? "default" : sa_handler === SIG_IGN ? "ignored" : "caught";
  const isIn = (mask: bigint): boolean => (mask >> BigInt(signr - 1) & 1n) !== 0n;
  const shown = isIn(signals.caught) ? "caught" : isIn(signals.ignored) ? "ignored" : "default";
  collector.agree(`${node.path}, SigIgn and SigCgt of status`, "status shows another kind of action", {
    ...{ expected: shown, actual: kind },
  });
  if (!prediction || !told || !action) return;
  const show = ({ handler, flags, restorer, mask }: SignalAction) =>
    [handler, flags & ~SA.IA32_ABI, restorer, mask].map((one) => hex(one)).join(" ");
  collector.agree("sigaction(2)", DIFFERS, { expected: show(action), actual: show(told) });
}

/** What the kernel itself notes of an action, sigaction(2) does not tell (arch/x86/kernel/signal.c). */
function toldFlags({ flags }: SignalAction): Expectation {
  return {
    name: "sigaction.sa_flags of a program",
    reason: "sigaction(2) does not tell which kind of program has set an action",
    accept: (value) => (value & ~SA.IA32_ABI) === flags,
    wrong: `sigaction(2) tells ${hex(flags)}`,
    known: { bytes: 3, by: "calls" },
  };
}
