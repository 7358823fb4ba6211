// SPDX-License-Identifier: MIT
import { AT_NULL, AUXV_ENTRIES, MAX_AUXV_ENTRIES } from "../../abi/auxv.ts";
import { wordsOf } from "../../bytes.ts";
import type { RecordNodeOf } from "../nodes.ts";
import { RECORD_HEADER } from "../structs.ts";
import type { RuleContext } from "./rule_context.ts";

/** AUXV: entries of two words, AT_NULL the last of them. What they say is for the program, and may be anything. */
export function checkAuxv(node: RecordNodeOf<"AUXV">, context: RuleContext): void {
  const { payload } = node;
  const entryBytes = 2 * context.format.wordSize;
  const most = (context.flags && AUXV_ENTRIES[context.flags.series]) ?? MAX_AUXV_ENTRIES;
  if (payload.length % entryBytes !== 0 || payload.length > most * entryBytes) {
    const values = {
      expected: `1 to ${most} entries of ${entryBytes} bytes`,
      actual: `${payload.length} bytes`,
    };
    return context.report("E_AUXV", node, { message: "impossible length", ...values, at: 2 });
  }
  const types = [...wordsOf(payload, context.format.wordSize)].filter((_, i) => i % 2 === 0);
  const end = types.indexOf(AT_NULL);
  if (end === types.length - 1) return;
  const actual = end < 0 ? "none" : `one in entry ${end}`;
  context.report("E_AUXV", node, {
    message: "AT_NULL must be the last entry, and no other",
    ...{ expected: `one in entry ${types.length - 1}`, actual },
    at: RECORD_HEADER.size + entryBytes * (end < 0 ? types.length - 1 : end),
  });
}
