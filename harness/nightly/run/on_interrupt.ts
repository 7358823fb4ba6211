// SPDX-License-Identifier: MIT

/** Signals that end a night in good order. */
export const INTERRUPT_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Tells of the first signal that asks us to end. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

/** Listens for Ctrl-C and its like; the second one ends the process at once, as it would without us. */
export function onInterrupt(tell: (name: string) => void): Interrupt {
  const controller = new AbortController();
  const stop = (): void => {
    for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    listeners.clear();
  };
  const listeners = new Map(INTERRUPT_SIGNALS.map((name) => [name, (): void => {
    stop();
    tell(name);
    controller.abort(`interrupted by ${name}`);
  }]));
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  return { signal: controller.signal, [Symbol.dispose]: stop };
}
