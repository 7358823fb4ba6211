// SPDX-License-Identifier: MIT

import { basename } from "@std/path";
import { ERRNO, errnoName } from "../../../lib/abi/errno.ts";
import { signalName } from "../../../lib/abi/signals.ts";
import type { ProgramScenario } from "../../../lib/model/scenario.ts";
import { AgentError } from "../../../vm/agent/agent_wires.ts";
import type { ExecOptions, StartedProgram } from "../../../vm/agent/agent_types.ts";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { callFinding, checkNothingWritten, checkReply } from "../../check/check_reply.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import {
  type CaseOutcome,
  type GuestKernel,
  judgeCheckpoint,
  observeCheckpoint,
  type ObservedCheckpoint,
  type SecondCheck,
  unjudged,
} from "./observe_checkpoint.ts";
import { restartProgram } from "./restart_stop.ts";
import type { BeforeCall } from "./run_case.ts";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/" };

interface RunProgramOptions extends Pick<ExecOptions, "directory" | "input">, BeforeCall {
  readonly kernel: GuestKernel;
  readonly secondCheck?: SecondCheck | undefined;
  readonly restarts?: boolean | undefined;
  /** What is done in the empty guest before the program starts. */
  readonly prepare?: () => Promise<void>;
  /** Milliseconds after which a program is stopped that does not rest; by default it is waited for. */
  readonly limitMs?: number;
}

/** A program that ended before it could be checkpointed. */
export class ProgramEndedError extends UsageError {
  readonly sentence: string;
  readonly output: string;

  constructor(argv: readonly string[], end: string, output: string) {
    const sentence = `${argv.join(" ")} ended before it could be checkpointed (${end})`;
    super(output === "" ? sentence : `${sentence}:${output.includes("\n") ? "\n" : " "}${output}`);
    this.sentence = sentence;
    this.output = output;
  }
}

interface ProgramOutcome extends CaseOutcome {
  readonly seen: ObservedCheckpoint;
  /** What it had printed until it was stopped. */
  readonly output: () => Promise<string>;
  /** Whether it waited for something, and was not just stopped somewhere. */
  readonly isQuiet: boolean;
}

/**
 * Runs a real program in the guest until it waits for something, stops it, checkpoints it, and judges the
 * image by observation alone.
 */
export async function runProgram(
  guest: Guest,
  program: ProgramScenario,
  options: RunProgramOptions,
): Promise<ProgramOutcome> {
  const { kernel, secondCheck } = options;
  const { agent } = guest;
  const { started, isQuiet } = await startAndStop(agent, program, options);
  await options.beforeCall?.({ label: "blocked", pid: started.pid, isOwn: false });
  const seen = await observeCheckpoint(agent, { kernel, pid: started.pid });
  const { refused } = program;
  const common = { findings: [], seen, output: () => outputOf(agent, started), isQuiet };
  const { errno = refused, late = false } = typeof refused === "object" ? refused : {};
  if (typeof errno !== "string" || late) {
    const expected = typeof errno === "string" ? { name: errno, why: "its scenario says so" } : undefined;
    const stop = await judgeCheckpoint("blocked", seen, { kernel, expected, secondCheck });
    if (late) return { ...common, stops: [{ ...stop, findings: ofTorso(stop.findings) }] };
    const restarted = options.restarts && stop.findings.length === 0
      ? [await restartProgram(agent, stop, { kernel, pid: started.pid })]
      : [];
    return { ...common, stops: [stop, ...restarted] };
  }
  const findings = [
    ...checkReply(seen.reply, { name: errno, why: "its scenario says so" }, kernel.dialect),
    ...seen.changes,
    ...checkNothingWritten(seen.image),
  ];
  // None of its bytes has to be there.
  return { ...common, stops: [unjudged("blocked", seen.image, findings)] };
}

/** A refusal that comes late leaves the beginning of an image, and must be right as far as it goes. */
function ofTorso(findings: CaseOutcome["findings"]): CaseOutcome["findings"] {
  const others = findings.filter(({ id }) => id !== "E_TRUNCATED");
  if (others.length < findings.length) return others;
  const message = "a call that is refused late leaves an image that ends early";
  return [...others, callFinding("E_REFUSED_OUTPUT", message, "no TAIL", "a whole image")];
}

/** Starts a program and stops it where it waits for input, or where it is after some time. */
async function startAndStop(
  agent: GuestAgent,
  { argv, env }: ProgramScenario,
  { prepare, limitMs, directory, input }: RunProgramOptions,
): Promise<{ started: StartedProgram; isQuiet: boolean }> {
  await agent.clean();
  await prepare?.();
  const started = await agent.exec(argv, { env: env && { ...ENVIRONMENT, ...env }, directory, input });
  const { pid } = started;
  // A busy guest counts more slowly than the host.
  const deadline = limitMs === undefined ? {} : { limitMs, deadlineMs: 30_000 + 3 * limitMs };
  const state = await agent.quiesce(pid, deadline);
  if (state.state === "exited") {
    const end = state.signal === undefined ? `exit status ${state.code}` : signalName(state.signal);
    throw new ProgramEndedError(argv, end, (await outputOf(agent, started)).trim());
  }
  // Who sleeps where no signal reaches it does so for a moment, or for ever: vfork(2), a device.
  await agent.stop(pid, limitMs === undefined ? {} : { limitMs: STOP_MS }).catch((error) => {
    if (!(error instanceof AgentError && error.errno === ERRNO.EBUSY)) throw error;
    const why = "it waits where no signal reaches it, such as in vfork(2)";
    throw new ExpectedError(`${basename(argv[0]!)} cannot be stopped: ${why}`);
  });
  return { started, isQuiet: state.state === "S" };
}

/** For so long a program may take to stop. */
const STOP_MS = 3000;

/** What is kept of what a program prints. */
const MAX_OUTPUT = 64 << 10;

/** What a program has printed so far. */
export async function outputOf(
  agent: GuestAgent,
  { stdout, stderr }: Pick<StartedProgram, "stdout" | "stderr">,
): Promise<string> {
  const texts: string[] = [];
  for (const path of [stdout, stderr]) {
    const bytes = await agent.readFile(path, { length: MAX_OUTPUT + 1 });
    const text = new TextDecoder().decode(bytes.subarray(0, MAX_OUTPUT));
    texts.push(bytes.length > MAX_OUTPUT ? `${text}\n(it printed more)` : text);
  }
  return texts.map((text) => text === "" || text.endsWith("\n") ? text : `${text}\n`).join("");
}

/** What is wrong with a process, by what /proc shows of it; undefined when nothing of that kind is. */
type Reason = (process: { readonly status: string; readonly maps: readonly string[] }) => string | undefined;

function mapping(what: string, isIt: (mapping: { isShared: boolean; name: string }) => boolean): Reason {
  return ({ maps }) => {
    for (const line of maps) {
      const [, range, flags = "", name = ""] = /^(\S+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
      if (isIt({ isShared: flags.endsWith("s"), name })) {
        return `maps ${what}${name === "" ? "" : `, ${name}`} at ${range}`;
      }
    }
    return undefined;
  };
}

/** By errno, what checkpoint(2) refuses (docs/checkpoint.2.md): the first that is seen, else the last. */
const REASONS: Readonly<Record<string, readonly Reason[]>> = {
  EOPNOTSUPP: [
    ({ status }) => {
      const threads = Number(/^Threads:\s*(\d+)$/m.exec(status)?.[1]);
      return threads > 1 ? `has ${threads} threads` : undefined;
    },
    () => "shares its address space with another process",
  ],
  ENOSYS: [
    mapping("shared memory", ({ isShared }) => isShared),
    () => "maps huge pages or a device",
  ],
  ENOENT: [mapping("a file that was deleted", ({ name }) => name.endsWith(" (deleted)"))],
  EBADF: [
    mapping("memory without a path", ({ name }) => name.startsWith("/memfd:")),
    () => "maps a file that cannot be reached by its path",
  ],
  ENAMETOOLONG: [() => "maps a file whose path is too long"],
  EFAULT: [() => "has a page in swap that cannot be read"],
  EHWPOISON: [() => "has a page in memory that is broken"],
};

/** Why a process was not checkpointed, in one sentence; undefined when it was. */
export function explainRefusal(name: string, { reply, raw }: ObservedCheckpoint): string | undefined {
  if (reply.result >= 0n) return undefined;
  const errno = errnoName(reply.errno);
  const text = (file: string): string => new TextDecoder().decode(raw.proc.get(file));
  const process = { status: text("status"), maps: text("maps").trimEnd().split("\n") };
  const reasons = REASONS[errno]?.map((reason) => reason(process)) ?? [];
  const why = reasons.find((reason) => reason !== undefined);
  return why === undefined
    ? `${name} could not be saved: checkpoint(2) failed with ${errno}`
    : `${name} ${why}: checkpoint(2) refuses those, ${errno}`;
}
