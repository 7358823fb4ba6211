// SPDX-License-Identifier: MIT
import { EXIT_STATUS, type ExitStatus, ExpectedError } from "../host/errors.ts";
import { shellJoin } from "../host/shell_quote.ts";
import { standaloneArguments } from "./qemu_arguments.ts";

/** Why a guest counts as lost. */
export type GuestLostReason = "timeout" | "panic" | "qemu-exit" | "protocol";

/** What is known at the moment when a guest is given up. */
interface GuestLostDetails {
  reason: GuestLostReason;
  awaited: string;
  /** One more sentence: the exit status, the offending line. */
  detail?: string;
  consoleTail: string;
  /** All of the console that is kept, where the console was drained before the guest was given up. */
  consoleText?: string;
  /** Program and arguments that started the guest. */
  argv: readonly string[];
}

const WORDS: Record<GuestLostReason, string> = {
  "timeout": "the guest did not answer in time",
  "panic": "the guest's kernel reported a fatal error",
  "qemu-exit": "QEMU ended",
  "protocol": "the guest said something that makes no sense here",
};

/**
 * The guest is lost: it hung, panicked, ended, or stopped making sense. Never a verdict on the code under
 * test by itself; the harness starts a fresh guest and says so.
 */
export class GuestLostError extends ExpectedError {
  override readonly name = "GuestLostError";
  readonly reason: GuestLostReason;
  readonly awaited: string;
  readonly detail: string;
  readonly consoleTail: string;
  readonly consoleText: string | undefined;
  readonly argv: readonly string[];

  constructor(details: GuestLostDetails, options?: ErrorOptions) {
    super(describe(details), options);
    this.reason = details.reason;
    this.awaited = details.awaited;
    this.detail = details.detail ?? "";
    this.consoleTail = details.consoleTail;
    this.consoleText = details.consoleText;
    this.argv = details.argv;
  }

  override get status(): ExitStatus {
    return EXIT_STATUS.guestLost;
  }

  override get explanation(): string {
    return `${this.message}\nto boot it alone, the console on the terminal (Ctrl-A X ends it):\n  ${this.command}`;
  }

  /** A command line that starts such a guest with its console on the terminal, quoted for a shell. */
  get command(): string {
    return shellJoin(standaloneArguments(this.argv));
  }
}

function describe({ reason, awaited, detail, consoleTail }: GuestLostDetails): string {
  const lines = [`guest lost (${reason}): ${WORDS[reason]}; waiting for ${awaited}`];
  if (detail !== undefined && detail !== "") lines.push(detail.trimEnd());
  if (consoleTail.trim() === "") lines.push("the console is empty");
  else lines.push("end of the console:", consoleTail.trimEnd().replace(/^/gm, "  | "));
  return lines.join("\n");
}
