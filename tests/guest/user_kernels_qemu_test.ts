// SPDX-License-Identifier: MIT
/** Kernels that are not as ours are: what carries the patch, has no virtio ports, or knows self-checkpoint alone. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import type { GuestRequest } from "../../harness/run/guest/plan_guest.ts";
import { type PreparedGuest, prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { runPlatform } from "../../harness/run/run_platform.ts";
import type { ScenarioResult } from "../../harness/run/scenario_result.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { carriedPatch } from "../../vm/kernel/source/carried_patch.ts";
import { planKernel } from "../../vm/kernel/build/build_kernel.ts";
import { fetchSource } from "../../vm/kernel/source/kernel_source.ts";
import { wantedFiles } from "../../vm/kernel/source/kernel_tree.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import type { OverlayEdit } from "../../vm/kernel/source/kernel_overlay.ts";

const platform = PLATFORMS[0]!;
const terminal = new Terminal();

async function run(prepared: PreparedGuest, names: readonly string[]): Promise<ScenarioResult[]> {
  const scenarios = (await readCatalogue()).filter(({ name }) => names.includes(name));
  assertEquals(scenarios.map(({ name }) => name).toSorted(), names.toSorted());
  const results: ScenarioResult[] = [];
  await runPlatform(prepared, scenarios, {
    guest() {},
    starting() {},
    note() {},
    result: (_, result) => void results.push(result),
  }, { repeat: 0 });
  return results;
}

/** Name, status and bytes that nobody explains, of each scenario. */
function summary(results: readonly ScenarioResult[]): [string, string, number][] {
  return results.map(({ scenario, status, outcome }) => {
    const unexplained = outcome?.stops.reduce((sum, { counts }) => sum + counts.unexplained, 0) ?? 0;
    return [scenario, status, unexplained];
  });
}

/** The plain kernel under another name: a ready kernel with its configuration beside it. */
async function asFile(options: Partial<GuestRequest>, use: (path: string) => Promise<void>): Promise<void> {
  const { build } = await prepareGuest(platform, { terminal, ...options });
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "vmlinux");
    await Deno.copyFile(build!.bootFile, path);
    await Deno.copyFile(build!.config, join(directory, ".config"));
    await use(path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const HEAD = "\tif (flags)\n\t\treturn -EINVAL;\n";

function atEntry(lines: string): OverlayEdit {
  return { file: "checkpoint/sys.c", find: HEAD, replace: `${HEAD}${lines}` };
}

/** As the first versions of the patch: a task checkpoints itself. */
const SELF_ONLY = atEntry("\tif (pid != 0 && pid != task_tgid_vnr(current))\n\t\treturn -EINVAL;\n");

Deno.test("a tree that carries the patch is known by it, and so is one that has half of it", async () => {
  const cacheDir = cacheDirectory();
  const { source, edits } = await planKernel({ arch: "x86_64", source: { kind: "debian", series: "6.1" } });
  const pristine = await fetchSource(source, { cacheDir });
  const parts = { files: edits.overlay.keys(), hooks: edits.hooks.text };
  assertEquals(
    (await carriedPatch(pristine, { ...parts, files: [...edits.overlay.keys()] })).state,
    "absent",
  );
  const directory = await Deno.makeTempDir();
  try {
    // What a user's tree holds after git am, as far as anybody looks.
    await Deno.copyFile(join(pristine, "Makefile"), join(directory, "Makefile"));
    const files = await wantedFiles({ pristine, edits, cacheDir });
    for (const [file, bytes] of files) {
      await Deno.mkdir(join(directory, file, ".."), { recursive: true });
      await Deno.writeFile(join(directory, file), bytes);
    }
    const own = { kind: "directory", path: directory } as const;
    const plan = await planKernel({ arch: "x86_64", source: own });
    assertEquals([plan.patch, plan.edits.overlay.size], ["carried", 0]);
    await Deno.remove(join(directory, "checkpoint/ckpt_mem.c"));
    const half = await assertRejects(() => planKernel({ arch: "x86_64", source: own }), Error);
    assertStringIncludes(half.message, "missing: checkpoint/ckpt_mem.c");
    assertStringIncludes(half.message, "there:   kernel/sys_ni.c: COND_SYSCALL(checkpoint);");
    assertEquals((await planKernel({ arch: "x86_64", source: { ...own, asIs: true } })).patch, "carried");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("over a serial line, without virtio ports and devtmpfs, images are what they are", async () => {
  const prepared = await prepareGuest(platform, { terminal, channel: "serial" });
  const config = await Deno.readTextFile(prepared.build!.config);
  assert(!/^CONFIG_(DEVTMPFS|VIRTIO_CONSOLE)=y$/m.test(config), "the kernel has what it must do without");
  const names = [
    "anon_dirty",
    "fork_child",
    "ldt_one",
    "minimal",
    "out_pipe_closed",
    "pages_chunk",
    "refuse_dev_mem",
    "self_minimal",
  ];
  assertEquals(summary(await run(prepared, names)), names.map((name) => [name, "pass", 0]));
  // As a ready kernel it is known by its configuration.
  await asFile({ channel: "serial" }, async (kernelFile) => {
    const ready = await prepareGuest(platform, { terminal, kernelFile });
    assertStringIncludes(ready.notes.join(), "the agent talks over a second serial port");
    assertEquals(summary(await run(ready, ["ldt_one"])), [["ldt_one", "pass", 0]]);
  });
});

Deno.test("a kernel that lets tasks checkpoint only themselves is told, and --self runs what can be run", async () => {
  await asFile({ mutations: [SELF_ONLY] }, async (kernelFile) => {
    const plain = await prepareGuest(platform, { terminal, kernelFile });
    assertStringIncludes(plain.notes.join(), "another task is refused with EINVAL");
    const [failed] = await run(plain, ["ldt_one"]);
    assertEquals(failed?.status, "fail");
    assert(failed?.outcome?.stops.some(({ findings }) => findings.some(({ id }) => id === "E_RETURN")));
    const self = await prepareGuest(platform, { terminal, kernelFile, self: true });
    assertEquals([self.notes, self.checkpointNr], [[], 390]);
    const names = [
      "anon_dirty",
      "debug_one",
      "fork_child",
      "ldt_one",
      "pages_5000",
      "refuse_shared_anon",
      "self_ldt",
    ];
    const results = await run(self, names);
    assertEquals(
      summary(results),
      names.map((name) => [name, name === "debug_one" ? "skip" : "pass", 0]),
    );
    assertStringIncludes(results[1]?.reason ?? "", 'its stop says "debug"');
  });
});

Deno.test("a kernel without the system call is refused in a sentence", async () => {
  const none = {
    file: "checkpoint/sys.c",
    find: HEAD,
    replace: `\tif (current)\n\t\treturn -ENOSYS;\n${HEAD}`,
  };
  const known = "\tif (flags & ~RESTART_STOPPED)\n\t\treturn -EINVAL;\n";
  const neither = { file: "checkpoint/restart_sys.c", find: known, replace: "\treturn -ENOSYS;\n" };
  await asFile({ mutations: [none, neither] }, async (kernelFile) => {
    await assertRejects(
      () => prepareGuest(platform, { terminal, kernelFile }),
      UsageError,
      "has no checkpoint system call: 387, 388, 389, 390, 391, 392 give ENOSYS",
    );
    const syscall = { x86_64: 386, i386: 386 };
    await assertRejects(
      () => prepareGuest(platform, { terminal, kernelFile, syscall }),
      UsageError,
      "has no checkpoint system call: number 386 gives ENOSYS",
    );
  });
});

Deno.test("a kernel whose first image has a revision of 2008 is judged as that code", async () => {
  const revision = { file: "checkpoint/checkpoint.c", find: ".rev = CR_VERSION,", replace: ".rev = 3," };
  await asFile({ mutations: [revision] }, async (kernelFile) => {
    const dialectOf = async (options: Partial<GuestRequest>) => {
      const { compileTarget, notes } = await prepareGuest(platform, { terminal, kernelFile, ...options });
      return [compileTarget.dialect, notes.join()] as const;
    };
    const [found, notes] = await dialectOf({ self: true });
    assertEquals(found, "v11");
    assertStringIncludes(notes, "its images have revision 3");
    assertEquals((await dialectOf({ self: true, dialect: "port" }))[0], "port");
    assertStringIncludes((await dialectOf({}))[1], "whatever pid it is given: say --self");
  });
});

/** An ELF file with a PVH entry that halts at once. */
const SILENT = `
  .section .note.Xen, "a", @note
  .long 4, 4, 18
  .asciz "Xen"
  .long entry
  .text
  .globl entry
entry: cli
1: hlt
  jmp 1b
  .section .rodata
  .asciz "Linux version 2.6.28 (nobody@nowhere) #1"
`;

Deno.test("a kernel that is silent at boot is given up after 30 s, over a serial line too", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const kernelFile = join(directory, "vmlinux");
    await Deno.writeTextFile(join(directory, "silent.S"), SILENT);
    const link = ["-Wl,-Ttext-segment=0x100000", "-Wl,--build-id=none", "-Wl,-e,entry", "-o", kernelFile];
    await runCommand([
      "gcc",
      "-m32",
      "-nostdlib",
      "-static",
      "-no-pie",
      ...link,
      join(directory, "silent.S"),
    ]);
    const said: string[] = [];
    const listening = {
      status: (text: string) => void said.push(text),
      clearStatus() {},
    } as unknown as Terminal;
    const i386 = PLATFORMS.find(({ name }) => name === "i386")!;
    const error = await assertRejects(
      () =>
        prepareGuest(i386, {
          terminal: listening,
          kernelFile,
          syscall: { x86_64: 333, i386: 333 },
          self: true,
        }),
      GuestLostError,
    );
    const shown = "nothing came within 30 s\nprocessor 0 is idle in entry+0x2\nthe console is empty\nhint: ";
    assertStringIncludes(error.message, shown);
    assertStringIncludes(said.join(), "waiting for the hello of its agent over serial (30 s at most)");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
