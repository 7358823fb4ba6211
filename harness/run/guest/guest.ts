// SPDX-License-Identifier: MIT

import type { AgentSession } from "../../../vm/agent/agent_session.ts";

/** What the harness asks of the agent in a guest; tests play accidents with a scripted one. */
export type GuestAgent = Pick<
  AgentSession,
  | "info"
  | "program"
  | "spawn"
  | "event"
  | "exec"
  | "quiesce"
  | "stop"
  | "cont"
  | "observe"
  | "registers"
  | "attach"
  | "detach"
  | "setDebugRegister"
  | "poke"
  | "zombie"
  | "checkpoint"
  | "resume"
  | "syscall"
  | "call"
  | "lastId"
  | "signal"
  | "mount"
  | "pageHash"
  | "results"
  | "targetImage"
  | "time"
  | "readFile"
  | "writeFile"
  | "mkdir"
  | "clean"
>;

/** A booted kernel with the agent in it. Everything rejects with GuestLostError once it is lost. */
export interface Guest extends AsyncDisposable {
  readonly agent: GuestAgent;
  /** Milliseconds from the start of QEMU to the agent's hello. */
  readonly bootMilliseconds: number;
  /** The command line that started it, quoted for a shell. */
  readonly command: string;
  /** How many bytes the kernel log has so far: a mark for {@linkcode Guest.consoleText}. */
  readonly consoleMark: number;
  /** The kernel log from a mark on. */
  consoleText(from?: number): string;
  /** Settles when more of the kernel log comes; never rejects. */
  readonly consoleGrown: Promise<void>;
  /** Settles when the guest has ended and its console is read to the end; never rejects. */
  readonly ended: Promise<unknown>;
}

/** Names of bulk answers and their bytes. */
export type Blobs = ReadonlyMap<string, Uint8Array>;
