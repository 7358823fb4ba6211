// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { withFileLock } from "../file_lock.ts";
import { inStage } from "./build_error.ts";
import { runStageCommand } from "./run_stage_command.ts";

/** What is written down about a stored kernel. */
export interface KernelInfo {
  /** What `uname -r` will say. */
  release: string;
  arch: string;
  source: string;
  compiler: string;
  /** Seconds that it took to build. */
  seconds: number;
}

/** A kernel in the store. */
export interface StoredKernel {
  /** For booting: no symbols, no debug information. */
  vmlinuxStripped: string;
  /** As the linker left it, with the debug information of the objects that were compiled with `-g`. */
  vmlinux: string;
  config: string;
  log: string;
  info: KernelInfo;
}

/** Kernels that are kept; beyond that the least recently used goes. */
const KEEP = 40;

/** Looks a kernel up by its key, and marks it as used. */
export async function findStored(cacheDir: string, key: string): Promise<StoredKernel | undefined> {
  const directory = join(cacheDir, "store", key);
  const text = await Deno.readTextFile(join(directory, "info.json")).catch(() => undefined);
  if (text === undefined) return undefined;
  await Deno.utime(directory, new Date(), new Date()).catch(() => {});
  return inDirectory(directory, JSON.parse(text) as KernelInfo);
}

function inDirectory(directory: string, info: KernelInfo): StoredKernel {
  return {
    vmlinuxStripped: join(directory, "vmlinux.stripped"),
    vmlinux: join(directory, "vmlinux"),
    config: join(directory, "config"),
    log: join(directory, "build.log"),
    info,
  };
}

/** Settings of {@linkcode storeKernel}. */
export interface StoreOptions {
  cacheDir: string;
  key: string;
  buildDir: string;
  logPath: string;
  info: Omit<KernelInfo, "release">;
}

/**
 * Stage `store`: copies the result of a build under its key. The directory is filled under another name and
 * renamed, so that it is there whole or not at all.
 *
 * @throws {BuildError} of stage `store`; nothing is left behind then.
 */
export function storeKernel({ cacheDir, key, buildDir, logPath, info }: StoreOptions): Promise<StoredKernel> {
  const store = join(cacheDir, "store");
  const work = async () => {
    await removeAbandoned(store);
    const partial = await Deno.makeTempDir({ dir: store, prefix: PARTIAL });
    try {
      const release = (await Deno.readTextFile(join(buildDir, "include/config/kernel.release"))).trim();
      const vmlinux = join(buildDir, "vmlinux");
      await runStageCommand("store", ["objcopy", "-S", vmlinux, join(partial, "vmlinux.stripped")], {
        outputDir: partial,
      });
      await Deno.copyFile(vmlinux, join(partial, "vmlinux"));
      await Deno.copyFile(join(buildDir, ".config"), join(partial, "config"));
      await Deno.copyFile(logPath, join(partial, "build.log"));
      const full: KernelInfo = { release, ...info };
      await Deno.writeTextFile(join(partial, "info.json"), JSON.stringify(full, null, 2) + "\n");
      await Deno.chmod(partial, 0o755);
      const directory = join(store, key);
      await Deno.remove(directory, { recursive: true }).catch(() => {});
      await Deno.rename(partial, directory);
      await prune(store);
      return inDirectory(directory, full);
    } catch (error) {
      await Deno.remove(partial, { recursive: true }).catch(() => {});
      throw error;
    }
  };
  return inStage("store", () => withFileLock(join(store, ".lock"), work));
}

const PARTIAL = ".partial-";

/**
 * Removes what a killed process left half-filled. The caller holds the store's lock: nobody fills one now.
 */
async function removeAbandoned(store: string): Promise<void> {
  for await (const { name } of Deno.readDir(store)) {
    if (name.startsWith(PARTIAL)) await Deno.remove(join(store, name), { recursive: true });
  }
}

async function prune(store: string): Promise<void> {
  const entries: { path: string; used: number }[] = [];
  for await (const { name } of Deno.readDir(store)) {
    if (name.startsWith(".")) continue;
    const path = join(store, name);
    const info = await Deno.stat(path).catch(() => undefined);
    entries.push({ path, used: info?.mtime?.getTime() ?? 0 });
  }
  entries.sort((a, b) => b.used - a.used);
  for (const { path } of entries.slice(KEEP)) await Deno.remove(path, { recursive: true }).catch(() => {});
}
