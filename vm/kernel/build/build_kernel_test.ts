// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname } from "@std/path";
import { BuildError } from "./build_error.ts";
import { buildKernel, type KernelBuild, type KernelBuildOptions } from "./build_kernel.ts";
import type { BuildProgress } from "./build_stage.ts";
import { type FakeKernel, makeFakeKernel } from "../testing/fake_kernel_tree.ts";

/** Runs a test with a fake kernel tree of its own. */
async function withFake(use: (fake: FakeKernel, root: string) => Promise<void>): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    await use(await makeFakeKernel(root), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function build(fake: FakeKernel, more: Partial<KernelBuildOptions> = {}): Promise<KernelBuild> {
  return buildKernel({
    arch: "x86_64",
    source: { kind: "directory", path: fake.source },
    overlayDir: fake.overlayDir,
    hooksDir: fake.hooksDir,
    fragments: [fake.fragment],
    cacheDir: fake.cacheDir,
    ...more,
  });
}

async function failure(fake: FakeKernel, more: Partial<KernelBuildOptions> = {}): Promise<BuildError> {
  return await assertRejects(() => build(fake, more), BuildError);
}

/** Writes a shell script that can be run. */
async function writeProgram(path: string, commands: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, `#!/bin/sh\n${commands}`, { mode: 0o755 });
}

/** Builds in a process of its own, which finds programs in `path`; it prints the error that it ends with. */
function buildInChild(fake: FakeKernel, { root, path }: { root: string; path: string }): Deno.ChildProcess {
  const { overlayDir, hooksDir, fragment, cacheDir } = fake;
  const source = { kind: "directory", path: fake.source };
  const options = { arch: "x86_64", source, overlayDir, hooksDir, fragments: [fragment], cacheDir };
  const script = `import { buildKernel } from ${JSON.stringify(import.meta.resolve("./build_kernel.ts"))};
    Deno.env.set("PATH", ${JSON.stringify(path)});
    await buildKernel(${JSON.stringify(options)}).catch(({ stage, message }) => {
      console.log(JSON.stringify({ stage, message }));
      Deno.exit(1);
    });`;
  Deno.writeTextFileSync(`${root}/script.ts`, script);
  const config = new URL(import.meta.resolve("../../../deno.json")).pathname;
  return new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-prompt", `--config=${config}`, "-P=test", `${root}/script.ts`],
    // What may be run is looked up when Deno starts.
    env: { PATH: `${path}:${Deno.env.get("PATH")}` },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Makes a tarball as Debian's source package has it, of a fake kernel. */
async function packDebian(fake: FakeKernel, root: string): Promise<KernelBuildOptions["source"]> {
  const transform = "--transform=s,^,linux-source-6.1/,";
  const args = ["-cJf", `${root}/linux-source-6.1.tar.xz`, transform, "-C", fake.source, "."];
  const { success } = await new Deno.Command("tar", { args }).output();
  assert(success);
  return { kind: "debian", series: "6.1", directory: root };
}

/** The one working tree in a cache. */
async function treeOf({ cacheDir }: FakeKernel): Promise<string> {
  for await (const { name, isDirectory } of Deno.readDir(`${cacheDir}/trees`)) {
    if (isDirectory) return `${cacheDir}/trees/${name}`;
  }
  throw new Error("no tree");
}

async function storeNames({ cacheDir }: FakeKernel): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(`${cacheDir}/store`)).catch(() => []);
  return entries.map(({ name }) => name).filter((name) => name !== ".lock").toSorted();
}

Deno.test("buildKernel() builds, stores, and finds the result again", async () => {
  await withFake(async (fake) => {
    const progress: BuildProgress[] = [];
    const first = await build(fake, { onProgress: (p) => void progress.push(p) });
    assert(!first.cached);
    assertEquals(first.info.release, "6.1.0-fake");
    assertStringIncludes(await Deno.readTextFile(first.config), "CONFIG_A=y");
    assertStringIncludes(
      await Deno.readTextFile(`${dirname(first.config)}/build.log`),
      "  CC      checkpoint/sys.c",
    );
    assert((await Deno.stat(first.bootFile)).size < (await Deno.stat(first.vmlinux)).size);
    const stages = new Set(progress.map(({ stage }) => stage));
    assert(stages.has("apply") && stages.has("configure") && stages.has("build"), [...stages].join(" "));
    const again = await build(fake);
    assert(again.cached);
    assertEquals([again.key, again.vmlinux, again.info], [first.key, first.vmlinux, first.info]);
  });
});

Deno.test("buildKernel() recompiles only what an overlay edit touches, and never the user's source", async () => {
  await withFake(async (fake) => {
    const before = await build(fake);
    const tree = await treeOf(fake);
    const mtime = async (file: string) => (await Deno.stat(`${tree}/${file}`)).mtime?.getTime();
    const mm = await mtime("checkpoint/mm.c");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Deno.writeTextFile(`${fake.overlayDir}/checkpoint/sys.c`, "int checkpoint(void) { return 7; }\n");
    const after = await build(fake);
    assertNotEquals(after.key, before.key);
    assertEquals(await mtime("checkpoint/mm.c"), mm);
    const log = await Deno.readTextFile(`${dirname(after.config)}/build.log`);
    assert(log.includes("checkpoint/sys.c") && !log.includes("checkpoint/mm.c"), log);
    assertEquals(await Deno.readTextFile(`${fake.source}/kernel/table.h`), "one\ntwo\nthree\n");
    assertEquals(await Deno.readTextFile(`${tree}/kernel/table.h`), "one\ntwo\ncheckpoint\nthree\n");
    await assertRejects(() => Deno.stat(`${fake.source}/checkpoint`), Deno.errors.NotFound);
  });
});

Deno.test("buildKernel() forgets overlay files and hooks that are gone", async () => {
  await withFake(async (fake) => {
    const { key } = await build(fake);
    await Deno.remove(`${fake.overlayDir}/checkpoint/mm.c`);
    await Deno.writeTextFile(`${fake.hooksDir}/6.1.patch`, "");
    assertNotEquals((await build(fake)).key, key);
    const tree = await treeOf(fake);
    await assertRejects(() => Deno.stat(`${tree}/checkpoint/mm.c`), Deno.errors.NotFound);
    assertEquals(await Deno.readTextFile(`${tree}/kernel/table.h`), "one\ntwo\nthree\n");
  });
});

Deno.test("buildKernel() follows files that appear, change and go away in a source directory", async () => {
  await withFake(async (fake) => {
    const { key } = await build(fake);
    await Deno.writeTextFile(`${fake.source}/kernel/new.h`, "new\n");
    await Deno.writeTextFile(`${fake.source}/kernel/table.h`, "zero\none\ntwo\nthree\n");
    await Deno.remove(`${fake.source}/kernel/other.h`);
    assertNotEquals((await build(fake)).key, key);
    const tree = await treeOf(fake);
    assertEquals(await Deno.readTextFile(`${tree}/kernel/new.h`), "new\n");
    assertEquals(await Deno.readTextFile(`${tree}/kernel/table.h`), "zero\none\ntwo\ncheckpoint\nthree\n");
    await assertRejects(() => Deno.stat(`${tree}/kernel/other.h`), Deno.errors.NotFound);
  });
});

Deno.test("buildKernel() builds a mutant under a key of its own and mends the tree afterwards", async () => {
  await withFake(async (fake) => {
    const right = await build(fake);
    const edit = { file: "checkpoint/sys.c", find: "return 1", replace: "return 99" };
    const wrong = await build(fake, { mutations: [edit] });
    assertNotEquals(wrong.key, right.key);
    assertNotEquals(await Deno.readFile(wrong.vmlinux), await Deno.readFile(right.vmlinux));
    assert((await build(fake)).cached && (await build(fake, { mutations: [edit] })).cached);
    const bytes = await Deno.readFile(right.vmlinux);
    await Deno.remove(`${fake.cacheDir}/store`, { recursive: true });
    const mended = await build(fake);
    assert(!mended.cached);
    assertEquals(await Deno.readFile(mended.vmlinux), bytes);
    assertStringIncludes(await Deno.readTextFile(`${await treeOf(fake)}/checkpoint/sys.c`), "return 1");
  });
});

Deno.test("buildKernel() refuses an edit whose text is missing or not the only one", async () => {
  await withFake(async (fake) => {
    const edit = (find: string, file = "checkpoint/sys.c") => ({ mutations: [{ file, find, replace: "x" }] });
    assertStringIncludes((await failure(fake, edit("nowhere"))).message, "found 0 times, expected once");
    assertStringIncludes((await failure(fake, edit("t"))).message, "checkpoint/sys.c: found 3 times");
    assertStringIncludes(
      (await failure(fake, edit("x", "no/such.c"))).message,
      "no/such.c: there is no such file",
    );
    assertEquals((await failure(fake, edit(""))).stage, "apply");
  });
});

Deno.test("a compile error names the stage, the file and line, the command and the log", async () => {
  await withFake(async (fake) => {
    await Deno.writeTextFile(`${fake.overlayDir}/checkpoint/sys.c`, "int checkpoint(void)\n{ return 1 }\n");
    const error = await failure(fake);
    assertEquals(error.stage, "build");
    assertStringIncludes(error.message, "kernel build: make ended with exit status 2");
    assertStringIncludes(error.message, "checkpoint/sys.c:2:11: error: expected ';'");
    assert(/^command: .* vmlinux$/m.test(error.message), error.message);
    const [, logPath = ""] = /^full log: (.+)$/m.exec(error.message) ?? [];
    assertStringIncludes(await Deno.readTextFile(logPath), "error: expected");
    assertEquals(await storeNames(fake), []);
  });
});

Deno.test("buildKernel() lays options of the user's over all others, in a build directory of their own", async () => {
  await withFake(async (fake) => {
    const plain = await build(fake);
    const other = await build(fake, { moreOptions: ["CONFIG_A=n", "CONFIG_B=y"] });
    assertNotEquals([other.key, other.info.buildDir], [plain.key, plain.info.buildDir]);
    const config = await Deno.readTextFile(other.config);
    assertStringIncludes(config, "# CONFIG_A is not set\nCONFIG_B=y\n");
    const error = await failure(fake, { moreOptions: ["CONFIG_NEEDS_MORE=y"] });
    assertStringIncludes(error.message, "CONFIG_NEEDS_MORE: wanted y, got n");
  });
});

Deno.test("a dropped option is named, with where it is defined and what it depends on", async () => {
  await withFake(async (fake) => {
    await Deno.writeTextFile(fake.fragment, "CONFIG_A=y\nCONFIG_NEEDS_MORE=y\n");
    const error = await failure(fake);
    assertEquals(error.stage, "configure");
    assertStringIncludes(error.message, "1 requested option did not survive olddefconfig: CONFIG_NEEDS_MORE");
    assertStringIncludes(error.message, "CONFIG_NEEDS_MORE: wanted y, got n");
    assertStringIncludes(error.message, "defined in Kconfig:1");
    assertStringIncludes(error.message, "depends on MORE");
  });
});

Deno.test("a configuration of the user's is taken whole, and refused by the names of what it lacks", async () => {
  await withFake(async (fake, root) => {
    const configFile = `${root}/my.config`;
    await Deno.writeTextFile(configFile, "CONFIG_TTY=y\nCONFIG_PVH=y\n");
    await Deno.writeTextFile(`${fake.source}/Kconfig`, 'config TMPFS\n\tbool "tmpfs"\n\tdepends on SHMEM\n');
    const error = await failure(fake, { configFile });
    assertEquals(error.stage, "configure");
    assertStringIncludes(error.message, "the configuration lacks 14 needed options: CONFIG_CR_CHECKPOINT, ");
    assertStringIncludes(
      error.message,
      "CONFIG_TMPFS: expected y, found not set: targets and their files live on it",
    );
    assertStringIncludes(error.message, "depends on SHMEM");
    assert(!error.message.includes("CONFIG_TTY"), error.message);
    const names = [...error.message.matchAll(/^ *(CONFIG_\w+): expected/gm)].map(([, name]) => `${name}=y\n`);
    await Deno.writeTextFile(configFile, `CONFIG_TTY=y\nCONFIG_PVH=y\n${names.join("")}`);
    const built = await build(fake, { configFile });
    const text = await Deno.readTextFile(built.config);
    assert(!text.includes("CONFIG_TINY") && !text.includes("CONFIG_A=y"), text);
  });
});

Deno.test("hooks that do not apply are reported with what patch said", async () => {
  await withFake(async (fake) => {
    await Deno.writeTextFile(`${fake.source}/kernel/table.h`, "something\nelse\n");
    const error = await failure(fake);
    assertEquals(error.stage, "apply");
    assertStringIncludes(error.message, "Hunk #1 FAILED");
  });
});

Deno.test("missing hooks, source, tarball, and an overlay over existing files are named", async () => {
  await withFake(async (fake, root) => {
    await Deno.rename(`${fake.hooksDir}/6.1.patch`, `${fake.hooksDir}/5.10.patch`);
    assertStringIncludes((await failure(fake)).message, "6.1.patch is missing");
    const gone = await failure(fake, { source: { kind: "directory", path: `${root}/none` } });
    assertStringIncludes(gone.message, "kernel fetch: there is no kernel source directory");
    const notKernel = await failure(fake, { source: { kind: "directory", path: fake.overlayDir } });
    assertStringIncludes(notKernel.message, "is no kernel source tree");
    const debian = await failure(fake, { source: { kind: "debian", series: "6.1", directory: root } });
    assertStringIncludes(debian.message, "Debian package linux-source-6.1");
  });
  await withFake(async (fake) => {
    await Deno.mkdir(`${fake.overlayDir}/kernel`);
    await Deno.writeTextFile(`${fake.overlayDir}/kernel/other.h`, "mine\n");
    const { message } = await failure(fake);
    assertStringIncludes(message, "carries only a part of the checkpoint patch: 1 of 4 files and hooks");
    assertStringIncludes(message, "there:   kernel/other.h");
    assertStringIncludes(message, "missing: kernel/table.h: checkpoint");
  });
});

Deno.test("a tree that carries the patch is built as it is, and an edit of the overlay changes nothing", async () => {
  await withFake(async (fake) => {
    const added = await build(fake);
    assertEquals(added.patch, "added");
    await Deno.mkdir(`${fake.source}/checkpoint`);
    await Deno.writeTextFile(`${fake.source}/checkpoint/sys.c`, "int checkpoint(void) { return 5; }\n");
    await Deno.writeTextFile(`${fake.source}/checkpoint/mm.c`, "int write_mm(void) { return 6; }\n");
    await Deno.writeTextFile(`${fake.source}/kernel/table.h`, "one\ncheckpoint\ntwo\nthree\n");
    const carried = await build(fake);
    assertEquals([carried.patch, carried.key === added.key], ["carried", false]);
    const tree = await treeOf(fake);
    assertStringIncludes(await Deno.readTextFile(`${tree}/checkpoint/sys.c`), "return 5");
    assertEquals(await Deno.readTextFile(`${tree}/kernel/table.h`), "one\ncheckpoint\ntwo\nthree\n");
    await Deno.writeTextFile(`${fake.overlayDir}/checkpoint/sys.c`, "int checkpoint(void) { return 7; }\n");
    assert((await build(fake)).cached);
    // The tree of another series has no hooks, and needs none.
    await Deno.rename(`${fake.hooksDir}/6.1.patch`, `${fake.hooksDir}/5.10.patch`);
    assert((await build(fake)).cached);
    await Deno.remove(`${fake.source}/checkpoint/mm.c`);
    assertStringIncludes((await failure(fake)).message, "missing: checkpoint/mm.c");
    const source = { kind: "directory", path: fake.source, asIs: true } as const;
    assertEquals((await build(fake, { source })).patch, "carried");
  });
});

Deno.test("a source directory that was built in is refused", async () => {
  await withFake(async (fake) => {
    await Deno.writeTextFile(`${fake.source}/.config`, "");
    assertStringIncludes((await failure(fake)).message, "make mrproper");
  });
});

Deno.test("a missing tool is named, with ./setup", async () => {
  await withFake(async (fake, root) => {
    for (const tool of ["make", "gcc", "ld", "objcopy", "bison", "bc", "nice", "setpriv"]) {
      await writeProgram(`${root}/bin/${tool}`, "");
    }
    const { code, stdout } = await buildInChild(fake, { root, path: `${root}/bin` }).output();
    const error: { stage: string; message: string } = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals([code, error.stage], [1, "configure"]);
    assertStringIncludes(error.message, "flex (Debian package flex)");
    assert(!error.message.includes("bison"), error.message);
    assertStringIncludes(error.message, "./setup");
  });
});

Deno.test("two builds of the same kernel at once: one waits, says so, and takes the other's result", async () => {
  await withFake(async (fake) => {
    const progress: BuildProgress[] = [];
    const onProgress = (p: BuildProgress) => void progress.push(p);
    const [one, two] = await Promise.all([build(fake, { onProgress }), build(fake, { onProgress })]);
    assertEquals([one.cached, two.cached].toSorted(), [false, true]);
    const waits = progress.filter(({ message }) => message.startsWith("waiting for process"));
    assertEquals(waits.length, 1);
    assertStringIncludes(waits[0]!.message, String(Deno.pid));
  });
});

Deno.test("a build that is killed while it stores leaves nothing, and the next one goes through", async () => {
  await withFake(async (fake, root) => {
    // Asked for its version it answers; asked to strip it takes for ever.
    const slow = `echo half > "$3"\ntouch ${root}/storing\nexec sleep 5\n`;
    await writeProgram(`${root}/bin/objcopy`, `[ "$1" = --version ] && exec true\n${slow}`);
    const child = buildInChild(fake, { root, path: `${root}/bin:${Deno.env.get("PATH")}` });
    const stdout = child.stdout.cancel();
    const stderr = new Response(child.stderr).text();
    for (let tries = 0; !await Deno.stat(`${root}/storing`).then(() => true, () => false); tries++) {
      assert(tries < 400, `the child did not come to storing: ${tries === 400 ? await stderr : ""}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill("SIGKILL");
    await child.status;
    assert((await storeNames(fake)).every((name) => name.startsWith(".partial-")));
    const built = await build(fake);
    assert(!built.cached);
    assertEquals(await storeNames(fake), [built.key]);
    await Promise.all([stdout, stderr]);
  });
});

Deno.test("buildKernel() unpacks Debian's tarball once", async () => {
  await withFake(async (fake, root) => {
    const source = await packDebian(fake, root);
    const progress: BuildProgress[] = [];
    const options = { source, onProgress: (p: BuildProgress) => void progress.push(p) };
    await build(fake, options);
    await Deno.writeTextFile(`${fake.overlayDir}/checkpoint/more.c`, "int more;\n");
    await build(fake, options);
    assertEquals(progress.filter(({ stage }) => stage === "fetch").length, 1);
    assertEquals(progress.filter(({ message }) => message === "making the working tree").length, 1);
  });
});

Deno.test("a tarball that is cut short is reported and leaves no source behind", async () => {
  await withFake(async (fake, root) => {
    const source = await packDebian(fake, root);
    const path = `${root}/linux-source-6.1.tar.xz`;
    await Deno.truncate(path, (await Deno.stat(path)).size - 40);
    const error = await failure(fake, { source });
    assertEquals(error.stage, "fetch");
    assertStringIncludes(error.message, "tar ended with exit status 2");
    const left = (await Array.fromAsync(Deno.readDir(`${fake.cacheDir}/src`))).filter((e) => e.isDirectory);
    assertEquals(left, []);
  });
});

Deno.test({
  name: "a full disk is reported as that, by the stage that met it, and leaves nothing in the store",
  // A small file system of its own needs a mount.
  ignore: Deno.uid() !== 0,
  fn: async (t) => {
    for (const [kilobytes, stage] of [[20, "apply"], [200, "build"], [1150, "store"]] as const) {
      await t.step(`${kilobytes} KiB: stage ${stage}`, () => fullDisk(kilobytes, stage));
    }
  },
});

/** Builds in a cache of a given size; the stage named must fail for want of space. */
async function fullDisk(kilobytes: number, stage: string): Promise<void> {
  await withFake(async (fake) => {
    // 400 KB that compress to nothing in the source, and end up in vmlinux.
    await Deno.writeTextFile(`${fake.overlayDir}/checkpoint/big.c`, "char big[400000] = { 1 };\n");
    if (stage === "apply") await Deno.writeFile(`${fake.overlayDir}/big.bin`, new Uint8Array(30_000));
    await Deno.mkdir(fake.cacheDir);
    const shell = async (line: string) => {
      return (await new Deno.Command("sh", { args: ["-c", line, "sh", fake.cacheDir] }).output()).success;
    };
    if (!await shell(`mount -t tmpfs -o size=${kilobytes}k none "$1"`)) {
      console.log("skipped: cannot mount a small file system here");
      return;
    }
    try {
      const error = await failure(fake);
      assertEquals(error.stage, stage, error.message);
      assertStringIncludes(error.message, "the disk is full");
      assertEquals(await storeNames(fake), []);
    } finally {
      // A compiler that make did not wait for may still hold a file there.
      await shell('umount --lazy "$1"');
    }
  });
}
