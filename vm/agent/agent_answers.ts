// SPDX-License-Identifier: MIT
import {
  bigintField,
  type FieldValue,
  numberField,
  optionalNumberField,
  parseLine,
  type ProtocolLine,
  textField,
} from "./agent_protocol.ts";
import type {
  CheckpointOptions,
  CheckpointResult,
  GuestInfo,
  ObservedPage,
  ProcessEnd,
  QuietState,
  StartedProgram,
  SyscallArgument,
  TargetEvent,
} from "./agent_types.ts";

const PROTOCOL = 1;

/** Reads the agent's first line, or its answer to `hello`. Like its neighbours it throws SyntaxError. */
export function parseHello(text: string): GuestInfo {
  const line = parseLine(text);
  if (line.word !== "hello" && line.word !== "ok") {
    throw new SyntaxError(`expected hello, found ${JSON.stringify(text.slice(0, 80))}`);
  }
  const proto = numberField(line, "proto");
  if (proto !== PROTOCOL) throw new SyntaxError(`expected protocol ${PROTOCOL}, found ${proto}`);
  const arch = textField(line, "arch");
  if (arch !== "x86_64" && arch !== "i386") {
    throw new SyntaxError(`expected arch x86_64 or i386, found ${arch}`);
  }
  return {
    arch,
    wordSize: numberField(line, "wordsize") === 8 ? 8 : 4,
    pageSize: numberField(line, "pagesize"),
    sysname: textField(line, "sysname"),
    release: textField(line, "release"),
    version: textField(line, "version"),
    machine: textField(line, "machine"),
    zeroPageFrame: bigintField(line, "zeropfn"),
    cpus: numberField(line, "cpus"),
  };
}

/** Reads how a process ended. */
export function parseEnd(line: ProtocolLine): ProcessEnd {
  const signal = optionalNumberField(line, "sig");
  const code = optionalNumberField(line, "code");
  return { ...(signal === undefined ? {} : { signal }), ...(code === undefined ? {} : { code }) };
}

/** Reads what a process waits in. */
export function parseQuietState(line: ProtocolLine): QuietState {
  const state = textField(line, "state");
  if (state === "exited") return { state: "exited", ...parseEnd(line) };
  if (state !== "S") throw new SyntaxError(`expected the state S or exited, found ${state}`);
  return { state, syscall: textField(line, "syscall") };
}

/** Reads where a program runs and writes to. */
export function parseStarted(line: ProtocolLine): StartedProgram {
  return {
    pid: numberField(line, "pid"),
    stdout: textField(line, "stdout"),
    stderr: textField(line, "stderr"),
  };
}

/** Reads what a target did. */
export function parseEvent(line: ProtocolLine): TargetEvent {
  const kind = textField(line, "event");
  const pid = numberField(line, "pid");
  switch (kind) {
    case "stop":
      return {
        kind,
        pid,
        label: numberField(line, "label"),
        scratch: bigintField(line, "scratch"),
        resumeAddress: bigintField(line, "resume"),
      };
    case "exit":
      return { kind, pid, code: numberField(line, "code") };
    case "signal":
      return { kind, pid, signal: numberField(line, "sig") };
    default:
      throw new SyntaxError(`expected the event stop, exit or signal, found ${kind}`);
  }
}

/** The words of the command `checkpoint`. */
export function checkpointFields(options: CheckpointOptions): (readonly [string, FieldValue])[] {
  const { nr = 390, pid, flags = 0n, to = "pipe" } = options;
  return [
    ["nr", nr],
    // -1 and the like travel as what they are in the register.
    ["pid", BigInt.asUintN(64, BigInt(pid))],
    ["flags", BigInt.asUintN(64, flags)],
    ...outputFields(to),
    ["uid", options.uid],
    ["gid", options.gid],
    ["pipesize", options.pipeBytes],
    ["cutafter", options.cutAfter],
    ["failnth", options.failNth],
    ["sigafter", options.signalAfter?.bytes],
    ["sig", options.signalAfter?.signal],
    ["handled", options.signalAfter?.handled === true ? 1 : undefined],
    ["pauseat", options.pauseAt],
    ["times", options.times],
    ["fsize", options.fileSize],
    ["ignore", options.ignoreSignals === true ? 1 : undefined],
    ["alarm", options.alarmUs],
  ];
}

function outputFields(to: NonNullable<CheckpointOptions["to"]>): (readonly [string, FieldValue])[] {
  if (typeof to === "string") return [["to", to]];
  if ("fd" in to) return [["to", "fd"], ["fd", to.fd], ["reader", to.reader]];
  return [["to", "file"], ["path", to.path], ["oflags", to.openFlags]];
}

/** The words of the command `syscall`. */
export function syscallFields(
  nr: number,
  args: readonly SyscallArgument[],
): (readonly [string, FieldValue])[] {
  return [["nr", nr], ...args.map(syscallWord)];
}

function syscallWord(arg: SyscallArgument): readonly [string, FieldValue] {
  if (typeof arg === "string") return ["s", arg];
  if (typeof arg === "object") return ["b", arg.toHex()];
  return ["n", BigInt.asUintN(64, BigInt(arg))];
}

/** Reads what a system call returned, and what it left in the bytes it was given. */
export function parseSyscall(line: ProtocolLine): { result: bigint; bytes: Uint8Array } {
  return { result: bigintField(line, "ret"), bytes: Uint8Array.fromHex(textField(line, "bytes")) };
}

/** Reads what the system call did. */
export function parseCheckpoint(line: ProtocolLine, image: Uint8Array | undefined): CheckpointResult {
  const signal = optionalNumberField(line, "signal");
  const other = optionalNumberField(line, "other") ?? 0;
  const probe = optionalNumberField(line, "probe");
  if (line.fields.has("paused")) {
    const { handle, caller } = { handle: numberField(line, "paused"), caller: numberField(line, "caller") };
    return {
      ...{ result: 0n, errno: 0, length: numberField(line, "length"), paused: { handle, caller } },
      ...(image === undefined ? {} : { image }),
      ...{ secondsBefore: 0n, secondsAfter: 0n, nanoseconds: 0n },
    };
  }
  return {
    ...(other === 0 ? {} : { otherResult: BigInt(other) }),
    ...(optionalNumberField(line, "late") === 1 ? { isLate: true } : {}),
    ...(probe === undefined ? {} : { probe: BigInt(probe) }),
    result: bigintField(line, "ret"),
    errno: numberField(line, "errno"),
    ...(signal === undefined ? {} : { signal }),
    ...(optionalNumberField(line, "fault") === undefined ? {} : { faultCame: true as const }),
    length: numberField(line, "length"),
    ...(image === undefined ? {} : { image }),
    secondsBefore: bigintField(line, "t0"),
    secondsAfter: bigintField(line, "t1"),
    nanoseconds: bigintField(line, "ns"),
  };
}

/**
 * Takes the blob `pages` apart: every page that is present or swapped out.
 *
 * @throws {RangeError} on a cut
 * blob.
 */
export function decodePages(blob: Uint8Array): ObservedPage[] {
  if (blob.length % 16 !== 0) {
    throw new RangeError(`pages: expected a multiple of 16 bytes, found ${blob.length}`);
  }
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  return Array.from({ length: blob.length / 16 }, (_, i) => ({
    address: view.getBigUint64(16 * i, true),
    entry: view.getBigUint64(16 * i + 8, true),
  }));
}
