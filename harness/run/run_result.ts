// SPDX-License-Identifier: MIT

import * as v from "valibot";
import type { Finding } from "../../lib/image/finding.ts";
import { list, object, oneOf, optional, record } from "../../lib/schema.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { type FileFormat, readVersioned } from "../../vm/host/versioned_json.ts";

/** Parts that the schemas of results have in common. */
export const TEXT: v.GenericSchema<string> = v.string("a text");
/** A number of anything. */
export const NUMBER: v.GenericSchema<number> = v.pipe(v.number("a number"), v.finite("a finite number"));
/** How many bytes of images are explained by what (lib/compare). */
export const BYTES = object({
  total: NUMBER,
  predicted: NUMBER,
  observed: NUMBER,
  volatile: NUMBER,
  unexplained: NUMBER,
});
/** Mutants by how they ended; those that are known to survive are among them. */
export const MUTANT_COUNTS = object({ killed: NUMBER, survived: NUMBER, equivalent: NUMBER });
/** Scenarios by how they ended. */
export const SCENARIO_COUNTS = object({ passed: NUMBER, failed: NUMBER, lost: NUMBER, skipped: NUMBER });

const FINDING = object({
  id: TEXT,
  verdict: oneOf(["malformed", "invalid", "mismatch", "note"]),
  path: TEXT,
  offset: optional(NUMBER),
  message: TEXT,
  expected: optional(TEXT),
  actual: optional(TEXT),
});

const SPLAT = object({
  kind: TEXT,
  title: TEXT,
  fingerprint: TEXT,
  /** Frames as `function+offset (file:line)`, innermost first; behind `? ` what is no part of the call chain. */
  frames: list(TEXT),
  /** The report as it was in the log. */
  lines: list(TEXT),
  /** Why its frames are without lines of the source. */
  note: v.optional(TEXT),
  /** Why it fails nothing, for one that the allowlist covers. */
  allowed: v.optional(TEXT),
});

const STOP = object({
  label: TEXT,
  bytes: NUMBER,
  pages: NUMBER,
  counts: BYTES,
  findings: list(FINDING),
});

const SCENARIO = object({
  platform: TEXT,
  scenario: TEXT,
  /** Set where the result is of the boot of a guest, or of what the kernel said after the scenario's end. */
  phase: v.optional(oneOf(["boot", "afterwards"])),
  status: oneOf(["pass", "fail", "skip", "lost"]),
  /** Why it was skipped or lost. */
  reason: v.optional(TEXT),
  /** How often it failed when it was run again alone, of how many times, and how often with the same splat. */
  reproduced: v.optional(object({ times: NUMBER, of: NUMBER, sameSplat: v.optional(NUMBER) })),
  milliseconds: NUMBER,
  /** Findings that belong to no image. */
  findings: list(FINDING),
  splats: list(SPLAT),
  stops: list(STOP),
  reproduce: TEXT,
  /** Directory with its files (images, kernel.log, findings.json), relative to that of `results.json`. */
  files: v.optional(TEXT),
});

const KERNEL = object({
  /** Name of the platform: architecture, and flavour behind a hyphen. */
  platform: TEXT,
  /** In words, such as `Linux 6.1.192`. */
  name: TEXT,
  /** Digest of all that went into it; undefined for a kernel that was given as a file. */
  key: v.optional(TEXT),
  /** Digests of source, patch (overlay, hooks and edits) and configuration. */
  digests: v.optional(object({ source: TEXT, patch: TEXT, config: TEXT })),
  accelerator: TEXT,
});

/** Raised when what `results.json` says changes its meaning. */
export const RUN_RESULT_SCHEMA = 1;

/** The file of a run, `results.json`: what ran, on which kernels, and how it ended. */
export const RUN_RESULT = object({
  schema: v.literal(RUN_RESULT_SCHEMA, `${RUN_RESULT_SCHEMA}`),
  /** When it began, as Date.toISOString() writes it. */
  started: TEXT,
  milliseconds: NUMBER,
  kernels: list(KERNEL),
  /** Guests that were started, and what that took, from QEMU to the agent's hello. */
  boots: v.optional(object({ count: NUMBER, milliseconds: NUMBER })),
  counts: SCENARIO_COUNTS,
  bytes: BYTES,
  volatile: record(v.string(), object({ bytes: NUMBER, reason: TEXT })),
  /** Known errors of the code as posted in 2008, by id: they fail nothing. */
  knownErrors: v.optional(record(v.string(), object({ count: NUMBER, message: TEXT }))),
  /** Of `ckptest mutants`, whose results are of a mutant each in place of a scenario. */
  mutants: v.optional(MUTANT_COUNTS),
  results: list(SCENARIO),
  /** Why it ended before its time; `run --resume` goes on with it. */
  stopped: v.optional(TEXT),
});

/** What {@linkcode RUN_RESULT} lets through. */
export type RunResult = Readonly<v.InferOutput<typeof RUN_RESULT>>;
/** A kernel of a run. */
export type RunKernel = Readonly<v.InferOutput<typeof KERNEL>>;
/** How one scenario ended on one platform. */
export type ScenarioRecord = Readonly<v.InferOutput<typeof SCENARIO>>;
/** One complaint of the kernel. */
export type SplatRecord = Readonly<v.InferOutput<typeof SPLAT>>;

/** The format of `results.json`. */
export const RUN_RESULT_FORMAT: FileFormat<typeof RUN_RESULT> = {
  schema: RUN_RESULT,
  version: RUN_RESULT_SCHEMA,
};

/** The share of the mutants that were killed: those that are equivalent do not count. */
export function mutationScore({ killed, survived }: v.InferOutput<typeof MUTANT_COUNTS>): string {
  const all = killed + survived;
  return all === 0 ? "none that counts" : `${(100 * killed / all).toFixed(1)} % (${killed} of ${all})`;
}

/** Reads a `results.json`. @throws {UsageError} saying what is wrong with it, or that there is none */
export async function readRunResult(path: string): Promise<RunResult> {
  const result = await readVersioned(path, RUN_RESULT_FORMAT);
  if (result) return result;
  throw new UsageError(`${path} was not written`);
}

/** Complaints of the kernel that fail a scenario: those that the allowlist does not cover. */
export function failingSplats({ splats }: Pick<ScenarioRecord, "splats">): SplatRecord[] {
  return splats.filter(({ allowed }) => allowed === undefined);
}

/** Whether a scenario failed, or lost its guest. */
export function isBroken({ status }: Pick<ScenarioRecord, "status">): boolean {
  return status === "fail" || status === "lost";
}

/** Every finding of a scenario; those of an image have its label before their path. */
export function scenarioFindings({ findings, stops }: {
  readonly findings: readonly Finding[];
  readonly stops: readonly { readonly label: string; readonly findings: readonly Finding[] }[];
}): Finding[] {
  const ofStops = stops.flatMap((stop) =>
    stop.findings.map((finding) => ({ ...finding, path: `${stop.label}: ${finding.path}` }))
  );
  return [...findings, ...ofStops];
}
