// SPDX-License-Identifier: MIT
/**
 * What can go wrong around an image, done on purpose: the command line must say what happened, end with the
 * right status, never call it a pass, and leave nothing half-written behind.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { join, relative } from "@std/path";
import type { Scenario } from "../../lib/model/scenario.ts";
import { readCatalogue, SCENARIO_DIRECTORY, scenarioFile } from "../../harness/run/catalogue.ts";
import type { Guest, GuestAgent } from "../../harness/run/guest/guest.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { type PreparedGuest, prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import type { ScenarioResult } from "../../harness/run/scenario_result.ts";
import { runCatalogue } from "../../harness/run/run_catalogue.ts";
import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import type { VirtualGuest } from "../../harness/run/guest/virtual_guest.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import { type CommandOutcome, ProjectCopy, type SourceEdit } from "../project_copy.ts";

const CATALOGUE = await readCatalogue();
const RUN = ["run", "--arch", "x86_64"];
/** One small scenario, by its file: a filter may fit others. */
const RUN_MINIMAL = [...RUN, ...scenarios("minimal")];
const CHECKPOINT_SHELL = ["checkpoint", "--out", "sh.ckpt", "--", "busybox", "sh"];

/** Options for scenarios, by their files as seen from the scratch directory. */
function scenarios(...names: string[]): string[] {
  const pathOf = (name: string): string => relative(SCENARIO_DIRECTORY, scenarioFile(scenarioNamed(name))!);
  return names.flatMap((name) => ["--scenario", join("../project/fixtures/scenarios", pathOf(name))]);
}

function scenarioNamed(wanted: string): Scenario {
  const scenario = CATALOGUE.find(({ name }) => name === wanted);
  assert(scenario, wanted);
  return scenario;
}

function said({ code, stdout, stderr }: CommandOutcome): string {
  return `status ${code}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`;
}

/** Checks the exit status, that the output holds some texts, and that nobody has to read a stack trace. */
function assertOutcome(outcome: CommandOutcome, code: number, ...texts: string[]): void {
  assertEquals(outcome.code, code, said(outcome));
  const all = `${outcome.stdout}\n${outcome.stderr}`;
  for (const text of texts) assertStringIncludes(all, text, said(outcome));
  assert(!/^ {4}at .*:\d+:\d+\)?$/m.test(all), said(outcome));
}

/** Code in front of the system call's definition. */
function beforeTheSystemCall(code: string): SourceEdit {
  const find = "SYSCALL_DEFINE3(checkpoint,";
  return { file: "vm/kernel/overlay/checkpoint/sys.c", find, replace: `${code}\n${find}` };
}

Deno.test("a kernel that does not compile ends with status 3 and names stage, file and line", async () => {
  await using copy = await ProjectCopy.make([beforeTheSystemCall("this is no C;")]);
  for (const command of [["kernel"], RUN_MINIMAL]) {
    const outcome = await copy.run(command);
    assertOutcome(outcome, 3, "kernel build: ", "full log: ");
    assertMatch(outcome.stderr, /checkpoint\/sys\.c:\d+:\d+: error: /);
    assertEquals(outcome.stdout, "");
  }
});

Deno.test("a kernel that panics at boot ends with status 4, its words, and no image", async () => {
  const code =
    `static int __init cr_accident(void)\n{\n\tpanic("an accident at boot");\n}\nlate_initcall(cr_accident);\n`;
  await using copy = await ProjectCopy.make([beforeTheSystemCall(code)]);
  for (const command of [RUN_MINIMAL, CHECKPOINT_SHELL]) {
    const isRun = command === RUN_MINIMAL;
    const outcome = await copy.run(isRun ? [...command, "--out", "../out"] : command);
    const texts = ["guest lost (panic)", "waiting for the agent's hello", "end of the console:"];
    assertOutcome(
      outcome,
      4,
      ...texts,
      "Kernel panic - not syncing: an accident at boot",
      ...(isRun
        ? ["kernel panic: an accident at boot [", "1 scenarios not run", "0 passed, 2 failed"]
        : ["to boot it alone, "]),
    );
    if (!isRun) assert(!outcome.stdout.includes("passed"), said(outcome));
    else assertEquals(outcome.stdout.match(/^LOST /gm)?.length, 1, said(outcome));
  }
  assertEquals(await copy.scratchFiles(), []);
});

Deno.test("a kernel that complains or dies in the midst of an image is named, and the rest still runs", async () => {
  const find = "\thh.nldt = nr;\n";
  const code = `\tWARN_ON(nr == 1);\n\tif (nr == 8192)\n\t\tpanic("an accident in mid-image");\n`;
  const edit = { file: "vm/kernel/overlay/arch/x86/mm/checkpoint.c", find, replace: `${code}${find}` };
  await using copy = await ProjectCopy.make([edit]);
  const outcome = await copy.run([...RUN, "--out", "out", ...scenarios("ldt_full", "ldt_one", "minimal")]);
  assertOutcome(outcome, 1, "Kernel panic - not syncing: an accident in mid-image", "1 passed, 2 failed");
  assertMatch(outcome.stdout, /^FAIL .* ldt_full .*\n.* E_SPLAT .* kernel panic: an accident in mid-image/m);
  assertMatch(
    outcome.stdout,
    /^FAIL .* ldt_one .*\n.* E_SPLAT kernel log: .* WARNING in cr_write_mm_context/m,
  );
  assertMatch(
    outcome.stdout,
    /^ +cr_write_mm_context\+0x\w+\/0x\w+ .* at vm\/kernel\/overlay\/arch\/x86\/mm\/checkpoint\.c:\d+/m,
  );
  assertStringIncludes(outcome.stdout, "2 distinct splats:");
  assertStringIncludes(outcome.stdout, "reproduced 2 of 2, 2 of them with the same splat");
  assertMatch(outcome.stdout, /^ok .* minimal /m);
  assertEquals(outcome.stdout.match(/run alone in a fresh guest it failed again/g)?.length, 2, said(outcome));
  const kept = await copy.scratchFiles();
  assert(kept.includes("out/x86_64/ldt_one/kernel.log"), kept.join("\n"));
  assert(!kept.some((path) => /ldt_full\/.*\.ckpt$/.test(path)), kept.join("\n"));
});

/** Makes the copy's harness wait so long for the agent at most. */
function deadline(name: "BOOT_DEADLINE_MS" | "DEADLINE_MS", ms: number): SourceEdit {
  const value = name === "DEADLINE_MS" ? "10_000" : "30_000";
  return {
    file: "vm/agent/agent_session.ts",
    find: `const ${name} = ${value};`,
    replace: `const ${name} = ${ms};`,
  };
}

Deno.test("a guest that boots and says nothing is given up in time, with what was waited for", async () => {
  const find = `	boot_say_hello();\n`;
  const edit = { file: "vm/guest/agent/agent.c", find, replace: `	for (;;)\n		SYS(sched_yield);\n` };
  await using copy = await ProjectCopy.make([edit, deadline("BOOT_DEADLINE_MS", 2500)]);
  const outcome = await copy.run(CHECKPOINT_SHELL);
  assertOutcome(outcome, 4, "guest lost (timeout)", "waiting for the agent's hello", "within 2.5 s");
  assertStringIncludes(outcome.stderr, "ckptest-agent: ready", "the console shows how far it came");
  assertEquals(await copy.scratchFiles(), []);
});

/** What the agent does in the midst of an image in place of going on, and how that must be reported. */
const AGENT_ACCIDENTS = [
  { what: "ends", code: "SYS(exit_group, 1);", reason: "panic", says: "Attempted to kill init!" },
  {
    what: "restarts the guest",
    code: "power_off();",
    reason: "qemu-exit",
    says: "QEMU ended with exit status 0",
  },
  { what: "hangs", code: "for (;;)\n\t\t\t;", reason: "timeout", says: "nothing came within 4 s" },
  {
    what: "digests another byte",
    code: "hash->a ^= 1;",
    reason: "protocol",
    says: "expected the digest",
  },
  {
    what: "loses a byte",
    code: "hash_update(hash, channel_buffer + --count, 1);",
    reason: "timeout",
    says: "nothing came within 4 s",
  },
  {
    what: "answers twice",
    code: "reply_end(0);",
    reason: "protocol",
    says: "",
  },
] as const;

for (const { what, code, reason, says } of AGENT_ACCIDENTS) {
  Deno.test(`an agent that ${what} in mid-image loses its guest, and never a verdict`, async () => {
    const find = "		blob_write(hash, channel_buffer, (size_t)count);\n";
    const wrong = `		if (hash->length > (1 << 20)) {\n			${code}\n		}\n`;
    const edit = { file: "vm/guest/agent/checkpoint.c", find, replace: `${wrong}${find}` };
    await using copy = await ProjectCopy.make([edit, deadline("DEADLINE_MS", 4000)]);
    const outcome = await copy.run([...RUN, "--out", "out", ...scenarios("pages_2048", "prot_none_dirty")]);
    assertOutcome(outcome, 4, `guest lost (${reason})`, says, "1 passed, 1 failed", "1 guests lost");
    assertStringIncludes(outcome.stdout, `waiting for the answer to "checkpoint nr=390 pid=`);
    assertMatch(outcome.stdout, /^LOST .* pages_2048 /m);
    assertMatch(outcome.stdout, /^ok .* prot_none_dirty /m);
    assertStringIncludes(outcome.stdout, "run alone in a fresh guest it failed again");
    assertEquals((await copy.scratchFiles()).filter((path) => path.endsWith(".ckpt")), []);
  });
}

Deno.test("an agent that keeps the end of an image for itself makes a truncated image, not a pass", async () => {
  const find = "		blob_write(hash, channel_buffer, (size_t)count);\n";
  const edit = {
    file: "vm/guest/agent/checkpoint.c",
    find,
    replace: `		if (hash->length > (1 << 20))\n			continue;\n${find}`,
  };
  await using copy = await ProjectCopy.make([edit]);
  const outcome = await copy.run([...RUN, "--out", "out", ...scenarios("pages_2048")]);
  assertOutcome(outcome, 1, "E_TRUNCATED", "0 passed, 1 failed");
});

/** Links to the tools that the harness uses, all but some of them. */
async function toolsWithout(directory: string, ...missing: string[]): Promise<string> {
  await Deno.mkdir(directory);
  for (const folder of ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]) {
    if (!await exists(folder)) continue;
    for await (const { name } of Deno.readDir(folder)) {
      if (missing.includes(name)) continue;
      await Deno.symlink(join(folder, name), join(directory, name)).catch(() => {});
    }
  }
  return directory;
}

Deno.test("a missing tool ends with status 2 and names it, its package and ./setup", async () => {
  await using copy = await ProjectCopy.make();
  const withoutQemu = await toolsWithout(join(copy.scratch, "a"), "qemu-system-x86_64");
  const packages = "qemu-system-x86_64 (Debian package qemu-system-x86); run ./setup";
  for (const command of [RUN_MINIMAL, CHECKPOINT_SHELL, [...RUN_MINIMAL, "--accel", "tcg"]]) {
    const outcome = await copy.run(command, { wrapper: ["env", `PATH=${withoutQemu}`] });
    assertOutcome(outcome, 2, packages);
  }
  const withoutGcc = await toolsWithout(join(copy.scratch, "b"), "gcc", "bison");
  const outcome = await copy.run(RUN_MINIMAL, { wrapper: ["env", `PATH=${withoutGcc}`] });
  assertOutcome(outcome, 2, "bison (Debian package bison)", "gcc (Debian package gcc)", "./setup");
  assert(!await exists(join(copy.scratch, "sh.ckpt")));
});

/** A disk of its own for one command. */
interface DiskOptions {
  readonly copy: ProjectCopy;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly bytes: number;
  /** Whether there is no byte left from the start. */
  readonly full?: boolean;
}

/**
 * Runs a command in a mount namespace of its own, where `disk` below the copy's scratch directory is a small
 * file system. What the copy has in its cache is linked from `disk/ckptest`. Gives the files that are there
 * afterwards.
 */
async function runOnDisk(options: DiskOptions): Promise<CommandOutcome & { files: string[] }> {
  const { copy, args, env = {}, bytes, full = false } = options;
  const disk = join(copy.scratch, "disk");
  const script = `mkdir -p "$1" && mount -t tmpfs -o size="$2" tmpfs "$1" && mkdir "$1/ckptest" || exit 77
    for path in "$4"/*; do ln -s "$path" "$1/ckptest/" || exit 77; done
    if [ "$3" = true ]; then cat /dev/zero >"$1/ballast" 2>/dev/null; fi
    disk=$1; shift 4
    "$@"; status=$?
    find "$disk" -type f ! -name ballast -printf 'on the disk: %P\\n' >&2
    exit $status`;
  const unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"];
  const wrapper = [...unshare, disk, String(bytes), String(full), copy.cache];
  const outcome = await copy.run(args, { env, wrapper });
  return {
    ...outcome,
    files: [...outcome.stderr.matchAll(/^on the disk: (.*)$/gm)].map(([, path]) => path!),
  };
}

Deno.test("a full disk ends with status 2 and leaves no part of an image", async () => {
  await using copy = await ProjectCopy.make();
  const args = ["checkpoint", "--out", "disk/sh.ckpt", "--", "busybox", "sh"];
  const outcome = await runOnDisk({ copy, args, bytes: 32 * 1024 });
  assertOutcome(outcome, 2, "disk/sh.ckpt cannot be written: No space left on device");
  assertEquals(outcome.files, []);
});

Deno.test("a full disk below the results ends with status 2 and says so, after the counts", async () => {
  await using copy = await ProjectCopy.make();
  const args = [...RUN_MINIMAL, "--out", "disk"];
  const outcome = await runOnDisk({ copy, args, bytes: 32 * 1024, full: true });
  assertOutcome(
    outcome,
    2,
    "disk/results.json cannot be written: No space left on device",
    "1 passed, 0 failed",
  );
  assertEquals(outcome.files, []);
});

Deno.test("a full disk below the cache is named, whatever was to be written first", async () => {
  await using copy = await ProjectCopy.make();
  const env = { XDG_CACHE_HOME: join(copy.scratch, "disk") };
  const programs = await runOnDisk({ copy, args: RUN_MINIMAL, env, bytes: 64 * 1024, full: true });
  assertOutcome(programs, 3, "cannot build the guest's agent", "No space left on device");
  assertEquals(programs.files, []);

  await copy.share("guest");
  const initramfs = await runOnDisk({ copy, args: RUN_MINIMAL, env, bytes: 64 * 1024, full: true });
  assertOutcome(initramfs, 2, "No space left on device", "the disk is full", "XDG_CACHE_HOME");
  assertEquals(initramfs.files, []);
});

/** A guest whose QEMU is killed once so many bytes of an image have come. */
async function startKilledGuest(prepared: PreparedGuest, bytes: number): Promise<Guest> {
  const guest = await prepared.startGuest();
  const { agent, machine } = guest as VirtualGuest;
  const checkpoint: GuestAgent["checkpoint"] = (options) => {
    let left = bytes;
    const sink = async (part: Uint8Array): Promise<void> => {
      left -= part.length;
      if (left <= 0) await runCommand(["setpriv", "kill", "-9", String(machine.pid)]);
    };
    return agent.checkpoint({ ...options, sink });
  };
  return new Proxy<Guest>(guest, {
    get(target, name) {
      if (name === "agent") {
        return new Proxy(agent, { get: (_, key) => key === "checkpoint" ? checkpoint : bound(agent, key) });
      }
      return bound(target, name);
    },
  });
}

/** A member of an object with private fields, which know no proxy. */
function bound(object: object, name: string | symbol): unknown {
  const member: unknown = Reflect.get(object, name, object);
  return typeof member === "function" ? member.bind(object) : member;
}

Deno.test("a QEMU that is killed while the image streams loses the guest; alone the scenario passes", async () => {
  const scenario = scenarioNamed("pages_2048");
  const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal() });
  let started = 0;
  const results: ScenarioResult[] = [];
  await runCatalogue([scenario], {
    onResult: (result) => void results.push(result),
    startGuest: () => started++ === 0 ? startKilledGuest(prepared, 1 << 20) : prepared.startGuest(),
    runScenario: scenarioRunner(prepared),
    skipReason: () => undefined,
  });
  const [result] = results;
  assertEquals([result?.status, result?.reproduced?.times, result?.outcome?.stops, started], [
    "lost",
    0,
    [],
    2,
  ]);
  const reason = result?.reason ?? "";
  for (
    const text of [
      "guest lost (qemu-exit)",
      "ended by SIGKILL",
      `waiting for the answer to "checkpoint nr=390`,
    ]
  ) {
    assertStringIncludes(reason, text);
  }
});
