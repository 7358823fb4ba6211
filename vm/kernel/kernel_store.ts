// SPDX-License-Identifier: MIT
import { exists } from "@std/fs";
import { join } from "@std/path";
import { markAsUsed, pruneDirectory } from "../host/own_directories.ts";
import { removeIfThere } from "../host/ignore_missing.ts";
import { withFileLock } from "../host/file_lock.ts";
import { inStage, runStageCommand } from "./build/build_stage.ts";
import type { KernelFlavour } from "./config/kernel_flavour.ts";
import type { SyscallNumbers } from "./syscall_numbers.ts";

/** What is written down about a stored kernel. */
interface KernelInfo {
  /** What `uname -r` will say. */
  release: string;
  arch: string;
  flavour?: KernelFlavour;
  source: string;
  compiler: string;
  seconds: number;
  /** Numbers of the checkpoint system call; absent from kernels that were stored before they were looked up. */
  syscalls?: SyscallNumbers;
  /** The directory that it was built in, which the kernel itself tells of where it counts lines (gcov). */
  buildDir?: string;
}

/** A kernel in the store. */
export interface StoredKernel {
  /** For booting: vmlinux without symbols and debug information, or a bzImage. */
  bootFile: string;
  /** As the linker left it, with the debug information of the objects that were compiled with `-g`. */
  vmlinux: string;
  config: string;
  /** Directory of gcov's notes (`.gcno`), below it as in the build directory; empty where nothing is counted. */
  coverageNotes: string;
  info: KernelInfo;
}

/**
 * Kernels that are kept, of some 25 MB each; beyond that the least recently used goes. One run of the mutants
 * stores over thirty, and must not push out those of a nightly run.
 */
const KEEP = 120;

/** Looks a kernel up by its key, and marks it as used. */
export async function findStored(cacheDir: string, key: string): Promise<StoredKernel | undefined> {
  const directory = join(cacheDir, "store", key);
  const text = await Deno.readTextFile(join(directory, "info.json")).catch(() => undefined);
  if (text === undefined) return undefined;
  await markAsUsed(directory);
  return inDirectory(directory, JSON.parse(text) as KernelInfo);
}

function inDirectory(directory: string, info: KernelInfo): StoredKernel {
  return {
    bootFile: join(directory, BOOT_FILE),
    vmlinux: join(directory, "vmlinux"),
    config: join(directory, "config"),
    coverageNotes: join(directory, "gcno"),
    info,
  };
}

interface StoreOptions {
  cacheDir: string;
  key: string;
  buildDir: string;
  /** What QEMU boots: vmlinux or a bzImage. */
  bootFile: string;
  logPath: string;
  info: Omit<KernelInfo, "release">;
}

/**
 * Stage `store`: copies the result of a build under its key. The directory is filled under another name and
 * renamed, so that it is there whole or not at all.
 *
 * @throws {BuildError} of stage `store`; nothing is left behind then.
 */
export function storeKernel(options: StoreOptions): Promise<StoredKernel> {
  const { cacheDir, key, buildDir, bootFile, logPath, info } = options;
  const store = join(cacheDir, "store");
  const work = async () => {
    // What a killed process left half-filled: nobody fills one now, as we hold the lock.
    await pruneDirectory(store, { keep: 0, counts: (name) => name.startsWith(PARTIAL) });
    const partial = await Deno.makeTempDir({ dir: store, prefix: PARTIAL });
    try {
      const release = (await Deno.readTextFile(join(buildDir, "include/config/kernel.release"))).trim();
      const vmlinux = join(buildDir, "vmlinux");
      const boot = join(partial, BOOT_FILE);
      if (bootFile === vmlinux) {
        await runStageCommand("store", ["objcopy", "-S", vmlinux, boot], { outputDir: partial });
      } else {
        await Deno.copyFile(bootFile, boot);
      }
      await copyCoverageNotes(buildDir, join(partial, "gcno"));
      await Deno.copyFile(vmlinux, join(partial, "vmlinux"));
      await Deno.copyFile(join(buildDir, ".config"), join(partial, "config"));
      await Deno.copyFile(logPath, join(partial, "build.log"));
      const full: KernelInfo = { release, ...info };
      await Deno.writeTextFile(join(partial, "info.json"), JSON.stringify(full, null, 2) + "\n");
      await Deno.chmod(partial, 0o755);
      const directory = join(store, key);
      await removeIfThere(directory);
      await Deno.rename(partial, directory);
      await pruneDirectory(store, { keep: KEEP, counts: (name) => !name.startsWith(".") });
      return inDirectory(directory, full);
    } catch (error) {
      await Deno.remove(partial, { recursive: true }).catch(() => {});
      throw error;
    }
  };
  return inStage("store", () => withFileLock(join(store, ".lock"), work));
}

/** The name is older than the kernels that need a bzImage. */
const BOOT_FILE = "vmlinux.stripped";

/** Directories of the kernel that hold files of ours. */
const OWN_DIRECTORIES = ["checkpoint", "arch/x86/mm", "arch/x86/kernel/fpu"];

/** Copies the `.gcno` files that belong to our own sources. */
async function copyCoverageNotes(buildDir: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const directory of OWN_DIRECTORIES) {
    if (!await exists(join(buildDir, directory))) continue;
    for await (const { name } of Deno.readDir(join(buildDir, directory))) {
      if (!name.endsWith(".gcno")) continue;
      await Deno.mkdir(join(to, directory), { recursive: true });
      await Deno.copyFile(join(buildDir, directory, name), join(to, directory, name));
    }
  }
}

const PARTIAL = ".partial-";
