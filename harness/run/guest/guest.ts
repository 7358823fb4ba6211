// SPDX-License-Identifier: MIT

import type { AgentSession } from "../../../vm/agent/agent_session.ts";
import type { ConsoleLog } from "../../../vm/qemu/console_log.ts";

/** What the harness asks of the agent in a guest; tests play accidents with a scripted one. */
export type GuestAgent = Pick<AgentSession, keyof AgentSession>;

/** A booted kernel with the agent in it. Everything rejects with GuestLostError once it is lost. */
export interface Guest extends AsyncDisposable {
  readonly agent: GuestAgent;
  /** Milliseconds from the start of QEMU to the agent's hello. */
  readonly bootMilliseconds: number;
  /** The command line that started it, quoted for a shell. */
  readonly command: string;
  /** The kernel log; its offset is a mark for what comes later. */
  readonly console: Pick<ConsoleLog, "offset" | "start" | "text" | "grown">;
  /** The host's end of its terminal, where it was asked for and can be. */
  readonly terminal?: Deno.Conn | undefined;
  /** Where gdb can attach, where it was asked for. */
  readonly debug?: GuestDebug | undefined;
  readonly recording?: string | undefined;
  /** Settles when the guest has ended and its console is read to the end; never rejects. */
  readonly ended: Promise<unknown>;
}

/** A guest's end for gdb. */
export interface GuestDebug {
  readonly socket: string;
  /** Waits until gdb has attached, which stops the guest, and lets it go on. */
  continued(): Promise<void>;
}

/** Names of bulk answers and their bytes. */
export type Blobs = ReadonlyMap<string, Uint8Array>;
