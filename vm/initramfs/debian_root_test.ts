// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { debianRoot } from "./debian_root.ts";
import type { CommandResult, RunCommandOptions } from "../host/run_command.ts";
import { ExpectedError } from "../host/errors.ts";

/** Plays apt-get and dpkg-deb: a package comes as one archive, with one file of its name. */
class ScriptedApt {
  readonly calls: string[] = [];
  /** Whether apt-get install works before apt-get update, and after it. */
  readonly works: readonly [boolean, boolean];
  #updated = false;

  constructor(works: readonly [boolean, boolean]) {
    this.works = works;
  }

  readonly run = async (
    argv: readonly [string, ...string[]],
    { env }: RunCommandOptions = {},
  ): Promise<CommandResult> => {
    const [program, verb = ""] = argv;
    const words = argv.slice(1).filter((word) => !word.startsWith("-") && !word.includes("="));
    this.calls.push(program === "apt-get" ? words.join(" ") : `unpack ${argv[2]!.split("/").at(-1)}`);
    if (verb === "update") this.#updated = true;
    if (verb === "install") {
      if (!this.works[this.#updated ? 1 : 0]) return answer(100, ["E: Unable to locate package"]);
      const home = env!.APT_CONFIG!.replace("/apt.conf", "");
      const config = await Deno.readTextFile(env!.APT_CONFIG!);
      assert(config.includes(`APT::Architecture "i386"`) && config.includes(`${home}/status`), config);
      for (const name of words.slice(1)) {
        await Deno.writeTextFile(`${home}/cache/archives/${name}_1_i386.deb`, "");
      }
    }
    if (program === "dpkg-deb") {
      await Deno.writeTextFile(`${argv[3]}/${argv[2]!.split("/").at(-1)!.split("_")[0]}`, "");
    }
    return answer(0, []);
  };
}

function answer(code: number, lines: string[]): CommandResult {
  return { code, signal: null, seconds: 0, lines };
}

async function withCache(run: (cacheDir: string) => Promise<void>): Promise<void> {
  const cacheDir = await Deno.makeTempDir();
  try {
    await run(cacheDir);
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
}

Deno.test("debianRoot() fetches and unpacks what is not there yet, and nothing twice", async () => {
  await withCache(async (cacheDir) => {
    const apt = new ScriptedApt([true, true]);
    const options = { cacheDir, run: apt.run };
    const root = await debianRoot("i386", ["dash", "bash"], options);
    assertEquals(apt.calls.toSorted(), [
      "install bash dash",
      "unpack bash_1_i386.deb",
      "unpack dash_1_i386.deb",
    ]);
    await Deno.stat(`${root}/dash`);
    apt.calls.length = 0;
    assertEquals(await debianRoot("i386", ["bash"], options), root);
    assertEquals(apt.calls, []);
    await debianRoot("i386", ["bash", "gdb"], options);
    assertEquals(apt.calls, ["install gdb", "unpack gdb_1_i386.deb"]);
  });
});

Deno.test("debianRoot() gets new package lists when the old ones do not do", async () => {
  await withCache(async (cacheDir) => {
    const apt = new ScriptedApt([false, true]);
    await debianRoot("i386", ["bash"], { cacheDir, run: apt.run });
    assertEquals(apt.calls, ["install bash", "update", "install bash", "unpack bash_1_i386.deb"]);
  });
});

Deno.test("debianRoot() says what apt said, and tries again the next time", async () => {
  await withCache(async (cacheDir) => {
    for (let times = 0; times < 2; times++) {
      await assertRejects(
        () => debianRoot("i386", ["bash"], { cacheDir, run: new ScriptedApt([false, false]).run }),
        ExpectedError,
        "apt-get cannot get bash: E: Unable to locate package",
      );
    }
    const apt = new ScriptedApt([true, true]);
    await assertRejects(
      () => debianRoot("i386", ["--no-such"], { cacheDir, run: apt.run }),
      ExpectedError,
      `no name of a package: "--no-such"`,
    );
    assertEquals(apt.calls, []);
  });
});
