// SPDX-License-Identifier: MIT
import { exists } from "@std/fs";
import { join } from "@std/path";
import { aptEnvironment } from "../../host/apt_environment.ts";
import { requireTools } from "../../host/find_tool.ts";
import { removeIfThere } from "../../host/ignore_missing.ts";
import { type CommandResult, runCommand } from "../../host/run_command.ts";
import { BuildError } from "../build/build_error.ts";
import {
  type OnBuildProgress,
  type StageReport,
  stageReport,
  tellingEverySecond,
  withStageLock,
} from "../build/build_stage.ts";

/** Suites of Debian whose kernel is of a series. */
const SUITES: ReadonlyMap<string, string> = new Map([
  ["5.10", "bullseye"],
  ["6.1", "bookworm"],
  ["6.12", "trixie"],
]);

/** Where suites are, and where they go when they are old. */
const MIRRORS = ["http://deb.debian.org/debian", "http://archive.debian.org/debian"];

/** Keys of all suites, those before and after the host's own too (package debian-archive-keyring). */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Settings of {@linkcode fetchDebianSource}. */
export interface FetchDebianOptions {
  cacheDir: string;
  onProgress?: OnBuildProgress | undefined;
  /** Runs apt-get and dpkg-deb; tests have their own. */
  run?: typeof runCommand;
  /** File with the keys of Debian's archive. */
  keyring?: string;
}

/**
 * The tarball of Debian's package linux-source-SERIES, whatever suite it is of: fetched by apt with a
 * configuration, package lists and a state of its own, so that the host's apt learns nothing of it. Signatures
 * are checked as always. What was fetched once is kept.
 *
 * @returns path of the tarball, below `debian` in the cache
 * @throws {BuildError} of stage `fetch`, which says where the package was looked for and what apt said
 */
export async function fetchDebianSource(series: string, options: FetchDebianOptions): Promise<string> {
  const name = `linux-source-${series}`;
  const home = join(options.cacheDir, "debian", "source");
  const tarball = join(home, `${name}.tar.xz`);
  if (await exists(tarball)) return tarball;
  const suite = SUITES.get(series);
  if (suite === undefined) {
    throw new BuildError({
      stage: "fetch",
      problem: `no suite of Debian is known to have ${name}`,
      hint: `known are ${[...SUITES.keys()].join(", ")}`,
    });
  }
  const report = stageReport("fetch", options.onProgress);
  const lock = { doing: "fetches the same package", report };
  return await withStageLock(join(home, `${name}.lock`), lock, async () => {
    if (await exists(tarball)) return tarball;
    const { run = runCommand, keyring = KEYRING } = options;
    if (run === runCommand) await requireTools(["apt-get", "dpkg-deb"]);
    if (!await exists(keyring)) {
      throw new BuildError({
        stage: "fetch",
        problem: `there is no ${keyring} to check Debian's signatures with`,
        hint: `install the Debian package debian-archive-keyring, or ${name} itself`,
      });
    }
    const directory = join(home, `${name}.partial`);
    try {
      await fetchPackage({ name, suite, directory, keyring, run, report });
      report(`taking ${name}.tar.xz out of its package`);
      await unpackPackage(name, directory, run);
      await Deno.rename(join(directory, "root", "usr", "src", `${name}.tar.xz`), tarball);
      return tarball;
    } finally {
      await removeIfThere(directory);
    }
  });
}

async function fetchPackage({ name, suite, directory, keyring, run, report }: {
  name: string;
  suite: string;
  directory: string;
  keyring: string;
  run: typeof runCommand;
  report: StageReport;
}): Promise<void> {
  const tried: string[] = [];
  for (const mirror of MIRRORS) {
    await removeIfThere(directory);
    const download = join(directory, "download");
    await Deno.mkdir(download, { recursive: true });
    const sources = join(directory, "sources.list");
    await Deno.writeTextFile(sources, `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`);
    const env = await aptEnvironment(directory, [
      `Dir::Etc::sourcelist "${sources}"`,
      `Dir::Etc::sourceparts "-"`,
      `Acquire::Languages "none"`,
    ]);
    const message = `fetching Debian's ${name} (${suite}) from ${mirror}`;
    const tell = () => report(`${message}, ${(bytesBelow(download) / 1e6).toFixed(0)} MB`);
    const result = await tellingEverySecond(tell, async () => {
      const options = { env, keepLines: 8, cwd: download };
      const updated = await run(["apt-get", "update", "--error-on=any"], options);
      return updated.code === 0 ? await run(["apt-get", "download", name], options) : updated;
    });
    if (result.code === 0) return;
    tried.push(`${mirror} ${suite}: ${complaint(result)}`);
  }
  throw new BuildError({
    stage: "fetch",
    problem: `Debian's package ${name} is neither in /usr/src nor to be had from Debian`,
    hint: `with a network it is fetched; without one, put ${name}.tar.xz into /usr/src`,
    detail: tried,
  });
}

/** What apt said was wrong, or the end of what it said. */
function complaint({ lines, code }: CommandResult): string {
  const errors = lines.filter((line) => /^(?:E|W|Err):/.test(line));
  return (errors.length > 0 ? errors : lines.slice(-2)).join("; ") || `apt-get ended with status ${code}`;
}

async function unpackPackage(name: string, directory: string, run: typeof runCommand): Promise<void> {
  await Deno.mkdir(join(directory, "root"));
  for await (const { name: file } of Deno.readDir(join(directory, "download"))) {
    if (!file.startsWith(`${name}_`) || !file.endsWith(".deb")) continue;
    const paths = [join(directory, "download", file), join(directory, "root")];
    const { code, lines } = await run(["dpkg-deb", "--extract", ...paths]);
    if (code === 0) return;
    throw new BuildError({ stage: "fetch", problem: `dpkg-deb cannot unpack ${file}`, lines });
  }
  throw new BuildError({ stage: "fetch", problem: `apt-get download left no package ${name}` });
}

function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const { name, isFile } of Deno.readDirSync(directory)) {
    if (isFile) bytes += Deno.statSync(join(directory, name)).size;
  }
  return bytes;
}
