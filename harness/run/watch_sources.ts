// SPDX-License-Identifier: MIT

import { basename } from "@std/path";
import { ExpectedError } from "../../vm/host/errors.ts";
import type { WatchEvents } from "./watch.ts";

/** Editors write more than once for each time that somebody saves. */
const SETTLE_MS = 150;
/** Names of what editors and git keep for themselves. */
const PASSING = /^\.|~$|\.(swp|swx|tmp|lock|partial)$|^4913$|^#/;

/** Whether an edit of a file changes what a run does. */
function isSource(path: string): boolean {
  return !PASSING.test(basename(path)) && !path.includes("/.git/");
}

/**
 * Adds an event for each edit below some paths, until the signal comes.
 *
 * @throws {ExpectedError} when they cannot be watched
 */
export async function addEdits(
  events: WatchEvents,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  let watcher: Deno.FsWatcher;
  try {
    watcher = Deno.watchFs([...paths], { recursive: true });
  } catch (error) {
    throw new ExpectedError(`option --watch: ${paths.join(", ")}: ${(error as Error).message}`);
  }
  signal.addEventListener("abort", () => watcher.close());
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const { kind, paths } of watcher) {
    const edited = kind === "access" ? undefined : paths.find(isSource);
    if (edited === undefined) continue;
    clearTimeout(timer);
    timer = setTimeout(() => events.add({ edited }), SETTLE_MS);
  }
  clearTimeout(timer);
}

/** Adds an event for each key that is pressed, where standard input is a terminal. Ctrl-C stays a signal. */
export async function addKeys(events: WatchEvents): Promise<void> {
  if (!Deno.stdin.isTerminal()) return;
  Deno.stdin.setRaw(true, { cbreak: true });
  const buffer = new Uint8Array(64);
  for (let got; (got = await Deno.stdin.read(buffer)) !== null;) {
    const text = new TextDecoder().decode(buffer.subarray(0, got));
    // Keys with an escape sequence, such as arrows, mean nothing here.
    if (text.length > 1 && text.startsWith("\x1b")) continue;
    for (const key of text) events.add({ key });
  }
  events.add("end");
}

/** Gives the terminal back as it was. */
export function releaseKeys(): void {
  if (Deno.stdin.isTerminal()) Deno.stdin.setRaw(false);
}
