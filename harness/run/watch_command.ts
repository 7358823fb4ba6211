// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { findTool } from "../../vm/host/find_tool.ts";
import type { Terminal } from "../report/terminal.ts";
import { type WatchedRun, WatchEvents, watchRuns } from "./watch.ts";
import { addEdits, addKeys, releaseKeys } from "./watch_sources.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");
/** What decides a run, from the project's root. */
const SOURCES = ["fixtures", "harness", "lib", "vm"];

/** Runs in processes of their own, each of which has the sources as they are then. */
export async function watchCommand(
  { filter, files, terminal, signal, argsOf }: {
    readonly filter: readonly string[];
    /** What is watched beside the project. */
    readonly files: readonly string[];
    readonly terminal: Terminal;
    readonly signal: AbortSignal;
    /** The command line of a run, behind the program. */
    readonly argsOf: (run: WatchedRun) => readonly string[];
  },
): Promise<number> {
  const deno = await findTool("deno") ?? Deno.execPath();
  const events = new WatchEvents();
  const ended = new AbortController();
  signal.addEventListener("abort", () => events.add("end"));
  const paths = [...SOURCES.map((name) => join(ROOT, name)), ...files];
  const edits = addEdits(events, paths, ended.signal);
  // A mistake in the paths ends the watch; it is told below.
  edits.catch(() => events.add("end"));
  // Nobody waits for the keys: the one that is read last may never come.
  addKeys(events);
  try {
    return await watchRuns({
      ...{ filter, events },
      tell: (line) => terminal.note(line),
      prompt: (text) => text === undefined ? terminal.clearStatus() : terminal.status(text),
      start: (run) => startRun(deno, argsOf(run)),
    });
  } finally {
    releaseKeys();
    ended.abort();
    await edits;
  }
}

function startRun(deno: string, args: readonly string[]): { done: Promise<number>; stop: () => void } {
  const main = join(ROOT, "harness", "cli", "main.ts");
  const program = [deno, "run", "-q", "-P=vm", `--config=${join(ROOT, "deno.json")}`, main];
  const child = new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", ...program, ...args],
    stdin: "null",
    // Ctrl-C in the terminal is for us, who then end it in good order.
    detached: true,
  }).spawn();
  return { done: child.status.then(({ code }) => code), stop: () => child.kill("SIGINT") };
}
