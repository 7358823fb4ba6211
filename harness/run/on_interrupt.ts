// SPDX-License-Identifier: MIT

import type { Terminal } from "../report/terminal.ts";

/** Signals that end a command in good order. */
export const INTERRUPT_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Tells of what asks us to end. */
interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

let ctrlCIsForOthers = false;

/** Does some work during which Ctrl-C is for another program at the terminal. */
export async function withoutCtrlC<T>(work: Promise<T>): Promise<T> {
  ctrlCIsForOthers = true;
  const ignore = (): void => {};
  Deno.addSignalListener("SIGINT", ignore);
  try {
    return await work;
  } finally {
    Deno.removeSignalListener("SIGINT", ignore);
    ctrlCIsForOthers = false;
  }
}

/**
 * Listens for Ctrl-C and its like, and for standard output that nobody reads any more; the second Ctrl-C ends the
 * process at once, as it would without us.
 */
export function onInterrupt(terminal: Terminal): Interrupt {
  const controller = new AbortController();
  const letGo = (): void => {
    for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    listeners.clear();
  };
  const listeners = new Map(INTERRUPT_SIGNALS.map((name) => [name, (): void => {
    if (name === "SIGINT" && ctrlCIsForOthers) return;
    letGo();
    terminal.note(`${name}: ending what runs; what is finished is kept. Once more ends at once.`);
    controller.abort(`interrupted by ${name}`);
  }]));
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  terminal.onBrokenPipe = (error) => controller.abort(error);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      letGo();
      terminal.onBrokenPipe = undefined;
    },
  };
}
