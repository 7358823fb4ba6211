// SPDX-License-Identifier: MIT
/**
 * A copy of the project in which something is wrong on purpose, and its command line run as a user would run
 * it.
 *
 * @module
 */
import { walk } from "@std/fs";
import { cp } from "node:fs/promises";
import { dirname, fromFileUrl, join, relative } from "@std/path";
import { cacheDirectory } from "../vm/host/own_directories.ts";
import { findTool } from "../vm/host/find_tool.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
/** What the command line needs of the project. */
const NEEDED = [
  "deno.json",
  "deno.lock",
  "fixtures/scenarios",
  "fixtures/splat_allowlist.json",
  "harness",
  "lib",
  "vm",
];
/** What copies share with the project's own cache: kernels, and the trees that they are built in. */
const SHARED = ["build", "ccache", "src", "store", "trees"];

/** A change of one file. */
export interface SourceEdit {
  /** Path from the project's root. */
  file: string;
  /** Text that must stand there once. */
  find: string;
  replace: string;
}

/** How a command ended, and what it said. */
export interface CommandOutcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** How {@linkcode ProjectCopy.run} runs. */
interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** A program and its first arguments, which gets the command as its last ones. */
  wrapper?: readonly string[];
}

/** A copy of the project below a new directory, with a cache of its own but for the kernels. */
export class ProjectCopy implements AsyncDisposable {
  /** An empty directory for whatever a test needs. */
  readonly scratch: string;
  readonly #directory: string;

  /** Use {@linkcode ProjectCopy.make}. */
  constructor(directory: string) {
    this.#directory = directory;
    this.scratch = join(directory, "scratch");
  }

  /**
   * Copies the project and carries out the edits. @throws {Error} naming an edit whose text is not there once
   */
  static async make(edits: readonly SourceEdit[] = []): Promise<ProjectCopy> {
    const copy = new ProjectCopy(await Deno.makeTempDir({ prefix: "ckptest-copy-" }));
    await Deno.mkdir(copy.scratch);
    for (const name of NEEDED) {
      await Deno.mkdir(dirname(join(copy.#root, name)), { recursive: true });
      await cp(join(ROOT, name), join(copy.#root, name), { recursive: true, verbatimSymlinks: true });
    }
    for (const edit of edits) await copy.edit(edit);
    await Deno.mkdir(copy.cache, { recursive: true });
    for (const name of SHARED) await copy.share(name);
    // Probed once a boot of the machine, not once a test.
    await Deno.copyFile(join(cacheDirectory(), "kvm_probe.json"), join(copy.cache, "kvm_probe.json"))
      .catch(() => {});
    return copy;
  }

  get #root(): string {
    return join(this.#directory, "project");
  }

  /** The copy's cache directory. */
  get cache(): string {
    return join(this.#directory, "cache", "ckptest");
  }

  /** Has the copy use a directory of the project's own cache. */
  async share(name: string): Promise<void> {
    const shared = join(cacheDirectory(), name);
    await Deno.mkdir(shared, { recursive: true });
    await Deno.symlink(shared, join(this.cache, name));
  }

  /** Carries out an edit. @throws {Error} when its text is not there once */
  async edit({ file, find, replace }: SourceEdit): Promise<void> {
    const path = join(this.#root, file);
    const text = await Deno.readTextFile(path);
    const parts = text.split(find);
    if (parts.length !== 2) {
      throw new Error(`${file} must hold ${JSON.stringify(find)} once: found ${parts.length - 1} times`);
    }
    await Deno.writeTextFile(path, parts.join(replace));
  }

  /** Puts a file back as it is in the project. */
  async restore(file: string): Promise<void> {
    await Deno.copyFile(join(ROOT, file), join(this.#root, file));
  }

  /** Runs the command line to its end. It dies with this process. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<CommandOutcome> {
    return await outcomeOf(await this.spawn(args, options));
  }

  /** Starts the command line. It dies with this process. */
  async spawn(args: readonly string[], options: RunOptions = {}): Promise<Deno.ChildProcess> {
    const deno = await findTool("deno") ?? Deno.execPath();
    const config = join(this.#root, "deno.json");
    const main = join(this.#root, "harness", "cli", "main.ts");
    return new Deno.Command("setpriv", {
      args: [
        ...["--pdeathsig", "KILL", ...options.wrapper ?? []],
        ...[deno, "run", "-q", `--config=${config}`, "-P=vm", main, ...args],
      ],
      env: { NO_COLOR: "1", XDG_CACHE_HOME: dirname(this.cache), DENO_DIR: denoDirectory(), ...options.env },
      cwd: options.cwd ?? this.scratch,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Files in the scratch directory. */
  async scratchFiles(): Promise<string[]> {
    const files: string[] = [];
    for await (const { path } of walk(this.scratch, { includeDirs: false })) {
      files.push(relative(this.scratch, path));
    }
    return files.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }
}

/** Waits for a command's end. */
export async function outcomeOf(child: Deno.ChildProcess): Promise<CommandOutcome> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Where Deno keeps packages; it follows XDG_CACHE_HOME, unless it is told. */
export function denoDirectory(): string {
  return Deno.env.get("DENO_DIR") ?? join(dirname(cacheDirectory()), "deno");
}
