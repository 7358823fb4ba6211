// SPDX-License-Identifier: MIT

import type { ComparisonContext } from "./comparison_context.ts";
import { expected, type FieldExpectation, type FieldExpectations } from "./finding_collector.ts";

/**
 * The fields of MM that exec sets. /proc/PID/stat has them all since Linux 3.5; before, the program's file tells
 * those of the data, and the auxiliary vector where arguments and environment lie.
 */
export function execRanges(context: ComparisonContext): FieldExpectations {
  const { target: { stat }, program } = context;
  const block = argumentRanges(context);
  const by = (shown: bigint | undefined, other: FieldExpectation | undefined): FieldExpectation | undefined =>
    shown === undefined ? other : expected(shown, "stat");
  const fields: Readonly<Record<string, FieldExpectation | undefined>> = {
    start_code: expected(stat.startCode, "stat"),
    end_code: expected(stat.endCode, "stat"),
    start_data: by(stat.startData, program && expected(program.startData, "program")),
    end_data: by(stat.endData, program && expected(program.endData, "program")),
    start_brk: by(stat.startBrk, program && expected(program.startBrk, "program")),
    start_stack: expected(stat.startStack, "stat"),
    arg_start: by(stat.argStart, block?.argStart),
    arg_end: by(stat.argEnd, block?.argEnd),
    env_start: by(stat.envStart, block?.argEnd),
    env_end: by(stat.envEnd, block?.envEnd),
  };
  const told = Object.entries(fields).filter((entry): entry is [string, FieldExpectation] =>
    entry[1] !== undefined
  );
  return Object.fromEntries(told);
}

/** The program's name as exec was given it: it lies right behind the environment (since Linux 2.6.27). */
const AT_EXECFN = 31n;

/** Arguments, environment and the program's name lie one behind the other (fs/exec.c, do_execve). */
function argumentRanges(
  { arch, target: { auxv, cmdline, environ } }: ComparisonContext,
): Record<"argStart" | "argEnd" | "envEnd", FieldExpectation> | undefined {
  // The auxiliary vector of a 32-bit program has words of 32 bits, but no 64-bit kernel is that old.
  if (!auxv || !cmdline || !environ || arch === "x86_64") return undefined;
  const words = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
  for (let at = 0; at + 8 <= auxv.length; at += 8) {
    if (BigInt(words.getUint32(at, true)) !== AT_EXECFN) continue;
    const envEnd = BigInt(words.getUint32(at + 4, true));
    const argEnd = envEnd - BigInt(environ.length);
    return {
      argStart: expected(argEnd - BigInt(cmdline.length), "auxv"),
      argEnd: expected(argEnd, "auxv"),
      envEnd: expected(envEnd, "auxv"),
    };
  }
  return undefined;
}
