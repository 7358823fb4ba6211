// SPDX-License-Identifier: MIT

import type { ByteCounts } from "../../lib/compare/byte_account.ts";
import type { Finding } from "../../lib/image/finding.ts";

/** Raised when what `results.json` says changes its meaning. */
export const RUN_RESULT_SCHEMA = 1;

/** The file of a run, `results.json`: what ran, on which kernels, and what came of it. */
export interface RunResult {
  readonly schema: typeof RUN_RESULT_SCHEMA;
  /** When it began, as Date.toISOString() writes it. */
  readonly started: string;
  readonly milliseconds: number;
  readonly kernels: readonly RunKernel[];
  /** Guests that were started, and what that took, from QEMU to the agent's hello. */
  readonly boots?: { readonly count: number; readonly milliseconds: number };
  readonly counts: {
    readonly passed: number;
    readonly failed: number;
    readonly lost: number;
    readonly skipped: number;
  };
  readonly bytes: ByteCounts;
  /** Volatile bytes by name. */
  readonly volatile: Readonly<Record<string, { readonly bytes: number; readonly reason: string }>>;
  readonly results: readonly ScenarioRecord[];
  /** Why it ended before its time; `run --resume` goes on with it. */
  readonly stopped?: string;
}

/** A kernel of a run. */
export interface RunKernel {
  /** Name of the platform: architecture, and flavour behind a hyphen. */
  readonly platform: string;
  /** In words, such as `Linux 6.1.192`. */
  readonly name: string;
  /** Digest of all that went into it; undefined for a kernel that was given as a file. */
  readonly key?: string;
  /** Digests of source, patch (overlay, hooks and edits) and configuration. */
  readonly digests?: { readonly source: string; readonly patch: string; readonly config: string };
  readonly accelerator: string;
}

/** What became of one scenario on one platform. */
export interface ScenarioRecord {
  readonly platform: string;
  readonly scenario: string;
  /** Set where the result is of the boot of a guest, or of what the kernel said after the scenario's end. */
  readonly phase?: "boot" | "afterwards";
  readonly status: "pass" | "fail" | "skip" | "lost";
  /** Why it was skipped or lost. */
  readonly reason?: string;
  /** How often it failed when it was run again alone, of how many times. */
  readonly reproduced?: { readonly times: number; readonly of: number };
  readonly milliseconds: number;
  /** Findings that belong to no image. */
  readonly findings: readonly Finding[];
  readonly splats: readonly SplatRecord[];
  readonly stops: readonly StopRecord[];
  /** The command that shows it again. */
  readonly reproduce: string;
  /** Directory with its files (images, kernel.log, findings.json), relative to that of `results.json`. */
  readonly files?: string;
}

/** One image of a scenario. */
export interface StopRecord {
  readonly label: string;
  readonly bytes: number;
  readonly pages: number;
  readonly counts: ByteCounts;
  readonly findings: readonly Finding[];
}

/** One complaint of the kernel. */
export interface SplatRecord {
  readonly kind: string;
  readonly title: string;
  readonly fingerprint: string;
  /** Frames as `function+offset (file:line)`, innermost first. */
  readonly frames: readonly string[];
  /** The report as it was in the log. */
  readonly lines: readonly string[];
  /** Why it fails nothing, for one that the allowlist covers. */
  readonly allowed?: string;
}
