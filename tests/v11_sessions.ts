// SPDX-License-Identifier: MIT

import { observeKernel } from "../harness/run/case/scenario_runner.ts";
import type { CaseOutcome } from "../harness/run/case/observe_checkpoint.ts";
import { type CaseOptions, runCase } from "../harness/run/case/run_case.ts";
import { replayAgent } from "../harness/run/case/testing/replay_agent.ts";
import type { Session, SessionKernel, SessionStop } from "../harness/run/case/testing/session.ts";
import type { Guest } from "../harness/run/guest/guest.ts";
import { stackTop } from "../lib/abi/arch.ts";
import { type CompiledScenario, compileScenario } from "../lib/model/compile_scenario.ts";
import { parseScenario } from "../lib/model/scenario.ts";
import type { CompileTarget } from "../lib/model/state/model_state.ts";
import { decodeResults } from "../vm/agent/target_program.ts";
import { readProgramFacts } from "../vm/initramfs/program_facts.ts";

/** Number of the system call of 2008. */
const CHECKPOINT = 333;

/** What scenarios are compiled for in a guest of 2008. */
export function compileTargetOf({ target }: SessionKernel): CompileTarget {
  const program = readProgramFacts(target, "the target of the sessions");
  return {
    ...{ kernelWordSize: 4, targetWordSize: 4, checkpointNr: CHECKPOINT, series: "2.6.28", dialect: "v11" },
    ...{ heapStart: program.startBrk, stackTop: stackTop("i386", "i386"), program },
  };
}

/** Runs the real runner on a session. */
export async function replay(
  session: Session,
  compiled: CompiledScenario = compileScenario(session.scenario, compileTargetOf(session.kernel)),
): Promise<CaseOutcome> {
  const agent = replayAgent(session, compiled.results);
  const options: CaseOptions = {
    kernel: {
      ...{ arch: "i386", series: "2.6.28", dialect: "v11", checkpointNr: CHECKPOINT },
      observed: await observeKernel(agent),
      revision: session.kernel.revision,
    },
    program: new Uint8Array(0),
    decodeResults: (bytes) => decodeResults(compiled.ops, bytes).results,
  };
  return await runCase({ agent } as unknown as Guest, compiled, options);
}

/** A recorded session.json, as far as it is used. */
interface SessionJson {
  readonly scenario: string;
  readonly about: string;
  readonly setup: unknown[];
  readonly steps: { readonly [key: string]: unknown; readonly op: string; readonly label?: string }[];
  readonly stops: {
    readonly label: string;
    readonly pid: number;
    readonly scratch: string;
    readonly resumeAddress: string;
    readonly guestSecondsAfterCall: string;
    readonly resultsBefore: number;
    readonly ownPid?: string;
    readonly files: Readonly<Record<string, string>>;
  }[];
  readonly results: { readonly what: string; readonly value?: string; readonly bytes?: string }[];
  readonly end: Session["end"];
}

/** The kernel of the sessions below a folder. */
export async function readSessionKernel(folder: string): Promise<SessionKernel> {
  const info = JSON.parse(await Deno.readTextFile(`${folder}agent-info.json`));
  return {
    ...{ release: info.release, version: info.version, machine: info.machine },
    cpuinfo: await Deno.readFile(`${folder}proc.cpuinfo`),
    target: await unpack(`${folder}target.xz`),
  };
}

/**
 * A session out of the folder that it was recorded to. Stops at which nothing was called are left out: they were
 * looks at the target for people.
 */
export async function readSession(folder: string, kernel: SessionKernel): Promise<Session> {
  const json = JSON.parse(await Deno.readTextFile(`${folder}session.json`)) as SessionJson;
  const looks = new Set(json.stops.filter(({ ownPid }) => ownPid === undefined).map(({ label }) => label));
  const { about, setup } = json;
  const steps = json.steps.filter(({ op, label }) => op !== "stop" || !looks.has(label!)).map(inPresentWords);
  const stops = json.stops.filter(({ label }) => !looks.has(label));
  return {
    scenario: parseScenario({ about, ...setup.length > 0 ? { setup } : {}, steps }, json.scenario),
    kernel,
    stops: await Promise.all(stops.map((stop) => readStop(folder, stop))),
    results: json.results.map(({ what, value, bytes }) => ({
      what,
      ...value === undefined ? {} : { value: BigInt(value) },
      ...bytes === undefined ? {} : { bytes: bytesOf(bytes) },
    })),
    end: json.end,
  };
}

/** A step of the time of recording: numbers of a user_desc could be texts, and a target's own call was a step. */
function inPresentWords({ zero, ...step }: Record<string, unknown>): Record<string, unknown> {
  if (step.op === "self") return { ...step, op: "stop", call: { pid: zero === 1 ? 0 : "self" } };
  const numbers = ["base", "limit"].filter((key) => /^\d+$/.test(String(step[key])));
  return { ...step, ...Object.fromEntries(numbers.map((key) => [key, Number(step[key])])) };
}

async function readStop(folder: string, stop: SessionJson["stops"][number]): Promise<SessionStop> {
  const files = new Map<string, Uint8Array>();
  for (const [name, file] of Object.entries(stop.files)) {
    files.set(name, await (file.endsWith(".xz") ? unpack : Deno.readFile)(folder + file));
  }
  const image = files.get("image.ckpt") ?? new Uint8Array(0);
  files.delete("image.ckpt");
  return {
    ...{ label: stop.label, pid: stop.pid, results: stop.resultsBefore, image, files },
    ...{ scratch: BigInt(stop.scratch), resumeAddress: BigInt(stop.resumeAddress) },
    seconds: BigInt(stop.guestSecondsAfterCall),
  };
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

async function unpack(path: string): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command("xz", { args: ["-dc", path] }).output();
  if (!success) throw new Error(`xz could not unpack ${path}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}
