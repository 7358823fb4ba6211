// SPDX-License-Identifier: MIT

import { errnoNumber } from "../../../lib/abi/errno.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import type { Refusal } from "../../../lib/model/predict_stop.ts";
import type { ProgramScenario } from "../../../lib/model/scenario.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import { checkImage } from "../../check/check_image.ts";
import { observeCheckpoint, type ObservedCheckpoint } from "./observe_checkpoint.ts";
import {
  type CaseOutcome,
  checkReply,
  type GuestKernel,
  outcomeOf,
  type SecondCheck,
  type StopOutcome,
  withSecondCheck,
} from "./run_case.ts";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/" };

/** How {@linkcode runProgram} is called. */
export interface RunProgramOptions {
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
    self: false,
    brk: undefined,
    hashPage: () => true,
  });
  if (program.refused !== undefined) return { stops: [refusedStop(seen, program.refused)], findings: [] };
  const comparison = checkImage(seen.image, {
    arch: kernel.arch,
    series: kernel.series,
    dialect: kernel.dialect,
    kernel: kernel.observed,
    target: seen.observation,
    prediction: undefined,
    self: false,
    checkpointNr: kernel.checkpointNr,
  });
  const findings = [...checkReply(seen.reply, undefined, 0), ...seen.changes, ...comparison.findings];
  const outcome = outcomeOf("blocked", seen, comparison, findings);
  return { stops: [await withSecondCheck(outcome, seen, options.secondCheck)], findings: [] };
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

function refusedStop(seen: ObservedCheckpoint, name: string): StopOutcome {
  const refusal: Refusal = { name, errno: errnoNumber(name), atPage: undefined, why: "its scenario says so" };
  const findings: Finding[] = [...checkReply(seen.reply, refusal, 0), ...seen.changes];
  if (seen.image.length > 0) {
    findings.push({
      id: "E_REFUSED_OUTPUT",
      verdict: "mismatch",
      path: "image",
      message: `the call had to be refused with ${name} before a byte was written`,
      expected: "0 bytes",
      actual: `${seen.image.length} bytes`,
    });
  }
  const total = seen.image.length;
  const counts = { total, predicted: 0, observed: 0, volatile: 0, unexplained: total };
  return { label: "blocked", image: seen.image, findings, counts, volatile: new Map(), pages: 0 };
}
