// SPDX-License-Identifier: MIT

import { EXIT_STATUS } from "../../vm/host/errors.ts";

/** What happens while runs are watched: a key is pressed, a source is edited, or the end is asked for. */
type WatchEvent = { readonly key: string } | { readonly edited: string } | "end";

/** Which run is started. */
export interface WatchedRun {
  readonly filter: readonly string[];
  /** Whether only what failed last is run. */
  readonly failed: boolean;
}

interface WatchOptions {
  readonly filter: readonly string[];
  readonly events: WatchEvents;
  readonly start: (run: WatchedRun) => {
    /** Its exit status; never rejects. */
    readonly done: Promise<number>;
    /** Ends it in good order. */
    readonly stop: () => void;
  };
  /** Says what comes next. */
  readonly tell: (line: string) => void;
  /** Shows a line that is being typed; undefined: none is. */
  readonly prompt: (text: string | undefined) => void;
}

/** Events in the order in which they came. */
export class WatchEvents {
  readonly #events: WatchEvent[] = [];
  #arrived = Promise.withResolvers<void>();

  add(event: WatchEvent): void {
    this.#events.push(event);
    this.#arrived.resolve();
  }

  /** Settles when there is one; it stays where it is. */
  async wait(): Promise<void> {
    if (this.#events.length === 0) await this.#arrived.promise;
  }

  async next(): Promise<WatchEvent> {
    await this.wait();
    const event = this.#events.shift()!;
    if (this.#events.length === 0) this.#arrived = Promise.withResolvers();
    return event;
  }
}

/** What an event asks for. */
type Answer = "run" | "edit" | "end" | undefined;

const KEYS = "r runs again, f sets the filter, q ends";
const [ENTER, ESCAPE, BACKSPACE] = [/^[\r\n]$/, "\x1b", /^[\x7f\b]$/];
/** More are not typed. */
const MAX_FILTER = 200;

/**
 * Runs, and runs again with each edit: what failed before first, and the rest once that passes. An edit or a key ends
 * a run that is not finished.
 *
 * @returns the exit status of the last run
 */
export async function watchRuns({ events, start, tell, prompt, ...options }: WatchOptions): Promise<number> {
  let { filter } = options;
  let status: number = EXIT_STATUS.nothingRan;

  /** Has a filter typed; an empty one means all scenarios. */
  const askFilter = async (): Promise<Answer> => {
    try {
      for (let text = "";;) {
        prompt(`filter: ${text}`);
        const event = await events.next();
        if (event === "end") return "end";
        // Edits wait for the line: what is run then has them.
        if ("edited" in event) continue;
        if (event.key === ESCAPE) return undefined;
        if (ENTER.test(event.key)) {
          filter = text === "" ? [] : [text];
          return "run";
        }
        if (BACKSPACE.test(event.key)) text = text.slice(0, -1);
        else if (/^[!-~ ]$/.test(event.key) && text.length < MAX_FILTER) text += event.key;
      }
    } finally {
      prompt(undefined);
    }
  };

  const nextAnswer = async (): Promise<Answer> => {
    const event = await events.next();
    if (event === "end") return "end";
    if ("edited" in event) {
      tell(`${event.edited} was edited`);
      return "edit";
    }
    if (event.key === "q") return "end";
    if (event.key === "r" || ENTER.test(event.key)) return "run";
    return event.key === "f" ? await askFilter() : undefined;
  };

  /** @returns what was asked for meanwhile */
  const runAll = async (isEdited: boolean): Promise<Answer> => {
    const hasFailed = status === EXIT_STATUS.testFailed || status === EXIT_STATUS.guestLost;
    for (const failed of isEdited && hasFailed ? [true, false] : [false]) {
      const { done, stop } = start({ filter, failed });
      let end: number | undefined;
      const ended = done.then((code) => void (end = code));
      while (end === undefined) {
        await Promise.race([ended, events.wait()]);
        if (end !== undefined) break;
        const answer = await nextAnswer();
        if (answer === undefined) continue;
        stop();
        await ended;
        return answer;
      }
      // With nothing left that has failed, all is run.
      if (failed && end === EXIT_STATUS.nothingRan) continue;
      status = end;
      if (status !== EXIT_STATUS.pass) return undefined;
    }
    return undefined;
  };

  for (let answer: Answer = "run"; answer !== "end";) {
    answer = await runAll(answer === "edit");
    if (answer === undefined) tell(`waiting for an edit; ${KEYS}`);
    while (answer === undefined) answer = await nextAnswer();
  }
  return status;
}
