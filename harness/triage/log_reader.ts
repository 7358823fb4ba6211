// SPDX-License-Identifier: MIT

import { AgentError } from "../../vm/agent/agent_session.ts";
import type { Guest } from "../run/guest/guest.ts";
import { withoutMiddle } from "./console_lines.ts";
import { parseSplats } from "./parse_splats.ts";
import type { Splat } from "./splat.ts";
import { afterWaiting, delay, firstWithin } from "../../vm/host/deadline.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { VirtualMachine } from "../../vm/qemu/virtual_machine.ts";

/** A piece of the kernel log, and the complaints in it. */
export interface LogPart {
  readonly text: string;
  readonly splats: readonly Splat[];
  /** False when the log may lack a part: it did not show a mark that was written to it, or there is too much of it. */
  readonly isWhole: boolean;
}

/** How long a mark may take from the agent's write to our end of the console, in milliseconds. */
const MARK_MS = 5_000;
/** What a guest without /dev/kmsg is given to empty its console, in milliseconds. */
const SETTLE_MS = 20;

/**
 * Reads a guest's kernel log piece by piece: each byte belongs to one piece, and none falls between two.
 *
 * Console and agent speak through different sockets, so the agent's answer may be here before what the kernel
 * said earlier. Therefore a piece ends with a line that the agent writes to the log itself and that is waited
 * for (0.8 ms in a TCG guest, 1 % of what the catalogue takes).
 */
export class LogReader {
  readonly #guest: Guest;
  readonly #markMs: number;
  readonly #drainOptions: DrainOptions;
  #from: number;
  #marks = 0;

  /** @param options `from`: where the first piece begins, an offset of the console; its beginning by default */
  constructor(guest: Guest, options: DrainOptions & { markMs?: number; from?: number } = {}) {
    this.#guest = guest;
    this.#from = options.from ?? 0;
    this.#markMs = options.markMs ?? MARK_MS;
    this.#drainOptions = options;
  }

  /**
   * The piece up to a mark that is set now; a report that the mark cuts is waited for.
   *
   * @param label what ends here, for a reader of the log
   * @throws {GuestLostError} when the guest is lost
   */
  async readToMark(label: string): Promise<LogPart> {
    const isShown = await this.#setMark(label);
    let part = this.#next();
    if (!part.splats.every(({ isComplete }) => isComplete)) {
      await drainConsole(this.#guest, this.#from, this.#drainOptions);
      part = this.#next();
    }
    return { ...this.#take(part), isWhole: isShown && part.isWhole };
  }

  /** The piece up to the end of a guest that is lost, whose console is drained first. */
  async drain(): Promise<LogPart> {
    await drainConsole(this.#guest, this.#from, this.#drainOptions);
    return this.#take(this.#next());
  }

  /** What came without being asked for, if the kernel complains in it; otherwise it stays for the next piece. */
  readComplaints(): LogPart | undefined {
    const part = this.#next();
    return part.splats.length > 0 ? this.#take(part) : undefined;
  }

  #next(): LogPart {
    const { console } = this.#guest;
    const text = console.text(this.#from);
    // A guest that floods its console may have said more than is kept, or than anybody looks at.
    const isWhole = console.start <= this.#from && withoutMiddle(text) === text;
    return { text, splats: text === "" ? [] : parseSplats(text), isWhole };
  }

  /** Nothing may have been awaited since the part was read. */
  #take(part: LogPart): LogPart {
    this.#from = this.#guest.console.offset;
    return part;
  }

  async #setMark(label: string): Promise<boolean> {
    const mark = `ckptest: ${label} (${++this.#marks})`;
    const start = this.#guest.console.offset;
    try {
      // A warning: what is milder does not reach the console.
      await this.#guest.agent.writeFile("/dev/kmsg", `<4>${mark}\n`);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      // A kernel without /dev/kmsg (CONFIG_PRINTK off): there is no log to be read, or none to be written.
      await delay(SETTLE_MS);
      return true;
    }
    let hasEnded = false;
    const ended = this.#guest.ended.then(() => void (hasEnded = true));
    const over = Promise.withResolvers<void>();
    const stop = afterWaiting(this.#markMs, () => {
      hasEnded = true;
      over.resolve();
    });
    const { console } = this.#guest;
    try {
      for (let from = start;;) {
        const { offset } = console;
        if (console.text(from).includes(`${mark}\n`)) return true;
        // Where it may have begun already; a carriage return may stand before the newline.
        from = Math.max(start, offset - mark.length - 1);
        if (hasEnded) return false;
        await Promise.race([console.grown, ended, over.promise]);
      }
    } finally {
      stop();
    }
  }
}

/** Whose console is drained: a guest, or what stands for one that never said hello. */
type ConsoleSource = Pick<Guest, "console" | "ended">;

/** How long {@linkcode drainConsole} waits. */
export interface DrainOptions {
  readonly maxMs?: number;
  /** Silence after a whole report that is taken for its end, in milliseconds. */
  readonly quietMs?: number;
}

/** A lockup or a slow oops on another processor may come this long after the guest stopped to answer. */
const MAX_MS = 3_000;
const QUIET_MS = 150;
/** A report comes in hundreds of pieces: one look for many of them. */
const PAUSE_MS = 20;

/**
 * Waits for what a kernel in trouble still has to say: until each report is there to its end and nothing
 * follows, until the guest has ended, or until the time is over.
 *
 * @param from mark in the console from which on it is read
 */
async function drainConsole(
  guest: ConsoleSource,
  from: number,
  { maxMs = MAX_MS, quietMs = QUIET_MS }: DrainOptions = {},
): Promise<void> {
  const end = performance.now() + maxMs;
  let hasEnded = false;
  const ended = guest.ended.then(() => void (hasEnded = true));
  for (let left = maxMs; left > 0 && !hasEnded; left = end - performance.now()) {
    const splats = parseSplats(guest.console.text(from));
    const isWhole = splats.length > 0 && splats.every(({ isComplete }) => isComplete);
    let hasGrown = false;
    const grew = guest.console.grown.then(() => void (hasGrown = true));
    await firstWithin(isWhole ? Math.min(quietMs, left) : left, [grew, ended]);
    if (isWhole && !hasGrown) return;
    await firstWithin(Math.min(PAUSE_MS, Math.max(0, end - performance.now())), [ended]);
  }
}

/**
 * For a guest that was lost before it said hello: drains its console, and gives the error with the whole of it. Other
 * errors stay as they are.
 */
export async function withDrainedConsole(
  error: unknown,
  machine: Pick<VirtualMachine, "console" | "exited">,
): Promise<unknown> {
  if (!(error instanceof GuestLostError)) return error;
  const { console } = machine;
  await drainConsole({ console, ended: machine.exited }, 0);
  const { reason, awaited, detail, argv } = error;
  return new GuestLostError({
    ...{ reason, awaited, detail, argv },
    consoleTail: console.tail(),
    consoleText: console.text(),
  });
}
