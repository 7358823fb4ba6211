// SPDX-License-Identifier: MIT

import { AgentError } from "../../vm/agent/agent_session.ts";
import type { Guest } from "../run/guest/guest.ts";
import { drainConsole, type DrainOptions, within } from "./drain_console.ts";
import { withoutMiddle } from "./console_lines.ts";
import { parseSplats } from "./parse_splats.ts";
import type { Splat } from "./splat.ts";

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
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      return true;
    }
    let hasEnded = false;
    const ended = this.#guest.ended.then(() => void (hasEnded = true));
    const end = performance.now() + this.#markMs;
    const { console } = this.#guest;
    for (let from = start;;) {
      const { offset } = console;
      if (console.text(from).includes(`${mark}\n`)) return true;
      // Where it may have begun already; a carriage return may stand before the newline.
      from = Math.max(start, offset - mark.length - 1);
      const left = end - performance.now();
      if (left <= 0 || hasEnded) return false;
      await within(left, [console.grown, ended]);
    }
  }
}
