// SPDX-License-Identifier: MIT

import type { ProgramScenario } from "../lib/model/scenario.ts";
import { UsageError } from "./exit_status.ts";
import type { Guest } from "./guest.ts";
import { judgeImage } from "./judge_image.ts";
import { observeCheckpoint } from "./observe_checkpoint.ts";
import { type CaseOutcome, checkReply, type GuestKernel, outcomeOf } from "./run_case.ts";

/**
 * Runs a real program in the guest until it waits for something, stops it, checkpoints it, and judges the image by
 * observation alone.
 */
export async function runProgram(
  guest: Guest,
  program: ProgramScenario,
  options: { kernel: GuestKernel },
): Promise<CaseOutcome> {
  const { kernel } = options;
  const { agent } = guest;
  await agent.clean();
  const { pid, stderr } = await agent.exec(program.argv);
  const state = await agent.quiesce(pid);
  if (state.state === "exited") {
    const said = new TextDecoder().decode(await agent.readFile(stderr)).trim();
    throw new UsageError(
      `${program.argv.join(" ")} ended before it could be checkpointed${said && `: ${said}`}`,
    );
  }
  await agent.stop(pid);
  const seen = await observeCheckpoint(agent, {
    pid,
    checkpointNr: kernel.checkpointNr,
    zeroFrame: kernel.observed.zeroFrame,
    self: false,
    brk: undefined,
    hashPage: () => true,
  });
  const comparison = judgeImage(seen.image, {
    arch: kernel.arch,
    series: kernel.series,
    kernel: kernel.observed,
    target: seen.observation,
    prediction: undefined,
    self: false,
    checkpointNr: kernel.checkpointNr,
  });
  const findings = [...checkReply(seen.reply, undefined, 0), ...seen.changes, ...comparison.findings];
  return { stops: [outcomeOf("blocked", seen, comparison, findings)], findings: [] };
}
