// SPDX-License-Identifier: MIT
import { type OpArgument, type TargetOp, THREADS } from "../../lib/model/target_op.ts";

export { BLOCK_REGISTERS, encodeRegisterBlock } from "../../lib/model/state/register_block.ts";

/** Size of one op in the stream, in bytes. */
const OP_BYTES = 64;
const ARGUMENTS = 7;
/** Size of the target's scratch memory, in bytes. */
export const SCRATCH_BYTES = 256 * 1024;
const SLOTS = 64;

const BUSY = { running: 1, sleeping: 2, vfork: 3, frozen: 2, "exited leader": 4 } as const;
const FORK_MODES = { child: 0, parent: 1, run: 2 } as const;

type OpNamed<Name extends TargetOp["op"]> = Extract<TargetOp, { op: Name }>;

/**
 * How an op is encoded: its code (the other statement of it is `vm/guest/target/target.h`), whether a result of it is
 * appended to the results file, and its arguments a[0], a[1]...
 */
type OpFormat<Name extends TargetOp["op"]> = readonly [
  code: number,
  hasResult: boolean,
  args: (op: OpNamed<Name>) => readonly OpArgument[],
];

const FORMATS: { readonly [Name in TargetOp["op"]]: OpFormat<Name> } = {
  syscall: [1, true, callArguments],
  fill: [2, false, fillArguments],
  read: [3, false, (op) => [op.address, BigInt(op.pages), 0n, BigInt(op.stride)]],
  zero: [4, false, rangeArguments],
  poke: [5, false, (op) => [op.address, BigInt(op.size), op.value]],
  data: [6, false, dataArguments],
  fork: [7, true, (op) => [BigInt(FORK_MODES[op.mode]), BigInt(op.id), BigInt(op.exitSignal ?? 0)]],
  join: [8, false, (op) => [0n, BigInt(op.id)]],
  stop: [9, false, stopArguments],
  exit: [10, false, (op) => [BigInt(op.code)]],
  report: [11, true, rangeArguments],
  lar: [12, true, (op) => [BigInt(op.selector)]],
  lsl: [13, true, (op) => [BigInt(op.selector)]],
  segload: [14, true, (op) => [
    ...[BigInt(op.selector), BigInt(op.register), BigInt(op.offset), op.access ? 1n : 0n],
  ]],
  thread: [15, true, (op) => [BigInt(THREADS.indexOf(op.kind)), BigInt(op.nr ?? 0)]],
  check: [16, true, fillArguments],
  hash: [17, true, rangeArguments],
  getpid: [18, true, () => []],
  syscall32: [19, true, callArguments],
  auxv: [20, true, (op) => [BigInt(op.type), op.plus ?? 0n]],
  exec: [21, true, () => []],
  vdso: [22, true, () => []],
  wrbase: [23, true, (op) => [BigInt(op.register), op.base]],
  core: [24, true, () => []],
  switch: [40, false, (op) => [BigInt(op.times)]],
};

function callArguments({ nr, args }: OpNamed<"syscall" | "syscall32">): readonly OpArgument[] {
  return [BigInt(nr), ...args];
}

function fillArguments({ address, pages, seed, stride }: OpNamed<"fill" | "check">): readonly OpArgument[] {
  return [address, BigInt(pages), BigInt(seed >>> 0), BigInt(stride)];
}

function rangeArguments({ address, length }: OpNamed<"zero" | "report" | "hash">): readonly OpArgument[] {
  return [address, BigInt(length)];
}

function stopArguments({ label, killNr, registers, busy }: OpNamed<"stop">): readonly OpArgument[] {
  const block = registers === undefined ? 0n : { scratch: registers };
  return [BigInt(label), BigInt(killNr), block, busy === undefined ? 0n : BigInt(BUSY[busy])];
}

function formatOf(op: TargetOp): OpFormat<TargetOp["op"]> {
  return FORMATS[op.op] as OpFormat<TargetOp["op"]>;
}

/** Where in the scratch memory the host writes anything but 0 to let a busy target go on. */
export const RELEASE_OFFSET = SCRATCH_BYTES - 8;

/**
 * Encodes a program as the byte stream that the target reads.
 *
 * @throws {RangeError} on a value that does not
 * fit.
 */
export function encodeProgram(ops: readonly TargetOp[]): Uint8Array<ArrayBuffer> {
  const size = ops.reduce((sum, op) => sum + OP_BYTES + (op.op === "data" ? padded(op.bytes.length) : 0), 0);
  const bytes = new Uint8Array(size);
  let at = 0;
  ops.forEach((op, index) => {
    const view = new DataView(bytes.buffer, at, OP_BYTES);
    encodeOp(op, view, `op ${index} (${op.op})`);
    at += OP_BYTES;
    if (op.op !== "data") return;
    bytes.set(op.bytes, at);
    at += padded(op.bytes.length);
  });
  return bytes;
}

function padded(length: number): number {
  return (length + 7) & ~7;
}

function encodeOp(op: TargetOp, view: DataView, where: string): void {
  const [code, , argumentsOf] = formatOf(op);
  const args = argumentsOf(op);
  if (args.length > ARGUMENTS) {
    throw new RangeError(`${where}: at most ${ARGUMENTS - 1} arguments, found ${args.length - 1}`);
  }
  let flags = 0;
  args.forEach((arg, i) => {
    if (typeof arg === "bigint") {
      view.setBigUint64(8 + 8 * i, word(arg, `${where}, argument ${i}`), true);
    } else if ("scratch" in arg) {
      flags |= 1 << i;
      view.setBigUint64(
        8 + 8 * i,
        BigInt(below(arg.scratch, SCRATCH_BYTES, `${where}, scratch offset`)),
        true,
      );
    } else {
      flags |= 1 << (8 + i);
      view.setBigUint64(8 + 8 * i, BigInt(below(arg.slot, SLOTS, `${where}, slot`)), true);
    }
  });
  if ("keep" in op && op.keep !== undefined) flags |= 1 << 30 | below(op.keep, SLOTS, `${where}, keep`) << 24;
  view.setUint32(0, code, true);
  view.setUint32(4, flags >>> 0, true);
}

function dataArguments({ offset, bytes }: OpNamed<"data">): readonly bigint[] {
  if (offset < 0 || offset + bytes.length > SCRATCH_BYTES) {
    throw new RangeError(
      `data of ${bytes.length} bytes at scratch offset ${offset}: the scratch memory has ${SCRATCH_BYTES} bytes`,
    );
  }
  return [BigInt(offset), BigInt(bytes.length)];
}

function word(value: bigint, where: string): bigint {
  if (value < -(1n << 63n) || value >= 1n << 64n) {
    throw new RangeError(`${where}: expected a value of 64 bits, found ${value}`);
  }
  return BigInt.asUintN(64, value);
}

function below(value: number, limit: number, where: string): number {
  if (Number.isInteger(value) && value >= 0 && value < limit) return value;
  throw new RangeError(`${where}: expected a whole number from 0 to ${limit - 1}, found ${value}`);
}

/** One result of the target. */
export interface TargetResult {
  readonly index: number;
  /** The number; for a report, the length in bytes, or a negative errno when the memory could not be read. */
  readonly value: bigint;
  readonly bytes?: Uint8Array;
}

/** The results file, taken apart. */
interface TargetResults {
  readonly results: readonly TargetResult[];
  /** Whether every op that yields a result has yielded one. False while the target is still on its way. */
  readonly complete: boolean;
}

/**
 * Takes the target's results file apart, along the program that it belongs to. A part that a child ran
 * (`fork` with mode "run") is followed as the child went through it, a child that exits early included.
 *
 * @throws {SyntaxError} when the file is cut within a result, or goes on after the last one.
 */
export function decodeResults(ops: readonly TargetOp[], bytes: Uint8Array): TargetResults {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const results: TargetResult[] = [];
  const inside: number[] = [];
  let index = 0;
  const take = (length: number): number => {
    const left = bytes.length - at;
    if (left >= length) return (at += length) - length;
    const where = `results: op ${index} (${ops[index]?.op}) at offset ${at}`;
    throw new SyntaxError(`${where}: expected ${length} bytes, found ${left}`);
  };
  while (index < ops.length) {
    const op = ops[index] as TargetOp;
    if (formatOf(op)[1]) {
      if (at === bytes.length) return { results, complete: false };
      const value = view.getBigInt64(take(8), true);
      if (op.op === "report" && value >= 0n) {
        const start = take(padded(Number(value)));
        results.push({ index, value, bytes: bytes.slice(start, start + Number(value)) });
      } else results.push({ index, value });
      if (op.op === "fork" && op.mode === "run") {
        if (value < 0n) index = indexOfJoin(ops, index, op.id);
        else inside.push(op.id);
      }
    } else if (op.op === "join" && inside.at(-1) === op.id) {
      inside.pop();
    } else if (op.op === "exit") {
      const id = inside.pop();
      if (id === undefined) break;
      index = indexOfJoin(ops, index, id);
    }
    index++;
  }
  if (at < bytes.length) {
    throw new SyntaxError(`results: expected the end at offset ${at}, found ${bytes.length - at} more bytes`);
  }
  return { results, complete: true };
}

function indexOfJoin(ops: readonly TargetOp[], from: number, id: number): number {
  const index = ops.findIndex((op, i) => i > from && op.op === "join" && op.id === id);
  if (index < 0) throw new RangeError(`op ${from} (${ops[from]?.op}): no join ${id} after it`);
  return index;
}
