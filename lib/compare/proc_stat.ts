// SPDX-License-Identifier: MIT

/**
 * The fields of /proc/PID/stat that an image repeats (proc(5); fs/proc/array.c do_task_stat). Those from the
 * 45th on came with Linux 3.3 and 3.5.
 */
export interface ProcStat {
  /** Process id. */
  readonly pid: number;
  /** The task's name. */
  readonly comm: Uint8Array;
  /** R, S, D, T (stopped), t (traced), Z ... */
  readonly state: string;
  /** The signal to its parent at its end. */
  readonly exitSignal: number;
  /** Start of the code. */
  readonly startCode: bigint;
  /** End of the code. */
  readonly endCode: bigint;
  /** Where the stack began. */
  readonly startStack: bigint;
  /** Start of the data. */
  readonly startData: bigint | undefined;
  /** End of the data. */
  readonly endData: bigint | undefined;
  /** Start of the heap. */
  readonly startBrk: bigint | undefined;
  /** Start of the arguments. */
  readonly argStart: bigint | undefined;
  /** End of the arguments. */
  readonly argEnd: bigint | undefined;
  /** Start of the environment. */
  readonly envStart: bigint | undefined;
  /** End of the environment. */
  readonly envEnd: bigint | undefined;
  /** Exit code, or the signal of a stop. */
  readonly exitCode: number | undefined;
}

/** How many fields kernels from 2.6.24 on have; 52 or more since 3.5. */
const OLD_COUNTS = [44, 47];

/** Parses /proc/PID/stat. @throws {SyntaxError} when it has another number of fields than a kernel writes */
export function parseProcStat(bytes: Uint8Array): ProcStat {
  const open = bytes.indexOf(0x28);
  // The name may hold parentheses and spaces: it ends at the last one.
  const close = bytes.lastIndexOf(0x29);
  const text = new TextDecoder().decode(bytes);
  const rest = new TextDecoder().decode(bytes.subarray(close + 2)).trimEnd().split(" ");
  const count = rest.length + 2;
  if (open < 0 || close < open || (count < 52 && !OLD_COUNTS.includes(count))) {
    throw new SyntaxError(`stat must have 52 fields (44 or 47 in an old kernel): found "${text.trimEnd()}"`);
  }
  // Fields are numbered from 1 in proc(5); rest[0] is field 3.
  const field = (number: number): bigint => BigInt(rest[number - 3]!);
  const laterField = (number: number): bigint | undefined =>
    rest[number - 3] === undefined ? undefined : field(number);
  const exitCode = laterField(52);
  return {
    pid: Number(new TextDecoder().decode(bytes.subarray(0, open - 1))),
    comm: bytes.slice(open + 1, close),
    state: rest[0]!,
    exitSignal: Number(field(38)),
    startCode: field(26),
    endCode: field(27),
    startStack: field(28),
    startData: laterField(45),
    endData: laterField(46),
    startBrk: laterField(47),
    argStart: laterField(48),
    argEnd: laterField(49),
    envStart: laterField(50),
    envEnd: laterField(51),
    exitCode: exitCode === undefined ? undefined : Number(exitCode),
  };
}
