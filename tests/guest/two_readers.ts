// SPDX-License-Identifier: MIT

import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import type { Guest } from "../../harness/run/guest/guest.ts";
import type { PreparedGuest } from "../../harness/run/guest/prepare_guest.ts";
import { errnoName } from "../../lib/abi/errno.ts";
import type { Finding } from "../../lib/image/finding.ts";
import { placeOf } from "../../lib/compare/restarted_image.ts";
import { checkImage } from "../../lib/image/rules.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import type { ImageNode } from "../../lib/image/nodes.ts";
import { AVX_COMPONENT } from "../../lib/x86/xstate.ts";
import {
  RESTART_CHANGED,
  RESTART_DIED,
  RESTART_UNTOUCHED,
  type RestartTry,
} from "../../vm/agent/agent_types.ts";

const AVX_END = AVX_COMPONENT.offset + AVX_COMPONENT.size;

/** Rules that the kernel has no use for: what was, and what is made anew. */
const IGNORED: ReadonlySet<string> = new Set([
  "E_TASK_STATE",
  "E_TASK_EXIT",
  "E_CPU_DEBUG",
  "E_CPU_IP",
  "E_CPU_SELF",
  "E_XSTATE_INIT",
  "E_CHUNK_SIZE",
  "E_TRAILING",
  "E_UNKNOWN_RECORD",
]);

/** Rules for what must be the running kernel's own, or has an errno of its own. */
const OTHER_ERRNO: Readonly<Record<string, readonly string[]>> = {
  // One reader may still be in step where the other has run out of bytes.
  E_TRUNCATED: ["EPIPE", "EINVAL"],
  E_MACHINE: ["ENOEXEC"],
  E_VERSION: ["ENOEXEC", "EINVAL"],
  E_HEAD_TEXT: ["ENOEXEC"],
  E_ARCH_FLAGS: ["ENOEXEC"],
  E_XSTATE_SIZE: ["ENOEXEC", "EINVAL"],
  E_PAGE_PROT: ["ENOEXEC"],
  E_VM_FLAGS: ["EINVAL", "EOPNOTSUPP"],
};

/**
 * What the kernel may refuse though the format allows it, by where the bit is: the guest's state explains it.
 * A reader that runs out of step says EPIPE, or EINVAL for what is no record there.
 */
const BY_STATE: readonly (readonly [path: RegExp, errnos: readonly string[]])[] = [
  [/^head\./, ["ENOEXEC"]],
  [/\/mm\.(map_count|start_data|end_data|start_brk|brk)$/, ["ENOMEM"]],
  [/\.vm_flags$/, ["EOPNOTSUPP", "ENOEXEC", "EPERM", "EAGAIN"]],
  [/\.vm_(start|end)$/, ["ENOMEM", "ENOEXEC", "EPERM", "EOVERFLOW", "EFAULT"]],
  [/\.vm_pgoff$/, ["EFAULT", "EOVERFLOW"]],
  [/\/fname$/, ["ENOENT", "EACCES", "ENOTDIR", "EFAULT", "ELOOP", "ENODEV"]],
  [/\/cpu\.(ds|es|fs|gs|cs|ss)$/, ["EINVAL", "ENOEXEC"]],
  [/\/(ldt|tls)$/, ["EINVAL"]],
  // What the CPU has of MXCSR, and XCR0.
  [/\/xstate\+(2[89]|3[01]|46[4-9]|47[01])$/, ["EINVAL"]],
  [/\/fsgsbase\.(fs|gs)base$/, ["EINVAL"]],
];

/** The path of an image that ends early. */
const CUT = "the end";

/** What the two readers make of one input. */
interface TwoVerdicts {
  /** The path of the field that is wrong. */
  readonly path: string;
  /** Of restart(2): 0, a negative errno, or what a try can end with beside. */
  readonly result: number;
  /** Of `image check`. */
  readonly findings: readonly Finding[];
}

/** Why the two verdicts do not go together; undefined when they do. */
export function disagreement({ path, result, findings }: TwoVerdicts): string | undefined {
  if (result === RESTART_CHANGED) return "the caller was changed though the call failed";
  if (result >= RESTART_DIED) return `the caller was ended by signal ${result - RESTART_DIED}`;
  const ids = findings.filter(({ verdict }) => verdict !== "note").map(({ id }) => id);
  const binding = ids.filter((id) => !IGNORED.has(id) || path.endsWith(".exit_state"));
  const errno = result === 0 ? undefined : errnoName(-result);
  if (path === CUT) return errno === "EPIPE" ? undefined : `an image that was cut gives ${errno}, not EPIPE`;
  if (binding.length > 0) {
    if (errno === undefined) return `the kernel takes it, image check says ${binding.join(" ")}`;
    // Where a reader is out of step it may meet anything, the end included.
    const allowed = new Set(binding.flatMap((id) => [...OTHER_ERRNO[id] ?? ["EINVAL"], "EPIPE"]));
    const byState = BY_STATE.find(([where]) => where.test(path))?.[1] ?? [];
    return allowed.has(errno) || byState.includes(errno)
      ? undefined
      : `the kernel says ${errno}, image check ${binding.join(" ")}`;
  }
  if (errno === undefined) return undefined;
  const byState = BY_STATE.find(([where]) => where.test(path))?.[1] ?? [];
  return byState.includes(errno) ? undefined : `the kernel says ${errno}, image check nothing`;
}

/** One input of both readers. */
interface ReaderInput {
  readonly attempt: RestartTry;
  readonly path: string;
}

const IMAGE = "/run/ckptest/spoilt";
const BATCH = 2048;

/** An image that a scenario gives in a guest. */
export async function imageOf(
  prepared: PreparedGuest,
  guest: Guest,
  scenario: Scenario,
): Promise<Uint8Array> {
  let image: Uint8Array | undefined;
  await scenarioRunner(prepared, { onCheckpoint: (seen) => image = seen.image })(guest, scenario);
  if (image === undefined) throw new Error(`${scenario.name} gave no image`);
  return image;
}

/** Lets both readers of a guest read an image, spoilt in each of many ways; gives where they disagree. */
export async function readBoth(
  { agent }: Guest,
  image: Uint8Array,
  inputs: readonly ReaderInput[],
): Promise<{ disagreements: string[]; counts: { inputs: number; taken: number; refused: number } }> {
  const counts = { inputs: inputs.length, taken: 0, refused: 0 };
  const found = new Map<string, number>();
  await agent.writeFile(IMAGE, image);
  for (let at = 0; at < inputs.length; at += BATCH) {
    const batch = inputs.slice(at, at + BATCH);
    const results = await agent.restarts(IMAGE, batch.map(({ attempt }) => attempt), { deadlineMs: 600_000 });
    for (const [i, result] of results.entries()) {
      const { attempt: { offset, mask }, path } = batch[i]!;
      counts[result === 0 ? "taken" : "refused"]++;
      const spoilt = mask === 0 ? image.subarray(0, offset) : image.slice();
      if (mask !== 0) spoilt[offset]! ^= mask;
      const text = disagreement({ path, result, findings: checkImage(spoilt) });
      if (text !== undefined) found.set(`${path}: ${text}`, offset);
    }
  }
  return { disagreements: [...found].map(([text, offset]) => `${text} (at ${offset})`), counts };
}

/** Lets the first, second ... allocation of restart(2) fail, until none is left; gives what each came to. */
export async function failEach({ agent }: Guest, image: Uint8Array): Promise<number[]> {
  await agent.writeFile(IMAGE, image);
  const all: number[] = [];
  for (let first = 1;; first += FAULTS_AT_ONCE) {
    const tries = Array.from(
      { length: FAULTS_AT_ONCE },
      (_, i): RestartTry => ({ offset: first + i, mask: 0, how: "fault" }),
    );
    const results = await agent.restarts(IMAGE, tries, { deadlineMs: 600_000 });
    const end = results.indexOf(RESTART_UNTOUCHED);
    all.push(...end < 0 ? results : results.slice(0, end));
    if (end >= 0) return all;
  }
}

const FAULTS_AT_ONCE = 64;

/** Images that end early, every so many bytes. */
export function cuts(length: number, step: number): ReaderInput[] {
  return Array.from(
    { length: Math.ceil(length / step) },
    (_, i) => ({ attempt: { offset: i * step, mask: 0, how: "pipe" }, path: CUT }),
  );
}

/** Flips of each bit of an image but those of its pages, and where each is. */
export function* metadataFlips(nodes: Iterable<ImageNode>): Generator<ReaderInput> {
  for (const node of nodes) {
    const length = node.kind === "pages" ? node.pagesOffset - node.offset : node.length;
    for (let at = 0; at < length; at++) {
      const path = node.kind === "xstate" ? `${node.path}+${at}` : placeOf(node, at);
      // What lies behind AVX is large, and no rule of the format is about it.
      const bits = node.kind === "xstate" && at >= AVX_END ? 1 : 8;
      for (let bit = 0; bit < bits; bit++) {
        yield {
          attempt: { offset: node.offset + at, mask: 1 << bit, how: bit % 4 === 3 ? "pipe" : "file" },
          path,
        };
      }
    }
  }
}
