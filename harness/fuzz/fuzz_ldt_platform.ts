// SPDX-License-Identifier: MIT

import { describeCall } from "./ldt_calls.ts";
import { fuzzCommandLine, type FuzzSettings, stoppedLines } from "./fuzz_settings.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import type { Terminal } from "../report/terminal.ts";
import {
  type LdtAnswer,
  type LdtFailure,
  type LdtFuzzOptions,
  type LdtFuzzResult,
  runLdtFuzz,
} from "./run_ldt_fuzz.ts";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { throwIfInterrupted } from "../../vm/host/errors.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import { describeEvent } from "../run/case/run_case.ts";
import type { Guest } from "../run/guest/guest.ts";
import { parseSplats } from "../triage/parse_splats.ts";

/** Judges the LDT model on one platform. */
export async function fuzzLdtPlatform(
  prepared: PreparedGuest,
  options: Pick<LdtFuzzOptions, "seed" | "count" | "skip" | "onProgress" | "tamper">,
): Promise<LdtFuzzResult> {
  const { kernelWordSize: kernel, targetWordSize: target } = prepared.compileTarget;
  await using guest = new LdtGuest(prepared);
  return await runLdtFuzz({
    ...options,
    model: { dialect: "port", wordSize: kernel, compat: kernel !== target },
    wordSize: target,
    execute: (ops) => guest.execute(ops),
  });
}

/** The lines that say how it went. */
export function ldtFuzzReport(result: LdtFuzzResult, platform: string, settings: FuzzSettings): string[] {
  const { sequences, steps, checks, milliseconds, failure } = result;
  if (result.stopped) return stoppedLines(platform, settings, sequences);
  if (failure) {
    return [
      `FAIL  ${platform}: LDT sequence ${failure.index} of seed ${settings.seed}, ${failure.drawn} calls, ` +
      `made small in ${result.shrinks} runs:`,
      ...failureLines(failure),
      `      reproduce: ${fuzzCommandLine(platform, settings)}`,
    ];
  }
  const rate = Math.round((sequences - settings.skip) / (milliseconds / 60_000));
  return [
    `ok    ${platform}: ${sequences} LDT sequences as the kernel does them, ${rate} sequences a minute`,
    `      ${steps.modify_ldt} calls of modify_ldt, ${steps.load} loads of a selector, ` +
    `${steps.fork} forks, ${steps.exec} execs; ${checks} results compared`,
  ];
}

function failureLines({ calls, mismatch, alone }: LdtFailure): string[] {
  return [
    ...calls.map((call, step) => `    ${step === mismatch.step ? ">" : " "} ${describeCall(call)}`),
    ...(mismatch.step >= calls.length ? ["    > after the last call"] : []),
    `      ${mismatch.what}`,
    `      expected ${mismatch.expected}`,
    `      actual   ${mismatch.actual}`,
    ...(alone ? [] : ["      alone the sequence passes: the failure depends on what ran before"]),
  ];
}

/** Runs the sequences with progress on the terminal; undefined when all agree. */
export async function fuzzLdt(
  prepared: PreparedGuest,
  terminal: Terminal,
  settings: FuzzSettings,
): Promise<[] | undefined> {
  const { platform: { name }, kernelName } = prepared;
  const { seed, count, skip } = settings;
  terminal.result(`# ${name}: ${kernelName}, seed ${seed}, ${count} LDT sequences`);
  const onProgress = (done: number): void =>
    terminal.status(`${name}: LDT sequence ${done} of ${count}`, `${name}: running`);
  const result = await fuzzLdtPlatform(prepared, { seed, count, skip, onProgress });
  terminal.clearStatus();
  for (const line of ldtFuzzReport(result, name, settings)) terminal.result(line);
  return result.failure && [];
}

/** Hundreds of sequences take a second or two; a busy machine may need much more. */
const DEADLINE_MS = 300_000;

/**
 * Carries programs out one after another in one guest, and in a fresh one after it was lost or complained.
 */
class LdtGuest implements AsyncDisposable {
  readonly #prepared: Pick<PreparedGuest, "startGuest" | "signal">;
  #guest: Guest | undefined;

  constructor(prepared: Pick<PreparedGuest, "startGuest" | "signal">) {
    this.#prepared = prepared;
  }

  async execute(ops: readonly TargetOp[]): Promise<LdtAnswer> {
    throwIfInterrupted(this.#prepared.signal);
    const guest = this.#guest ??= await this.#prepared.startGuest();
    const mark = guest.console.offset;
    try {
      const answer = await runToEnd(guest, ops);
      const splats = parseSplats(guest.console.text(mark)).map(({ title }) => title);
      if (splats.length === 0) return answer;
      await this[Symbol.asyncDispose]();
      return { ...answer, complaint: splats.join("; ") };
    } catch (error) {
      throwIfInterrupted(this.#prepared.signal);
      if (!(error instanceof GuestLostError)) throw error;
      await this[Symbol.asyncDispose]();
      return { complaint: error.message };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest?.[Symbol.asyncDispose]();
    this.#guest = undefined;
  }
}

async function runToEnd({ agent }: Guest, ops: readonly TargetOp[]): Promise<LdtAnswer> {
  await agent.clean();
  await agent.program(encodeProgram(ops));
  await agent.spawn();
  const end = await agent.event({ deadlineMs: DEADLINE_MS });
  const results = await agent.results();
  if (end.kind === "exit" && end.code === 0) return { results };
  return { results, complaint: `the target came to another end: ${describeEvent(end)}` };
}
