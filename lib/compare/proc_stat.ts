// SPDX-License-Identifier: MIT

/** The fields of /proc/PID/stat that an image repeats (proc(5); fs/proc/array.c do_task_stat). */
export interface ProcStat {
  /** Process id. */
  readonly pid: number;
  /** The task's name. */
  readonly comm: string;
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
  readonly startData: bigint;
  /** End of the data. */
  readonly endData: bigint;
  /** Start of the heap. */
  readonly startBrk: bigint;
  /** Start of the arguments. */
  readonly argStart: bigint;
  /** End of the arguments. */
  readonly argEnd: bigint;
  /** Start of the environment. */
  readonly envStart: bigint;
  /** End of the environment. */
  readonly envEnd: bigint;
  /** Exit code, or the signal of a stop. */
  readonly exitCode: number;
}

/** Parses /proc/PID/stat. @throws {SyntaxError} when it does not have its 52 fields */
export function parseProcStat(bytes: Uint8Array): ProcStat {
  const text = new TextDecoder("latin1").decode(bytes).trimEnd();
  const open = text.indexOf("(");
  // The name may hold parentheses and spaces: it ends at the last one.
  const close = text.lastIndexOf(")");
  const rest = text.slice(close + 2).split(" ");
  if (open < 0 || close < open || rest.length < 50) {
    throw new SyntaxError(`stat must have 52 fields: found "${text}"`);
  }
  // Fields are numbered from 1 in proc(5); rest[0] is field 3.
  const field = (number: number): bigint => BigInt(rest[number - 3]!);
  return {
    pid: Number(text.slice(0, open - 1)),
    comm: text.slice(open + 1, close),
    state: rest[0]!,
    exitSignal: Number(field(38)),
    startCode: field(26),
    endCode: field(27),
    startStack: field(28),
    startData: field(45),
    endData: field(46),
    startBrk: field(47),
    argStart: field(48),
    argEnd: field(49),
    envStart: field(50),
    envEnd: field(51),
    exitCode: Number(field(52)),
  };
}
