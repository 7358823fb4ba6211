// SPDX-License-Identifier: MIT
import { LAST_SIGNAL, MINSIGSTKSZ, SA, SIGNALS, SS, UNBLOCKABLE } from "../../abi/signals.ts";
import { hex } from "../../bytes.ts";
import type { RecordNode, RecordNodeOf } from "../nodes.ts";
import type { RuleContext } from "./rule_context.ts";

/** Since Linux 5.11 the kernel drops other flags of a program (UAPI_SA_FLAGS, include/linux/signal_types.h). */
const KNOWN_FLAGS = Object.values(SA).reduce((all, bit) => all | bit, 0n);
const STACK_FLAGS = SS.DISABLE | SS.AUTODISARM;

type SignalRule = "E_SIGNALS" | "E_SIGACTION";

function checkMask(
  node: RecordNode,
  field: string,
  mask: bigint,
  id: SignalRule,
  context: RuleContext,
): void {
  if ((mask & UNBLOCKABLE) === 0n) return;
  const message = "SIGKILL and SIGSTOP cannot be blocked";
  context.reportField(id, node, field, { message, expected: hex(mask & ~UNBLOCKABLE) });
}

/** Words of the kernel that wrote the image. */
function checkWords(node: RecordNode, fields: readonly string[], id: SignalRule, context: RuleContext): void {
  const values = node.fields as Readonly<Record<string, bigint>>;
  for (const field of context.format.wordSize === 8 ? [] : fields) {
    if (values[field]! <= 0xffff_ffffn) continue;
    context.reportField(id, node, field, { message: `${field} is wider than a word`, expected: "32 bits" });
  }
}

/** SIGNALS: a mask that can be set, and a stack that sigaltstack(2) takes, or none. */
export function checkSignals(node: RecordNodeOf<"SIGNALS">, context: RuleContext): void {
  context.task.signals = node;
  const { blocked, sas_ss_sp, sas_ss_size, sas_ss_flags } = node.fields;
  checkMask(node, "blocked", blocked, "E_SIGNALS", context);
  checkWords(node, ["sas_ss_sp", "sas_ss_size"], "E_SIGNALS", context);
  const wrong = (field: string, message: string, expected: string) =>
    context.reportField("E_SIGNALS", node, field, { message, expected });
  if ((sas_ss_flags & ~STACK_FLAGS) !== 0) {
    wrong("sas_ss_flags", "unknown flags", "SS_DISABLE, SS_AUTODISARM");
  }
  if ((sas_ss_flags & SS.DISABLE) === 0) {
    if (sas_ss_size < MINSIGSTKSZ) wrong("sas_ss_size", "a stack too small", `at least ${hex(MINSIGSTKSZ)}`);
  } else if (sas_ss_size !== 0n || sas_ss_sp !== 0n) {
    const field = sas_ss_sp === 0n ? "sas_ss_size" : "sas_ss_sp";
    wrong(field, "a stack where there is none (SS_DISABLE)", "0x0");
  }
}

/** SIGACTION: what sigaction(2) may have set, of a signal above the one before. */
export function checkAction(node: RecordNodeOf<"SIGACTION">, context: RuleContext): void {
  const { sa_handler, sa_flags, sa_restorer, sa_mask, signr } = node.fields;
  const { actions } = context.task;
  const last = actions.at(-1) ?? 0;
  actions.push(signr);
  const wrong = (field: string, message: string, expected: string) =>
    context.reportField("E_SIGACTION", node, field, { message, expected });
  if (signr <= last || signr > LAST_SIGNAL) {
    wrong("signr", "no signal, or not above the one before", `${last + 1} to ${LAST_SIGNAL}`);
  }
  if (signr === SIGNALS.SIGKILL || signr === SIGNALS.SIGSTOP) {
    wrong("signr", "its action cannot be set", "another");
  }
  // What a 64-bit kernel itself notes of the program that asked.
  const abi = context.format.wordSize === 8 ? SA.IA32_ABI : 0n;
  const known = KNOWN_FLAGS & ~SA.IA32_ABI | abi;
  if (context.flags?.series !== "5.10" && (sa_flags & ~known) !== 0n) {
    wrong("sa_flags", "flags that the kernel does not keep", hex(sa_flags & known));
  }
  checkMask(node, "sa_mask", sa_mask, "E_SIGACTION", context);
  checkWords(node, ["sa_handler", "sa_flags", "sa_restorer"], "E_SIGACTION", context);
  if ([sa_handler, sa_flags & ~abi, sa_restorer, sa_mask].every((value) => value === 0n)) {
    wrong("sa_handler", "the default action, which has no record", "an action");
  }
}

/** At the end of a task: whether there were as many actions as announced. */
export function checkActionCount(context: RuleContext): void {
  const { signals, actions } = context.task;
  if (signals === undefined || signals.fields.nactions === actions.length) return;
  const message = "wrong number of SIGACTION records";
  context.reportField("E_SIGACTION_COUNT", signals, "nactions", {
    message,
    expected: String(actions.length),
  });
}
