// SPDX-License-Identifier: MIT

import type { TargetOp } from "../../lib/model/target_op.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import type { Guest } from "../run/guest/guest.ts";
import { parseSplats } from "../triage/parse_splats.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import type { LdtAnswer } from "./run_ldt_fuzz.ts";

/** Hundreds of sequences take a second or two; a busy machine may need much more. */
const DEADLINE_MS = 300_000;

/**
 * Carries programs out one after another in one guest, and in a fresh one after it was lost or complained.
 */
export class LdtGuest implements AsyncDisposable {
  readonly #prepared: Pick<PreparedGuest, "startGuest" | "targetPath">;
  #guest: Guest | undefined;

  constructor(prepared: Pick<PreparedGuest, "startGuest" | "targetPath">) {
    this.#prepared = prepared;
  }

  /** Runs a program of the target to its end. */
  async execute(ops: readonly TargetOp[]): Promise<LdtAnswer> {
    const guest = this.#guest ??= await this.#prepared.startGuest();
    const mark = guest.consoleMark;
    try {
      const answer = await runToEnd(guest, ops, this.#prepared.targetPath);
      const splats = parseSplats(guest.consoleText(mark)).map(({ title }) => title);
      if (splats.length === 0) return answer;
      await this[Symbol.asyncDispose]();
      return { ...answer, complaint: splats.join("; ") };
    } catch (error) {
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

async function runToEnd(
  { agent }: Guest,
  ops: readonly TargetOp[],
  path: string,
): Promise<LdtAnswer & { results: Uint8Array }> {
  await agent.clean();
  await agent.program(encodeProgram(ops));
  await agent.spawn({ path });
  const end = await agent.event({ deadlineMs: DEADLINE_MS });
  const results = await agent.results();
  if (end.kind === "exit" && end.code === 0) return { results };
  const how = end.kind === "exit"
    ? `exit status ${end.code}`
    : end.kind === "signal"
    ? `signal ${end.signal}`
    : "a stop";
  return { results, complaint: `the target ended with ${how}` };
}
