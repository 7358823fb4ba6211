// SPDX-License-Identifier: MIT

import fc from "fast-check";
import type { TargetOp } from "../../lib/model/target_op.ts";
import type { LdtModelOptions } from "../../lib/x86/ldt_model.ts";
import { decodeResults, encodeProgram } from "../../vm/agent/target_program.ts";
import { InterruptedError, throwIfInterrupted } from "../../vm/host/errors.ts";
import { compileLdtCalls, LDT_CALLS, type LdtCall, type LdtCheck, type LdtProgram } from "./ldt_program.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { describeEvent } from "../run/case/run_case.ts";
import type { Guest } from "../run/guest/guest.ts";
import { parseSplats } from "../triage/parse_splats.ts";

/** What came of a program: its results file as far as it was written, and what the kernel or guest did instead. */
export interface LdtAnswer {
  readonly results?: Uint8Array;
  readonly complaint?: string;
}

/** How many random sequences, from which seed, judged by what. */
export interface LdtFuzzOptions {
  readonly seed: number;
  readonly count: number;
  /** Sequences at the beginning that are left out. */
  readonly skip?: number;
  /** The kernel and the kind of program that carry the sequences out. */
  readonly model: LdtModelOptions;
  readonly wordSize: 4 | 8;
  /**
   * Carries a program out. A guest that is lost is a complaint, and must be replaced before the next program.
   * An InterruptedError ends it all.
   */
  readonly execute: (ops: readonly TargetOp[]) => Promise<LdtAnswer>;
  /** Sequences in one program; 200 when not given. */
  readonly batch?: number;
  /** What the model is told in place of a call: a wrong model, for tests that must see it caught. */
  readonly tamper?: (call: LdtCall) => LdtCall;
  readonly onProgress?: (sequences: number) => void;
}

interface LdtMismatch {
  /** Index of the call; the number of calls when all of them agree and what they left behind does not. */
  readonly step: number;
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
}

/** A sequence on which model and kernel do not agree. */
export interface LdtFailure {
  /** Which sequence of the seed, from 0. */
  readonly index: number;
  /** How many calls it had before it was made small. */
  readonly drawn: number;
  readonly calls: readonly LdtCall[];
  readonly mismatch: LdtMismatch;
  /** False when it failed only among others: then the sequence is the whole one. */
  readonly alone: boolean;
}

/** What random sequences showed. */
export interface LdtFuzzResult {
  /** Sequences that agree, those that were left out among them. */
  readonly sequences: number;
  readonly stopped: boolean;
  readonly steps: Readonly<Record<LdtCall["call"], number>>;
  readonly checks: number;
  readonly milliseconds: number;
  /** Programs that were run to make the failing sequence small. */
  readonly shrinks: number;
  readonly failure: LdtFailure | undefined;
}

const BATCH = 200;

/** Draws one sequence of a seed. */
export function drawSequence(seed: number, index: number): LdtCall[] {
  return fc.sample(LDT_CALLS, { seed: seedOf(seed, index), numRuns: 1 })[0]!;
}

/**
 * Judges the LDT model against a running kernel: random sequences, many in one program and each in a process
 * of its own, every result compared. The first sequence on which they part is made small.
 */
export async function runLdtFuzz(options: LdtFuzzOptions): Promise<LdtFuzzResult> {
  const begin = performance.now();
  const { count, batch = BATCH, skip = 0 } = options;
  const steps = { modify_ldt: 0, fork: 0, exec: 0, load: 0 };
  let checks = 0;
  let done = Math.min(skip, count);
  const resultOf = (rest: Pick<LdtFuzzResult, "shrinks" | "failure" | "stopped">): LdtFuzzResult => {
    return { sequences: done, steps, checks, ...rest, milliseconds: performance.now() - begin };
  };
  try {
    for (let first = done; first < count; first += batch) {
      const length = Math.min(batch, count - first);
      const sequences = Array.from({ length }, (_, i) => drawSequence(options.seed, first + i));
      const programs = sequences.map((calls, id) => compile(calls, id, options));
      const failed = judge(programs, await options.execute(programs.flatMap(({ ops }) => ops)));
      const passed = failed?.index ?? length;
      for (const call of sequences.slice(0, passed).flat()) steps[call.call]++;
      for (const program of programs.slice(0, passed)) checks += program.checks.length;
      done = first + passed;
      if (failed) {
        const { shrinks, ...failure } = await makeSmall(sequences, { ...options, first, failed });
        return resultOf({ shrinks, failure, stopped: false });
      }
      options.onProgress?.(done);
    }
  } catch (error) {
    if (!(error instanceof InterruptedError)) throw error;
    return resultOf({ shrinks: 0, failure: undefined, stopped: true });
  }
  return resultOf({ shrinks: 0, failure: undefined, stopped: false });
}

function compile(calls: readonly LdtCall[], id: number, options: LdtFuzzOptions): LdtProgram {
  const { model, wordSize, tamper } = options;
  return compileLdtCalls(calls, { model, wordSize, tamper, id });
}

interface FailedSequence {
  readonly index: number;
  readonly mismatch: LdtMismatch;
}

function judge(
  programs: readonly LdtProgram[],
  { results, complaint }: LdtAnswer,
): FailedSequence | undefined {
  const values = results && valuesOf(programs.flatMap(({ ops }) => ops), results).values();
  for (const [index, { checks }] of values ? programs.entries() : []) {
    for (const check of checks) {
      const mismatch = compare(check, values!.next().value);
      if (mismatch) return { index, mismatch };
    }
  }
  if (complaint === undefined) return undefined;
  // It may be about any of them.
  const step = programs.at(-1)?.checks.at(-1)?.step ?? 0;
  const mismatch = { step, what: "the whole program", expected: "a quiet end", actual: complaint };
  return { index: programs.length - 1, mismatch };
}

/** Results in the order of the checks; a file that ends early, or within a process that died, gives fewer. */
function valuesOf(ops: readonly TargetOp[], bytes: Uint8Array): readonly bigint[] {
  try {
    return decodeResults(ops, bytes).results.map(({ value }) => value);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return [...new BigInt64Array(bytes.slice(0, bytes.length & ~7).buffer)];
  }
}

function compare(check: LdtCheck, value: bigint | undefined): LdtMismatch | undefined {
  const { step, what, expected, mask } = check;
  if (value === undefined) {
    return { step, what, expected: show(expected), actual: "nothing: the process ended before" };
  }
  const seen = mask === undefined || value < 0n ? value : value & mask;
  if (expected === undefined ? seen > 0n : seen === expected) return undefined;
  return { step, what, expected: show(expected), actual: show(seen) };
}

function show(value: bigint | undefined): string {
  if (value === undefined) return "a process id";
  const number = BigInt.asIntN(32, value);
  const hex = `0x${BigInt.asUintN(64, value).toString(16)}`;
  // An errno, as the program sees it that does not sign-extend the int.
  return number < 0n && number > -134n ? `${number} (${hex})` : value < 0n ? `${value}` : hex;
}

/** Runs a sequence alone, and where it fails alone too, finds the least of it that does. */
async function makeSmall(
  sequences: readonly (readonly LdtCall[])[],
  options: LdtFuzzOptions & { first: number; failed: FailedSequence },
): Promise<LdtFailure & { shrinks: number }> {
  const { first, failed } = options;
  let shrinks = 0;
  let mismatch = failed.mismatch;
  let ended: { error: unknown } | undefined;
  const passes = fc.asyncProperty(LDT_CALLS, async (calls) => {
    shrinks++;
    try {
      const program = compile(calls, 0, options);
      const found = judge([program], await options.execute(program.ops));
      // The last program that failed is the smallest: every smaller one passed.
      mismatch = found?.mismatch ?? mismatch;
      return found === undefined;
    } catch (error) {
      ended = { error };
      throw new fc.PreconditionFailure(true);
    }
  });
  // A process that dies shows up late: the sequence may be one before. With a complaint it may be any.
  const order = [failed.index, ...sequences.keys().filter((index) => index < failed.index)];
  for (const index of order) {
    const seed = seedOf(options.seed, first + index);
    const { counterexample } = await fc.check(passes, { seed, numRuns: 1 });
    if (ended) throw ended.error;
    if (!counterexample) continue;
    const drawn = sequences[index]!.length;
    return { index: first + index, drawn, calls: counterexample[0], mismatch, alone: true, shrinks };
  }
  const calls = sequences[failed.index]!;
  return { index: first + failed.index, drawn: calls.length, calls, mismatch, alone: false, shrinks };
}

/** The seed of one of many sequences: it does not depend on how many are drawn. */
function seedOf(seed: number, index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed ^ (seed >>> 15), 0x85ebca6b);
}

/**
 * Judges the LDT model on one platform, with programs one after another in one guest, and in a fresh one after it was
 * lost or complained.
 */
export async function fuzzLdtPlatform(
  prepared: PreparedGuest,
  options: Pick<LdtFuzzOptions, "seed" | "count" | "skip" | "onProgress" | "tamper">,
): Promise<LdtFuzzResult> {
  const { signal, compileTarget: { kernelWordSize: kernel, targetWordSize: target } } = prepared;
  let guest: Guest | undefined;
  const endGuest = async (): Promise<void> => {
    await guest?.[Symbol.asyncDispose]();
    guest = undefined;
  };
  const execute = async (ops: readonly TargetOp[]): Promise<LdtAnswer> => {
    throwIfInterrupted(signal);
    guest ??= await prepared.startGuest();
    const mark = guest.console.offset;
    try {
      const answer = await runToEnd(guest, ops);
      const splats = parseSplats(guest.console.text(mark)).map(({ title }) => title);
      if (splats.length === 0) return answer;
      await endGuest();
      return { ...answer, complaint: splats.join("; ") };
    } catch (error) {
      throwIfInterrupted(signal);
      if (!(error instanceof GuestLostError)) throw error;
      await endGuest();
      return { complaint: error.message };
    }
  };
  try {
    const model = { dialect: "port", wordSize: kernel, compat: kernel !== target } as const;
    return await runLdtFuzz({ ...options, model, wordSize: target, execute });
  } finally {
    await endGuest();
  }
}

/** Hundreds of sequences take a second or two; a busy machine may need much more. */
const DEADLINE_MS = 300_000;

async function runToEnd({ agent }: Guest, ops: readonly TargetOp[]): Promise<LdtAnswer> {
  await agent.clean();
  await agent.program(encodeProgram(ops));
  await agent.spawn();
  const end = await agent.event({ deadlineMs: DEADLINE_MS });
  const results = await agent.results();
  if (end.kind === "exit" && end.code === 0) return { results };
  return { results, complaint: `the target came to another end: ${describeEvent(end)}` };
}
