// SPDX-License-Identifier: MIT

/** The fields of /proc/PID/stat that an image repeats (proc(5); fs/proc/array.c do_task_stat). */
export interface ProcStat {
  readonly pid: number;
  readonly comm: string;
  /** R, S, D, T (stopped), t (traced), Z ... */
  readonly state: string;
  readonly exitSignal: number;
  readonly startCode: bigint;
  readonly endCode: bigint;
  readonly startStack: bigint;
  readonly startData: bigint;
  readonly endData: bigint;
  readonly startBrk: bigint;
  readonly argStart: bigint;
  readonly argEnd: bigint;
  readonly envStart: bigint;
  readonly envEnd: bigint;
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
