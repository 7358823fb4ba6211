// SPDX-License-Identifier: MIT

import type { ComparisonContext } from "./comparison_context.ts";
import { expected, type FieldExpectations } from "./finding_collector.ts";
import { STAT_ADDRESSES } from "./proc_stat.ts";

/**
 * The fields of MM that exec sets. /proc/PID/stat has them all since Linux 3.5; before, the program's file tells
 * those of the data, and the auxiliary vector where arguments and environment lie.
 */
export function execRanges(context: ComparisonContext): FieldExpectations {
  const { target: { stat }, program } = context;
  const block = argumentRanges(context);
  const fields: FieldExpectations = {
    ...program
      ? {
        start_data: expected(program.startData, "program"),
        end_data: expected(program.endData, "program"),
        start_brk: expected(program.startBrk, "program"),
      }
      : {},
    ...block,
  };
  const shown = STAT_ADDRESSES.flatMap((name) => {
    const value = stat[name];
    return value === undefined ? [] : [[name, expected(value, "stat")]];
  });
  return { ...fields, ...Object.fromEntries(shown) };
}

/** The program's name as exec was given it: it lies right behind the environment (since Linux 2.6.27). */
const AT_EXECFN = 31n;

/** Arguments, environment and the program's name lie one behind the other (fs/exec.c, do_execve). */
function argumentRanges(
  { arch, target: { auxv, cmdline, environ } }: ComparisonContext,
): FieldExpectations | undefined {
  // The auxiliary vector of a 32-bit program has words of 32 bits, but no 64-bit kernel is that old.
  if (!auxv || !cmdline || !environ || arch === "x86_64") return undefined;
  const words = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
  for (let at = 0; at + 8 <= auxv.length; at += 8) {
    if (BigInt(words.getUint32(at, true)) !== AT_EXECFN) continue;
    const envEnd = BigInt(words.getUint32(at + 4, true));
    const argEnd = envEnd - BigInt(environ.length);
    return {
      arg_start: expected(argEnd - BigInt(cmdline.length), "auxv"),
      arg_end: expected(argEnd, "auxv"),
      env_start: expected(argEnd, "auxv"),
      env_end: expected(envEnd, "auxv"),
    };
  }
  return undefined;
}
