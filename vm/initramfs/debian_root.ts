// SPDX-License-Identifier: MIT
import { ExpectedError } from "../host/errors.ts";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { aptEnvironment } from "../host/apt_environment.ts";
import { cacheDirectory } from "../host/own_directories.ts";
import { withFileLock } from "../host/file_lock.ts";
import { runCommand } from "../host/run_command.ts";

/**
 * A directory with Debian packages of another architecture and all that they depend on, unpacked and not set
 * up: apt with a state of its own resolves and fetches them, from where the host's apt gets its packages.
 * What was fetched once is kept.
 *
 * @param packages names without architecture
 * @param options `run` runs apt-get and dpkg-deb; tests have their own
 * @returns the directory, which stands for `/`
 * @throws {ExpectedError} with apt's words, without a network for instance
 */
export async function debianRoot(
  arch: "i386",
  packages: readonly string[],
  { cacheDir = cacheDirectory(), onProgress = () => {}, run = runCommand }: {
    cacheDir?: string;
    onProgress?: (message: string) => void;
    run?: typeof runCommand;
  } = {},
): Promise<string> {
  const home = join(cacheDir, "debian", arch);
  const root = join(home, "root");
  return await withFileLock(join(home, "lock"), async () => {
    const missing: string[] = [];
    for (const name of packages.toSorted()) {
      if (!/^[a-z0-9][a-z0-9.+-]+$/.test(name)) throw new ExpectedError(`no name of a package: "${name}"`);
      if (!await exists(join(home, "installed", name))) missing.push(name);
    }
    if (missing.length === 0) return root;
    onProgress(`fetching ${missing.length} Debian packages and what they need`);
    await fetchPackages({ home, arch, packages: missing, run });
    onProgress("unpacking Debian packages");
    await unpackNew(home, root, run);
    for (const name of missing) await Deno.writeTextFile(join(home, "installed", name), "");
    return root;
  });
}

async function fetchPackages({ home, arch, packages, run }: {
  home: string;
  arch: string;
  packages: readonly string[];
  run: typeof runCommand;
}): Promise<void> {
  for (const directory of ["installed", "unpacked", "root"]) {
    await Deno.mkdir(join(home, directory), { recursive: true });
  }
  const architectures = [`APT::Architecture "${arch}"`, `APT::Architectures { "${arch}"; }`];
  const env = await aptEnvironment(home, architectures);
  const options = ["--yes", "--download-only", "--no-install-recommends"];
  const install = () => run(["apt-get", "install", ...options, ...packages], { env, keepLines: 8 });
  if ((await install()).code === 0) return;
  // The first time there are no package lists yet, later they may be old.
  await run(["apt-get", "update"], { env });
  const result = await install();
  if (result.code !== 0) {
    throw new ExpectedError(`apt-get cannot get ${packages.join(", ")}: ${result.lines.join("; ")}`);
  }
}

async function unpackNew(home: string, root: string, run: typeof runCommand): Promise<void> {
  const archives = join(home, "cache", "archives");
  for await (const { name } of Deno.readDir(archives)) {
    const mark = join(home, "unpacked", name);
    if (!name.endsWith(".deb") || await exists(mark)) continue;
    const { code, lines } = await run(["dpkg-deb", "--extract", join(archives, name), root]);
    if (code !== 0) throw new ExpectedError(`dpkg-deb cannot unpack ${name}: ${lines.join("; ")}`);
    await Deno.writeTextFile(mark, "");
  }
}
