// SPDX-License-Identifier: MIT

import type { ProgramScenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { checkImage } from "../../check/check_image.ts";
import { checkNothingWritten, checkReply } from "../../check/check_reply.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import {
  type CaseOutcome,
  type GuestKernel,
  refusedOutcome,
  type SecondCheck,
  stopOutcome,
} from "./case_outcome.ts";
import { observeCheckpoint } from "./observe_checkpoint.ts";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/" };

/** How {@linkcode runProgram} is called. */
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
  options: RunProgramOptions,
): Promise<CaseOutcome> {
  const { kernel } = options;
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
  const expected = { name: refused ?? "ok", why: "its scenario says so" };
  const findings = [...checkReply(seen.reply, expected, kernel.dialect), ...seen.changes];
  if (refused !== undefined) {
    findings.push(...checkNothingWritten(seen.image));
    return { stops: [refusedOutcome("blocked", seen.image, findings)], findings: [] };
  }
  const comparison = checkImage(seen.image, {
    arch: kernel.arch,
    series: kernel.series,
    dialect: kernel.dialect,
    kernel: kernel.observed,
    target: seen.observation,
    prediction: undefined,
    self: undefined,
  });
  findings.push(...comparison.findings);
  return {
    stops: [await stopOutcome("blocked", seen, { ...comparison, findings }, options.secondCheck)],
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
