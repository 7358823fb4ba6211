// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../../lib/model/scenario.ts";
import type { TargetEvent } from "../../../../vm/agent/agent_types.ts";

/** What an agent answered while a target of an old kernel checkpointed itself, stop by stop. */
export interface Session {
  readonly scenario: Scenario;
  readonly kernel: SessionKernel;
  readonly stops: readonly SessionStop[];
  /** All that the target reported, in order: a number, or bytes. */
  readonly results: readonly {
    readonly what: string;
    readonly value?: bigint;
    readonly bytes?: Uint8Array;
  }[];
  readonly end: TargetEvent;
}

/** The kernel of a session, and the program that ran on it. */
export interface SessionKernel {
  readonly release: string;
  readonly version: string;
  readonly machine: string;
  /** The revision of the format that its images have; 1 when not given. */
  readonly revision?: number;
  readonly cpuinfo: Uint8Array;
  /** The target's ELF file. */
  readonly target: Uint8Array;
}

/** What was seen at one stop. */
export interface SessionStop {
  readonly label: string;
  readonly pid: number;
  readonly scratch: bigint;
  readonly resumeAddress: bigint;
  /** The clock when all was read. */
  readonly seconds: bigint;
  /** How many results there were. */
  readonly results: number;
  readonly image: Uint8Array;
  /**
   * Files of /proc/PID by name; `pagemap`, a u64 address and the raw entry for each page of each mapping; `pages`, 40
   * bytes for each page that is there, the last 8 its digest; what ptrace gave, under names that begin with it.
   */
  readonly files: ReadonlyMap<string, Uint8Array>;
}
