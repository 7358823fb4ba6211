// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { BisectResult } from "./bisect_result.ts";
import type { BisectRun } from "./bisect_run.ts";

/** Where the patches of a bisect lie as commits, in its directory. */
export const SERIES = "series";

/** Raised when what `state.json` says changes its meaning. */
const STATE_SCHEMA = 1;

/** What a bisect knows, and goes on from when it was interrupted. */
export interface SavedBisect {
  /** When it began, as Date.toISOString() writes it. */
  readonly started: string;
  readonly request: BisectRequest;
  /** Ids of the ends. */
  readonly good: string;
  readonly bad: string;
  readonly runs: readonly BisectRun[];
}

/**
 * The directory of a bisect: `state.json` after each run, `runs/NUMBER/` with the files of each,
 * `bisect.json` at the end.
 */
export class BisectDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** What an earlier part of the bisect has found out; undefined when there is none. */
  async read(): Promise<SavedBisect | undefined> {
    const path = join(this.path, "state.json");
    let value: SavedBisect & { schema: number };
    try {
      value = JSON.parse(await Deno.readTextFile(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw new UsageError(`${path} cannot be read: ${(error as Error).message}`);
    }
    if (value.schema !== STATE_SCHEMA) {
      throw new UsageError(`${path}: expected schema ${STATE_SCHEMA}, found ${value.schema}`);
    }
    const { schema: _, ...saved } = value;
    return saved;
  }

  async write(saved: SavedBisect): Promise<void> {
    await Deno.mkdir(this.path, { recursive: true });
    await this.#write("state.json", { schema: STATE_SCHEMA, ...saved });
  }

  /** Removes the directory when no bisect has begun in it; what is somebody else's stays. */
  async removeIfUnused(): Promise<void> {
    if (await exists(join(this.path, "state.json"))) return;
    await Deno.remove(join(this.path, SERIES), { recursive: true }).catch(() => {});
    await Deno.remove(join(this.path, ".lock")).catch(() => {});
    await Deno.remove(this.path).catch(() => {});
  }

  async writeResult(result: BisectResult): Promise<void> {
    await this.#write("bisect.json", result);
  }

  /** An empty directory for the files of a run, as a path from here. */
  async beginRun(number: number): Promise<string> {
    const files = `runs/${String(number).padStart(3, "0")}`;
    const path = join(this.path, files);
    await Deno.remove(path, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    await Deno.mkdir(path, { recursive: true });
    return files;
  }

  async #write(name: string, value: unknown): Promise<void> {
    await writeWhole(join(this.path, name), new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
  }
}
