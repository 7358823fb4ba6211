// SPDX-License-Identifier: MIT

import type { AgentSession } from "../../../vm/agent/agent_session.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import type { VirtualMachine } from "../../../vm/qemu/virtual_machine.ts";
import type { Guest } from "./guest.ts";

/** A guest in QEMU. */
export class VirtualGuest implements Guest {
  readonly agent: AgentSession;
  readonly bootMilliseconds: number;
  readonly command: string;
  /** What it runs in. */
  readonly machine: VirtualMachine;

  constructor(machine: VirtualMachine, agent: AgentSession, bootMilliseconds: number) {
    this.bootMilliseconds = bootMilliseconds;
    this.machine = machine;
    this.agent = agent;
    this.command = shellJoin(machine.argv);
  }

  get consoleMark(): number {
    return this.machine.console.offset;
  }

  consoleText(from?: number): string {
    return this.machine.console.text(from);
  }

  get consoleGrown(): Promise<void> {
    return this.machine.console.grown;
  }

  get ended(): Promise<unknown> {
    return this.machine.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.machine.close();
  }
}
