// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { CommandResult, RunCommandOptions } from "../../host/run_command.ts";
import { BuildError } from "../build/build_error.ts";
import { fetchDebianSource } from "./fetch_debian_source.ts";

/** Plays apt-get and dpkg-deb: mirrors that have the package, by a part of their address. */
class ScriptedApt {
  readonly calls: string[] = [];
  readonly #mirror: string;

  constructor(mirror: string) {
    this.#mirror = mirror;
  }

  readonly run = async (
    argv: readonly [string, ...string[]],
    { env, cwd }: RunCommandOptions = {},
  ): Promise<CommandResult> => {
    const answer = (code: number, ...lines: string[]) => ({ argv, code, signal: null, seconds: 0, lines });
    const [program, verb] = argv;
    if (program === "dpkg-deb") {
      await Deno.mkdir(`${argv[3]}/usr/src`, { recursive: true });
      await Deno.copyFile(argv[2]!, `${argv[3]}/usr/src/linux-source-6.12.tar.xz`);
      return answer(0);
    }
    const config = await Deno.readTextFile(env!.APT_CONFIG!);
    assert(config.includes(`Dir::Etc::sourceparts "-"`), config);
    // What could let unsigned packages in.
    assert(!/AllowUnauthenticated|AllowInsecure|trusted/i.test(config + argv.join(" ")), config);
    const list = await Deno.readTextFile(/sourcelist "(.*)"/.exec(config)![1]!);
    this.calls.push(`${verb} ${list.trim().replace(/signed-by=\S+]/, "signed-by=...]")}`);
    if (!list.includes(this.#mirror)) return answer(100, "Reading...", "E: no such host");
    if (verb === "download") await Deno.writeTextFile(`${cwd}/${argv[2]}_6.12.1_all.deb`, "tarball");
    return answer(0);
  };
}

async function withCache(run: (cacheDir: string, keyring: string) => Promise<void>): Promise<void> {
  const cacheDir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cacheDir}/keys.gpg`, "");
    await run(cacheDir, `${cacheDir}/keys.gpg`);
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
}

Deno.test("fetchDebianSource() fetches a tarball from the series' own suite, once", async () => {
  await withCache(async (cacheDir, keyring) => {
    const apt = new ScriptedApt("deb.debian.org");
    const progress: string[] = [];
    const options = {
      cacheDir,
      keyring,
      run: apt.run,
      onProgress: ({ message }: { message: string }) => progress.push(message),
    };
    const path = await fetchDebianSource("6.12", options);
    assertEquals(path, `${cacheDir}/debian/source/linux-source-6.12.tar.xz`);
    assertEquals(await Deno.readTextFile(path), "tarball");
    const list = "deb [signed-by=...] http://deb.debian.org/debian trixie main";
    assertEquals(apt.calls, [`update ${list}`, `download ${list}`]);
    assertEquals(progress.length, 2);
    assertEquals(await fetchDebianSource("6.12", options), path);
    assertEquals(apt.calls.length, 2);
  });
});

Deno.test("fetchDebianSource() looks into the archive for an old suite, and leaves nothing behind", async () => {
  await withCache(async (cacheDir, keyring) => {
    const apt = new ScriptedApt("archive.debian.org");
    await fetchDebianSource("6.12", { cacheDir, keyring, run: apt.run });
    assertEquals(apt.calls.map((call) => call.split(" ")[0]), ["update", "update", "download"]);
    const left = [...Deno.readDirSync(`${cacheDir}/debian/source`)].map(({ name }) => name);
    assertEquals(left.filter((name) => name.endsWith(".partial")), []);
  });
});

Deno.test("fetchDebianSource() says where it looked, and what apt said", async () => {
  await withCache(async (cacheDir, keyring) => {
    const apt = new ScriptedApt("nowhere");
    const options = { cacheDir, keyring, run: apt.run };
    const error = await assertRejects(() => fetchDebianSource("5.10", options), BuildError);
    assertEquals(error.stage, "fetch");
    assertStringIncludes(error.message, "http://deb.debian.org/debian bullseye: E: no such host");
    assertStringIncludes(error.message, "http://archive.debian.org/debian bullseye: E: no such host");
    assertStringIncludes(error.message, "linux-source-5.10.tar.xz into /usr/src");
    await assertRejects(() => fetchDebianSource("6.2", options), BuildError, "known are 5.10, 6.1, 6.12");
    const unsigned = { ...options, keyring: `${cacheDir}/none.gpg` };
    await assertRejects(() => fetchDebianSource("5.10", unsigned), BuildError, "debian-archive-keyring");
  });
});
