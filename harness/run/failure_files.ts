// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { writeWhole } from "../../vm/host/write_whole.ts";
import { scenarioFindings } from "./run_result.ts";
import type { ScenarioResult } from "./scenario_result.ts";

/** Directory for what the guest had answered when ckptest itself failed. */
const ANSWERS = "answers";

/** Keeps the files of what failed, each failure in a directory of its own. */
export class FailureFiles {
  readonly #directory: string;
  readonly #taken = new Set<string>();
  readonly #writes: Promise<void>[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  keep(platform: string, result: ScenarioResult): string {
    const { scenario, phase } = result;
    const name = phase === "afterwards" ? `${scenario}.afterwards` : scenario;
    const path = join(this.#directory, platform, name);
    // A guest may fail to boot more than once.
    let free = path;
    for (let n = 2; this.#taken.has(free); n++) free = `${path}.${n}`;
    this.#taken.add(free);
    this.add(write(free, result));
    return free;
  }

  /** Takes one more write into the care of {@linkcode FailureFiles.settled}. */
  add(write: Promise<void>): void {
    write.catch(() => {});
    this.#writes.push(write);
  }

  /** Waits for all files. @throws the error of the first one that could not be written */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#writes);
    await Promise.all(this.#writes);
  }
}

async function write(directory: string, result: ScenarioResult): Promise<void> {
  const { outcome, fault } = result;
  const texts = {
    "findings.json": `${JSON.stringify(outcome ? scenarioFindings(outcome) : [], null, 2)}\n`,
    "kernel.log": result.kernelLog,
    "guest-command.txt": `${result.guestCommand}\n`,
    ...fault ? { "error.txt": `${fault.trace}\n` } : {},
  };
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, text] of Object.entries(texts)) await writeWhole(join(directory, name), text);
  for (const stop of outcome?.stops ?? []) {
    await writeWhole(join(directory, `${stop.label}.ckpt`), stop.image);
  }
  if (!fault?.inputs.size) return;
  await Deno.mkdir(join(directory, ANSWERS), { recursive: true });
  for (const [name, bytes] of fault.inputs) await writeWhole(join(directory, ANSWERS, name), bytes);
}
