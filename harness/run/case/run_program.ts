// SPDX-License-Identifier: MIT

import type { ProgramScenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { checkNothingWritten, checkReply } from "../../check/check_reply.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import { type CaseOutcome, type GuestKernel, judgeCheckpoint, type SecondCheck } from "./case_outcome.ts";
import { observeCheckpoint } from "./observe_checkpoint.ts";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/" };

interface RunProgramOptions {
  readonly kernel: GuestKernel;
  readonly secondCheck?: SecondCheck | undefined;
}

/**
 * Runs a real program in the guest until it waits for something, stops it, checkpoints it, and judges the
 * image by observation alone.
 */
export async function runProgram(
  guest: Guest,
  program: ProgramScenario,
  { kernel, secondCheck }: RunProgramOptions,
): Promise<CaseOutcome> {
  const { agent } = guest;
  const pid = await startAndStop(agent, program);
  const seen = await observeCheckpoint(agent, {
    pid,
    checkpointNr: kernel.checkpointNr,
    zeroFrame: kernel.observed.zeroFrame,
    brk: undefined,
    hashPage: () => true,
  });
  const { refused } = program;
  const expected = refused === undefined ? undefined : { name: refused, why: "its scenario says so" };
  if (!expected) {
    const judged = { kernel, expected, prediction: undefined, self: undefined, secondCheck };
    return { stops: [await judgeCheckpoint("blocked", seen, judged)], findings: [] };
  }
  const { image: { length }, image } = seen;
  const findings = [
    ...checkReply(seen.reply, expected, kernel.dialect),
    ...seen.changes,
    ...checkNothingWritten(image),
  ];
  // None of its bytes has to be there.
  const counts = { total: length, predicted: 0, observed: 0, volatile: 0, unexplained: length };
  return {
    stops: [{ label: "blocked", image, findings, counts, volatile: new Map(), pages: 0 }],
    findings: [],
  };
}

/** Starts a program and stops it where it waits for input. */
async function startAndStop(agent: GuestAgent, { argv, env }: ProgramScenario): Promise<number> {
  await agent.clean();
  const { pid, stderr } = await agent.exec(argv, env ? { env: { ...ENVIRONMENT, ...env } } : {});
  const state = await agent.quiesce(pid);
  if (state.state === "exited") {
    const said = new TextDecoder().decode(await agent.readFile(stderr)).trim();
    throw new UsageError(
      `${argv.join(" ")} ended before it could be checkpointed${said && `: ${said}`}`,
    );
  }
  await agent.stop(pid);
  return pid;
}
