// SPDX-License-Identifier: MIT
import { byteText, shownByteText } from "../printable.ts";
import { keysOf } from "../schema.ts";

/** The fields of /proc/PID/stat that an image repeats (proc(5); fs/proc/array.c do_task_stat). */
export type ProcStat =
  & Readonly<Record<"start_code" | "end_code" | "start_stack", bigint>>
  // Since Linux 3.3 and 3.5.
  & Readonly<Record<"start_data" | "end_data" | "start_brk", bigint | undefined>>
  & Readonly<Record<"arg_start" | "arg_end" | "env_start" | "env_end", bigint | undefined>>
  & {
    /** Process id. */
    readonly pid: number;
    /** The task's name. */
    readonly comm: Uint8Array;
    /** R, S, D, T (stopped), t (traced), Z ... */
    readonly state: string;
    /** The signal to its parent at its end. */
    readonly exitSignal: number;
    /** Exit code, or the signal of a stop; since Linux 3.5. */
    readonly exitCode: number | undefined;
  };

/** Fields that hold an address, by their number in proc(5): where exec put the parts of the program. */
const NUMBERS = {
  ...{ start_code: 26, end_code: 27, start_stack: 28, start_data: 45, end_data: 46, start_brk: 47 },
  ...{ arg_start: 48, arg_end: 49, env_start: 50, env_end: 51 },
};

type AddressName = keyof typeof NUMBERS;

/** The addresses of exec, by the names of the MM record's fields. */
export const STAT_ADDRESSES: readonly AddressName[] = keysOf(NUMBERS);

/** How many fields kernels from 2.6.24 on have; 52 or more since 3.5. */
const OLD_COUNTS = [44, 47];

/** Parses /proc/PID/stat. @throws {SyntaxError} when it has another number of fields than a kernel writes */
export function parseProcStat(bytes: Uint8Array): ProcStat {
  const open = bytes.indexOf(0x28);
  // The name may hold parentheses and spaces: it ends at the last one.
  const close = bytes.lastIndexOf(0x29);
  const text = byteText(bytes);
  const rest = text.slice(close + 2).trimEnd().split(" ");
  const count = rest.length + 2;
  if (open < 0 || close < open || (count < 52 && !OLD_COUNTS.includes(count))) {
    throw new SyntaxError(
      `stat must have 52 fields (44 or 47 in an old kernel): found "${shownByteText(text.trimEnd())}"`,
    );
  }
  // Fields are numbered from 1 in proc(5); rest[0] is field 3.
  const field = (number: number): string | undefined => rest[number - 3];
  const addresses = STAT_ADDRESSES.map((name) => {
    const value = field(NUMBERS[name]);
    return [name, value === undefined ? undefined : BigInt(value)];
  });
  const exitCode = field(52);
  return {
    ...Object.fromEntries(addresses) as Record<AddressName, bigint>,
    pid: Number.parseInt(text),
    comm: bytes.slice(open + 1, close),
    state: rest[0]!,
    exitSignal: Number(field(38)),
    exitCode: exitCode === undefined ? undefined : Number(exitCode),
  };
}
