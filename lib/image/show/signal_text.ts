// SPDX-License-Identifier: MIT
import { maskText, saFlagText, SIG_DFL, SIG_IGN, signalName, SS } from "../../abi/signals.ts";
import { hex } from "../../bytes.ts";
import { type ImageNode, isRecord, type RecordNodeOf } from "../nodes.ts";

/** What a process does about signals, by what it is about: `blocked`, `alternate stack`, or the signal. */
export function signalTexts(node: ImageNode): [what: string, text: string][] {
  if (isRecord(node, "SIGNALS")) {
    const { blocked, sas_ss_sp, sas_ss_size, sas_ss_flags } = node.fields;
    const disarm = sas_ss_flags & SS.AUTODISARM ? ", disarmed in a handler" : "";
    const stack = sas_ss_flags & SS.DISABLE ? "none" : `${hex(sas_ss_sp)}, ${sas_ss_size} bytes`;
    return [["blocked", maskText(blocked)], ["alternate stack", stack + disarm]];
  }
  return isRecord(node, "SIGACTION") ? [[signalName(node.fields.signr), actionText(node)]] : [];
}

/** What a signal does. */
export function actionText({ fields }: RecordNodeOf<"SIGACTION">): string {
  const { sa_handler, sa_flags, sa_restorer, sa_mask } = fields;
  const handler = sa_handler === SIG_DFL ? "default" : sa_handler === SIG_IGN ? "ignored" : hex(sa_handler);
  const restorer = sa_restorer === 0n ? "" : `, returns to ${hex(sa_restorer)}`;
  const blocks = sa_mask === 0n ? "" : `, blocks ${maskText(sa_mask)}`;
  return `${handler}, flags ${saFlagText(sa_flags)}${restorer}${blocks}`;
}
