// SPDX-License-Identifier: MIT
/**
 * The command line as a user runs it, as far as it needs no guest: exit status, and what is printed where.
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { setTimeout } from "node:timers/promises";
import { fromFileUrl, join, relative, resolve } from "@std/path";
import { TextLineStream } from "@std/streams";
import { COMMAND_LINES } from "./command_lines.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { denoDirectory } from "../project_copy.ts";
import { unpackRecordedCase } from "../../lib/compare/testing/recorded_case.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const NAMES = ["x86_64-mixed", "compat-mixed_tls", "i386-mixed_tls"];
let dir = "";

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

Deno.test.beforeAll(async () => {
  dir = await Deno.makeTempDir({ prefix: "ckptest-command-line-" });
  // A guest's programs are named by all that decides what they are: those that are there need no compiler.
  await Deno.mkdir(join(dir, "cache", "ckptest"), { recursive: true });
  await Deno.mkdir(join(cacheDirectory(), "guest"), { recursive: true });
  await Deno.symlink(join(cacheDirectory(), "guest"), join(dir, "cache", "ckptest", "guest"));
  for (const name of NAMES) {
    const packed = await Deno.readFile(join(ROOT, "fixtures", "recorded", `${name}.json.gz`));
    await Deno.writeFile(join(dir, `${name}.ckpt`), (await unpackRecordedCase(packed)).image);
  }
  const image = await Deno.readFile(join(dir, `${NAMES[0]}.ckpt`));
  await Deno.writeFile(join(dir, "cut.ckpt"), image.subarray(0, 5000));
  await Deno.writeFile(join(dir, "empty.ckpt"), new Uint8Array(0));
  await Deno.writeTextFile(join(dir, "garbage.ckpt"), "this is no checkpoint image, but a line of text\n");
  // The task's state is the first field of TASK, which follows HEAD and HEAD_ARCH.
  const damaged = image.slice();
  damaged[8 + 24] = 7;
  await Deno.writeFile(join(dir, "damaged.ckpt"), damaged);
  await Deno.writeFile(join(dir, "appended.bin"), new Uint8Array([1, 2, 3, ...image]));
});

Deno.test.afterAll(async () => {
  await commandLines?.end();
  await Deno.remove(dir, { recursive: true });
});

const CKPTEST = ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", join(ROOT, "harness", "cli", "main.ts")];

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
  { clearEnv = false, cwd = dir } = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [...CKPTEST, ...args],
    cwd,
    clearEnv,
    // Deno's own cache stays where it is: what it needs lies there.
    env: { ...clearEnv ? {} : { XDG_CACHE_HOME: join(dir, "cache") }, DENO_DIR: denoDirectory(), ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return checked({ code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) });
}

function checked(outcome: Outcome): Outcome {
  // deno-lint-ignore no-control-regex -- that is the point
  assert(!/\x1b/.test(outcome.stdout + outcome.stderr), `escape codes in ${JSON.stringify(outcome)}`);
  assert(!/^ {4}at .*:\d+:\d+\)?$/m.test(outcome.stderr), `a stack trace: ${outcome.stderr}`);
  return outcome;
}

/** A process that carries out one command line after another. */
class CommandLines {
  readonly #child = new Deno.Command("deno", {
    args: [...CKPTEST.slice(0, -1), COMMAND_LINES],
    cwd: dir,
    env: { XDG_CACHE_HOME: join(dir, "cache"), DENO_DIR: denoDirectory() },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  readonly #requests = this.#child.stdin.getWriter();
  readonly #answers = this.#child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();

  async run(args: readonly string[]): Promise<Outcome> {
    await this.#requests.write(new TextEncoder().encode(`${JSON.stringify(args)}\n`));
    return checked(JSON.parse((await this.#answers.read()).value ?? ""));
  }

  async end(): Promise<void> {
    await this.#requests.close();
    await this.#answers.cancel();
    await this.#child.status;
  }
}

let commandLines: CommandLines | undefined;

/** Carries out a command line that starts nothing. */
async function carryOut(args: readonly string[]): Promise<Outcome> {
  return await (commandLines ??= new CommandLines()).run(args);
}

/** A mistake in the command line: status 2, a line on standard error, nothing on standard output. */
async function assertMistake(args: readonly string[], ...says: string[]): Promise<void> {
  const { code, stdout, stderr } = await carryOut(args);
  assertEquals([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
  assertMatch(stderr, /^ckptest \S+: .*\n$/, args.join(" "));
  for (const text of says) assertStringIncludes(stderr, text, args.join(" "));
}

Deno.test("help lists every command, and each command explains itself", async () => {
  const { code, stdout } = await run(["help"]);
  assertEquals(code, 0);
  for (
    const name of ["run", "list", "checkpoint", "image", "report", "kernel", "kernel-series", "kernel-lint"]
  ) {
    assertMatch(stdout, new RegExp(`^ +${name} `, "m"));
  }
  assertStringIncludes(stdout, "exit status: 0 pass");
  const command = await carryOut(["checkpoint", "--help"]);
  assertEquals(command.code, 0);
  assertStringIncludes(command.stdout, "--out FILE");
  assertEquals((await carryOut([])).code, 2);
});

Deno.test("run --failed without anything that has failed starts nothing and says so", async () => {
  const { code, stdout } = await run(["run", "--failed", "minimal"]);
  assertEquals([code, stdout], [5, "nothing that was asked for failed when it ran last\n"]);
  for (const option of ["--jobs", "--bail"]) {
    await assertMistake(["run", option, "0", "minimal"], `option ${option} takes a whole number from 1`);
  }
  await assertMistake(["run", "--watch", "--resume"], "option --watch does not go with --resume");
  await assertMistake(["bench", "hardness"], "did you mean harness");
  await assertMistake(["bench", "--filter", "minimal"], "option --filter goes with bench harness");
});

Deno.test("mistakes in a command line end with status 2 and are named", async () => {
  const { code, stdout, stderr } = await run(["frobnicate"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^ckptest frobnicate: .*\n$/);
  await assertMistake(["frobnicate"], `no command "frobnicate"`, "one of run, list");
  await assertMistake(["toString"], `no command "toString"`);
  await assertMistake(["run", "--filtr", "x"], "unknown option --filtr: did you mean --filter");
  await assertMistake(["run", "--filter"], "--filter requires TEXT");
  await assertMistake(["run", "--arch", "arm64", "minimal"], `option --arch takes x86_64`, `found "arm64"`);
  await assertMistake(
    ["run", "--arch", "i386", "--flavour", "kcsan"],
    "kcsan is for kernels of x86_64: found i386-kcsan",
  );
  await assertMistake(["run", "--scenario", "none.json"], "none.json: no such scenario file");
  await assertMistake(["run", "--out", "empty.ckpt/x", "minimal"], "empty.ckpt/x");
});

Deno.test("mistakes in the commands for nightly runs are named as well", async () => {
  await Deno.writeTextFile(
    join(dir, "matrix.json"),
    `// a nightly run\n{ "jobs": [{ "kernels": [{ "debian": "2.6" }] }] }`,
  );
  const nightly = ["nightly", "--history", "history.sqlite"];
  await assertMistake([...nightly, "--matrix", "none.json"], "none.json: the matrix cannot be read");
  const kernel = `matrix.json: $.jobs[0].kernels[0].debian: expected one of 5.10, 6.1, 6.12, found "2.6"`;
  const { code, stderr } = await carryOut([...nightly, "--matrix", "matrix.json"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, kernel);
  await assertMistake(
    [...nightly, "--only", "sparc"],
    "no job fits --only sparc: 5.10/x86_64/plain/catalogue",
  );
  await assertMistake([...nightly, "--shard", "3/2"], `option --shard takes I/N`, `found "3/2"`);
  await assertMistake([...nightly, "--budget", "soon"], `option --budget takes a time`, `found "soon"`);
  await assertMistake([...nightly, "--keep-bytes", "much"], "option --keep-bytes takes a size");
  await assertMistake([...nightly, "--durations", "none"], "option --durations takes the nightly.json");
  await assertMistake(["nightly", "--history", "garbage.ckpt"], "garbage.ckpt: the history cannot be opened");
  await assertMistake(["slurm", "--out", "out"], "missing: --shards");
  await assertMistake(["slurm", "--shards", "2"], "missing: --out");
  const slurm = ["slurm", "--history", "history.sqlite", "--out", "out", "--shards"];
  await assertMistake([...slurm, "0"], "option --shards takes a whole number from 1 to 9999");
  await assertMistake([...slurm, "2", "--matrix", "none.json"], "none.json: the matrix cannot be read");
  await assertMistake([...slurm, "2", "--only", "sparc"], "no job fits --only sparc: 5.10/x86_64");
  await assertMistake([...slurm, "2", "--budget", "soon"], `option --budget takes a time`, `found "soon"`);
  await assertMistake(["merge", "shard1"], "missing: --out");
  await assertMistake(["merge", "--out", "out"], "missing: DIR");
  const merge = ["merge", "--history", "history.sqlite", "--out", "out", "shard1"];
  await assertMistake(merge, "shard1 is no directory of a nightly run: expected a plan.json in it");
});

Deno.test("mistakes in other commands are named as well", async () => {
  await assertMistake(["list", "everything"], `"everything"`);
  await assertMistake(["fuzz", "--mutant", "x"], 'option --mutant: no mutant is called "x"');
  await assertMistake(["fuzz", "--ldt", "--tracers"], "--tracers has no meaning with --ldt");
  await assertMistake(["fuzz", "--ldt", "--restart"], "--restart has no meaning with --ldt");
  await assertMistake(["kernel", "x86_64"], `"x86_64"`);
  await assertMistake(["checkpoint"], "no program: name it after --");
  await assertMistake(["checkpoint", "sh", "--", "sh"], `"sh"`);
  await assertMistake(["checkpoint", "--", "no-such-program"], `no program "no-such-program" in PATH`);
  await assertMistake(["checkpoint", "--arch", "all", "--", "busybox"], "option --arch takes one");
  await assertMistake(["replay", "none"], 'DIR takes a directory that is there: found "none"');
  await assertMistake(["replay", "."], "expected a recording.json in it");
  await assertMistake(["gdb"], "missing: SCENARIO[:STOP]");
  await assertMistake(["run", "--gdb", "minimal"], "option --gdb takes one platform");
  await assertMistake(["shell", "no_such_scenario"], 'no scenario "no_such_scenario"');
  await assertMistake(["shell", "anon_dirty:no"], 'anon_dirty has no stop "no"');
  await assertMistake(["shell", "stress_executed"], "stress_executed races its target");
  await assertMistake(["shell", "--arch", "x86_64,i386"], "option --arch takes one");
});

Deno.test("a scenario that cannot be compiled is named before anything is built", async () => {
  const steps = [{ op: "mprotect", area: "none", pages: "all", prot: "r" }, { op: "stop", label: "x" }];
  await Deno.writeTextFile(
    join(dir, "wrong.json"),
    JSON.stringify({ about: "A scenario of a test.", steps }),
  );
  for (const args of [["run", "--out", "wrong-out"], ["run", "--arch", "compat,i386", "--self"]]) {
    const { code, stdout, stderr } = await carryOut([...args, "--scenario", "wrong.json"]);
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(
      stderr,
      /^ckptest run: 1 scenario cannot be compiled for \w+:\n {2}\S+\/wrong\.json: \$\.steps\[0\] \(mprotect\)/,
    );
  }
  const made = await Array.fromAsync(Deno.readDir(join(dir, "cache", "ckptest")));
  assertEquals(
    made.map(({ name }) => name).filter((name) => ["trees", "build", "store", "runs"].includes(name)),
    [],
  );
  await assertRejects(() => Deno.stat(join(dir, "wrong-out")), Deno.errors.NotFound);
});

Deno.test("a program that cannot be checkpointed is one line, before any kernel is built", async () => {
  const write = (name: string, text: string, mode: number) =>
    Deno.writeTextFile(join(dir, name), text, { mode });
  await write("text", "this is no program\n", 0o755);
  await write("closed", "#!/bin/sh\n", 0o644);
  await write("script", "#!/no/such/shell\n", 0o755);
  await write("short", "\x7fELF\x02\x01", 0o755);
  // An ELF file for aarch64 (183), and one for i386 as the kernel for i386 would take it.
  const elf = await Deno.readFile("/bin/sh");
  elf[18] = 183;
  elf[19] = 0;
  await Deno.writeFile(join(dir, "foreign"), elf, { mode: 0o755 });
  for (
    const [program, says] of [
      ["./none", "no such program on this host"],
      ["./closed", "it is not executable"],
      ["./.", "it is no regular file"],
      ["./text/x", "no such program on this host"],
      ["./text", "not an ELF file"],
      ["./script", "its interpreter /no/such/shell: no such program on this host"],
      ["./short", "not an ELF file"],
      ["./foreign", "expected a program for x86-64 or i386, found one for machine 183"],
    ] as const
  ) {
    const { code, stdout, stderr } = await carryOut(["checkpoint", "--", program]);
    assertEquals([code, stdout], [2, ""], program);
    assertMatch(stderr, /^ckptest checkpoint: .*\n$/, program);
    assertStringIncludes(stderr, says);
  }
  await assertMistake(["checkpoint", "--arch", "i386", "--", "/bin/sh"], "for i386, found one for x86-64");
});

Deno.test("a place that is missing is one line: HOME, TMPDIR, a cache that cannot be written", async () => {
  const path = { PATH: Deno.env.get("PATH")! };
  const homeless = await run(["run", "minimal"], path, { clearEnv: true });
  const noCache = "ckptest run: no place for the cache: neither XDG_CACHE_HOME nor HOME is set\n";
  assertEquals([homeless.code, homeless.stdout, homeless.stderr], [2, "", noCache]);
  const stateless = await run(["nightly", "--list"], path, { clearEnv: true });
  assertMatch(stateless.stderr, /^ckptest nightly: no place for the history: .*\n$/);
  assertEquals(stateless.code, 2);
  await Deno.writeTextFile(
    join(dir, "small.json"),
    `{ "jobs": [{ "kernels": [{ "debian": "6.1" }], "platforms": ["x86_64"], "suites": ["corruptions"] }] }`,
  );
  const small = ["nightly", "--matrix", "small.json", "--history", "h.sqlite", "--out", "n"];
  const started = await run(small, { TMPDIR: join(dir, "none") });
  assertMatch(started.stderr, /^ckptest nightly: no temporary directory below TMPDIR \(\S+\/none\): .*$/m);
  assertEquals(started.code, 2);
  for (const args of [["checkpoint", "--", "/bin/sh"], ["run", "minimal"], ["fuzz"], ["faults", "minimal"]]) {
    const { code, stderr } = await run(args, { TMPDIR: join(dir, "none") });
    assertMatch(stderr, /^ckptest \w+: no temporary directory below TMPDIR \(\S+\/none\): .*\n$/);
    assertEquals(code, 2);
  }
  const cache = await run(["checkpoint", "--", "/bin/sh"], { XDG_CACHE_HOME: join(dir, "garbage.ckpt") });
  assertMatch(cache.stderr, /^ckptest checkpoint: .*garbage\.ckpt.*\n$/);
  assertEquals(cache.code, 2);
});

Deno.test("Ctrl-C ends a nightly run with status 130, and with the command to go on", async () => {
  const matrix = join(dir, "one.json");
  await Deno.writeTextFile(
    matrix,
    `{ "jobs": [{ "kernels": [{ "debian": "6.1" }], "platforms": ["x86_64"], "suites": ["corruptions"] }] }`,
  );
  const out = join(dir, "interrupted");
  const child = new Deno.Command("deno", {
    args: [...CKPTEST, "nightly", "--matrix", matrix, "--history", join(dir, "i.sqlite"), "--out", out],
    env: { XDG_CACHE_HOME: join(dir, "cache"), DENO_DIR: denoDirectory() },
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const ended = child.output();
  // The directory of the job that runs.
  while (!await Deno.stat(join(out, "partial")).catch(() => undefined)) await setTimeout(20);
  child.kill("SIGINT");
  const { code, stdout, stderr } = await ended;
  const decoder = new TextDecoder();
  assertEquals(code, 130, decoder.decode(stderr));
  const text = decoder.decode(stdout);
  assertMatch(text, /^stopped: interrupted by SIGINT\ngo on with: .*nightly .* --resume$/m);
  assertMatch(text, /^0 passed, 0 failed, 1 missing$/m);
});

Deno.test("a reader of standard output that goes away ends a command quietly", async () => {
  for (
    const args of [["list"], ["report", join(ROOT, "fixtures", "results", "nightly"), "--format", "html"]]
  ) {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", 'deno "$@" | head -c 1; exit "${PIPESTATUS[0]}"', "sh", ...CKPTEST, ...args],
      env: { DENO_DIR: denoDirectory() },
    }).output();
    assert([0, 141].includes(code), `${args[0]}: status ${code}`);
    assertEquals([stdout.length, new TextDecoder().decode(stderr)], [1, ""], args[0]);
  }
});

Deno.test("paths that are not there are named before anything is built or booted", async () => {
  const noTree = "option --kernel-tree takes a kernel source tree, which has a Makefile: found";
  for (
    const command of [["run"], ["kernel"], ["fuzz"], ["faults"], ["bisect", "--patches", "."], ["shell"], [
      "checkpoint",
    ]]
  ) {
    await assertMistake([...command, "--kernel-tree", "none"], `${noTree} "none"`);
    await assertMistake([...command, "--kernel-tree", "."], `${noTree} "."`);
  }
  for (const command of ["run", "kernel", "fuzz"]) {
    const noConfig = "option --kernel-config takes a .config that is there: found";
    await assertMistake([command, "--kernel-config", "none"], `${noConfig} "none"`);
    await assertMistake([command, "--kernel-config", "."], `${noConfig} "."`);
  }
  const noPlace = "option --out takes a file in a directory that is there";
  await assertMistake(["checkpoint", "--out", "none/x", "--", "sh"], noPlace);
  const noInput = "option --stdin takes a file that is there: found";
  await assertMistake(["checkpoint", "--stdin", "none", "--", "sh"], `${noInput} "none"`);
  await assertMistake(["checkpoint", "--stdin", ".", "--", "sh"], `${noInput} "."`);
  await assertMistake(["checkpoint", "--env", "X", "--", "sh"], 'option --env takes NAME=VALUE: found "X"');
  await assertMistake(["kernel-series", "--out", "empty.ckpt"], "no directory for the patches");
  await assertMistake(["run", "--scenario", "."], "the scenario cannot be read");
  await assertMistake(["run", "minimal", "--resume", "--out", "none"], "there is no run to resume in");
});

Deno.test("whatever becomes of standard error, a command ends with its status", async () => {
  for (const place of ["2>/dev/full", "2>&1 >/dev/null | true"]) {
    const { code } = await new Deno.Command("bash", {
      args: ["-c", `timeout 60 deno "$@" ${place}; exit "\${PIPESTATUS[0]}"`, "sh", ...CKPTEST, "x"],
      env: { DENO_DIR: denoDirectory() },
    }).output();
    assertEquals(code, 2, place);
  }
});

Deno.test("mistakes in commands for patches are named before anything is unpacked", async () => {
  await assertMistake(["kernel-series"], "missing: --out");
  await assertMistake(
    ["kernel-series", "--out", "x", "--author", "Ada"],
    `expected "NAME <EMAIL>", found "Ada"`,
  );
  await assertMistake(
    ["kernel-series", "--out", "x", "--author", "A <a@b>", "--date", "soon"],
    `option --date`,
    `found "soon"`,
  );
  await assertMistake(["kernel-series", "--out", "x", "--arch", "i386"], "option --arch goes with --check");
  await assertMistake(["kernel-lint", "--arch", "arm64"], `found "arm64"`);
});

Deno.test("mistakes in image commands are named as well", async () => {
  const noCommit = "option --diff takes a commit of the project";
  await assertMistake(["coverage", "--diff", "no-such-commit", "minimal"], noCommit);
  await assertMistake(["image"], "missing: ACTION and IMAGE");
  await assertMistake(
    ["image", "eat", "cut.ckpt"],
    `ACTION takes show, check, tree, diff, pages, html, build: found "eat"`,
  );
  await assertMistake(["image", "show"], "missing: IMAGE");
  await assertMistake(["image", "show", "cut.ckpt", "empty.ckpt"], `unexpected word "empty.ckpt"`);
  await assertMistake(["image", "check", "nowhere.ckpt"], "nowhere.ckpt cannot be read");
  await assertMistake(["image", "check", "."], ". cannot be read");
  await assertMistake(["image", "show", "."], ". cannot be read");
  await assertMistake(["image", "diff", "appended.bin"], "image diff takes two images: found one");
  await assertMistake(["image", "diff", "a", "b", "c"], `unexpected word "c"`);
  await assertMistake(["image", "diff", "x86_64-mixed.ckpt", "cut.ckpt"], "cut.ckpt: malformed E_TRUNCATED");
  await assertMistake(
    ["image", "diff", "garbage.ckpt", "x86_64-mixed.ckpt"],
    "garbage.ckpt: malformed E_MAGIC",
  );
  await assertMistake(["image", "pages", "x86_64-mixed.ckpt"], "missing: --at ADDRESS");
  const range = ["image", "pages", "x86_64-mixed.ckpt", "--at"];
  for (const at of ["0x", "12g", "2000-1000", "1-1"]) await assertMistake([...range, at], `found "${at}"`);
  await assertMistake(["image", "html", "x86_64-mixed.ckpt"], "missing: --out FILE");
  await assertMistake(["image", "html", "cut.ckpt", "--out", "cut.html"], "cut.ckpt: malformed E_TRUNCATED");
  await assertMistake(["image", "html", "empty.ckpt", "--out", "cut.html"], "empty.ckpt: malformed");
  await assertRejects(() => Deno.stat(join(dir, "cut.html")), Deno.errors.NotFound);
  await assertMistake(["image", "check", "--dialect", "v9", "cut.ckpt"], `found "v9"`);
  await assertMistake(["image", "check", "--offset=-1", "cut.ckpt"], `found "-1"`);
});

Deno.test("a filter that means no scenario is a mistake, also beside others, and names like it are told", async () => {
  await assertMistake(
    ["run", "--filter", "minimall"],
    'no scenario is called "minimall": did you mean minimal?',
  );
  await assertMistake(
    ["run", "minimal", "--filter", "ldt_onee"],
    'no scenario is called "ldt_onee": did you mean',
  );
  await assertMistake(["faults", "/^none$/"], 'no scenario is called "/^none$/"');
  await assertMistake(
    ["coverage", "/[/"],
    'TEXT takes a text or /a regular expression/: found "/[/"',
  );
  await assertMistake(["bisect", "--patches", ".", "--filter", "x y"], 'no scenario is called "x y"');
});

Deno.test("--help and --version may stand anywhere, and completion is written for three shells", async () => {
  for (
    const args of [["--help"], ["run", "--filter", "x", "--help"], ["help", "run"], ["image", "show", "-h"]]
  ) {
    const { code, stdout } = await carryOut(args);
    assertEquals(code, 0, args.join(" "));
    assertMatch(stdout, /^Usage: ckptest /m);
  }
  for (const args of [["--version"], ["run", "--version"], ["version"]]) {
    const { code, stdout } = await carryOut(args);
    assertEquals([code, /^\d+\.\d+\.\d+\n$/.test(stdout)], [0, true], stdout);
  }
  await assertMistake(["help", "rum"], 'no command "rum": did you mean run?');
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await carryOut(["completion", shell]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, "ckptest");
  }
  await assertMistake(["completion", "sch"], "Unsupported shell sch");
  const complete = async (...args: string[]) => (await carryOut(["completion", "bash", ...args])).stdout;
  assertStringIncludes(await complete("run", "--fil"), "--filter");
  assertStringIncludes(await complete("run", "--filter", "ldt_far"), "ldt_far_entries");
  assertStringIncludes(await complete("run", "--accel", ""), "kvm");
  assertStringIncludes(await complete("kern"), "kernel-lint");
});

Deno.test("list shows every scenario with its sentence, for people and as JSON", async () => {
  const { code, stdout, stderr } = await run(["list"]);
  const lines = stdout.trimEnd().split("\n");
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^minimal +[A-Z].*\.$/m);
  const json = await carryOut(["list", "--json"]);
  const scenarios = JSON.parse(json.stdout) as { name: string; about: string }[];
  assertEquals([json.code, `${scenarios.length} scenarios`], [0, lines.at(-1)]);
  assert(scenarios.every(({ name, about }) => stdout.includes(`${name} `) && stdout.includes(about)));
});

Deno.test("mistakes in report commands are named as well", async () => {
  const nightly = join(ROOT, "fixtures", "results", "nightly");
  await assertMistake(["report"], "missing: DIR");
  await assertMistake(["report", nightly, nightly], `unexpected word "${nightly}"`);
  await assertMistake(["report", "nowhere"], "nowhere: no such file or directory");
  await assertMistake(["report", "."], "found neither nightly.json nor results.json");
  await assertMistake(
    ["report", "garbage.ckpt"],
    "expected a directory, or a file nightly.json or results.json",
  );
  await assertMistake(
    ["report", nightly, "--format", "pdf"],
    "option --format takes text, html",
    `found "pdf"`,
  );
  await assertMistake(["report", nightly, "--origin", "My Lab"], "option --origin takes", `found "My Lab"`);
  await assertMistake(["report", nightly, "--out", "no/such/dir"], "no/such/dir cannot be written");
  await Deno.mkdir(join(dir, "old"));
  await Deno.writeTextFile(join(dir, "old", "results.json"), `{"counts":{},"results":[]}`);
  await assertMistake(["report", "old"], "old/results.json: $.schema: expected 1, found nothing");
});

Deno.test("report writes every format to standard output, and with --out to a file", async () => {
  const nightly = join(ROOT, "fixtures", "results", "nightly");
  const starts = {
    text: "nightly run 20261124-0100",
    html: "<!doctype html>\n",
    junit: "<?xml ",
    ktap: "KTAP version 1\n",
    jsonl: `{"event":"run"`,
    kcidb: `{\n  "version": {\n    "major": 5,\n    "minor": 3\n`,
  };
  for (const [format, start] of Object.entries(starts)) {
    const { code, stdout, stderr } = await carryOut(["report", nightly, "--format", format]);
    assertEquals([code, stdout.slice(0, start.length), stderr], [0, start, ""]);
    const words = ["report", join(nightly, "nightly.json"), "--format", format];
    const toFile = await carryOut([...words, "--out", "report.out"]);
    assertEquals([toFile.code, toFile.stdout], [0, ""]);
    const written = await Deno.readTextFile(join(dir, "report.out"));
    const links = [...written.matchAll(/href="([^"#]+\.(?:ckpt|log))"/g)].map(([, to]) => to!);
    assertEquals(links.length > 0, format === "html");
    // From the file they lead to the files that were kept; from standard output the page may go anywhere.
    for (const to of links) assert(stdout.includes(`href="${resolve(dir, to)}"`), to);
    assert(await Promise.all(links.slice(0, 3).map((to) => Deno.stat(resolve(dir, to)))));
    const base = `href="${relative(dir, nightly)}/`;
    assertEquals(written.replaceAll(base, `href="${nightly}/`), stdout);
  }
  assertEquals((await carryOut(["report", nightly])).stdout.slice(0, 11), "nightly run");
});

Deno.test("image check calls a real image valid", async () => {
  for (const name of NAMES) {
    const { code, stdout } = await run(["image", "check", `${name}.ckpt`]);
    assertEquals([code, stdout], [0, `${name}.ckpt: valid\n`]);
  }
  const appended = await carryOut(["image", "check", "appended.bin", "--offset", "3"]);
  assertEquals([appended.code, appended.stdout], [0, "appended.bin: valid\n"]);
});

Deno.test("image check names what is wrong with an image, and ends with status 1", async () => {
  for (
    const [file, id, verdict] of [
      ["cut.ckpt", "E_TRUNCATED", "malformed"],
      ["empty.ckpt", "E_TRUNCATED", "malformed"],
      ["garbage.ckpt", "E_MAGIC_HEAD", "malformed"],
      ["damaged.ckpt", "E_HEAD_FLAGS", "invalid"],
    ] as const
  ) {
    const { code, stdout, stderr } = await carryOut(["image", "check", file]);
    assertEquals([code, stderr], [1, ""], file);
    assertStringIncludes(stdout, `${verdict} ${id} `);
    assert(stdout.endsWith(`${file}: ${verdict}\n`), stdout);
    const json = await carryOut(["image", "check", "--json", file]);
    const parsed = JSON.parse(json.stdout) as { verdict: string; findings: { id: string; path: string }[] };
    assertEquals([json.code, parsed.verdict], [1, verdict]);
    assert(parsed.findings.some((finding) => finding.id === id && finding.path !== ""), json.stdout);
  }
});

Deno.test("image show lets a person see what is in an image", async () => {
  const { code, stdout } = await carryOut(["image", "show", "x86_64-mixed.ckpt"]);
  assertEquals(code, 0);
  for (const text of ["Address space:", "[heap]", "[stack]", "/work/data", "LDT: 4 entries", "Registers"]) {
    assertStringIncludes(stdout, text);
  }
  const tls = await carryOut(["image", "show", "compat-mixed_tls.ckpt"]);
  assertStringIncludes(tls.stdout, "TLS: 2 of 3 entries in use");
  const tree = await carryOut(["image", "tree", "x86_64-mixed.ckpt"]);
  assertEquals(tree.code, 0);
  assertMatch(tree.stdout, /MM_CONTEXT/);
});

Deno.test("image show --json is JSON", async () => {
  const { code, stdout } = await carryOut(["image", "show", "--json", "x86_64-mixed.ckpt"]);
  assertEquals(code, 0);
  assertEquals(typeof JSON.parse(stdout), "object");
});

Deno.test("image diff says what two images differ in, and ends with status 1 then, else with 0", async () => {
  const same = await carryOut(["image", "diff", "x86_64-mixed.ckpt", "x86_64-mixed.ckpt"]);
  assertEquals([same.code, same.stdout], [0, "no difference\n"]);
  const words = ["image", "diff", "x86_64-mixed.ckpt", "damaged.ckpt"];
  const { code, stdout } = await carryOut(words);
  assertEquals([code, stdout], [1, "Head: 1 changed\n  ~ head flags: 0x1 -> 0x7\n"]);
  const json = await carryOut([...words, "--json"]);
  const differences = [{ section: "head", what: "head flags", a: "0x1", b: "0x7" }];
  assertEquals(JSON.parse(json.stdout), {
    ...{ files: words.slice(2), isEqual: false, differences },
    ...{ areas: [], pages: [] },
  });
});

Deno.test("image pages shows what an image has at an address; where it has nothing, the status is 1", async () => {
  const shown = (await carryOut(["image", "show", "x86_64-mixed.ckpt"])).stdout;
  const [, start] = /^ {2}([\da-f]+)-[\da-f]+ .*\[stack\]/m.exec(shown)!;
  const [, top] = /^ {2}[\da-f]+-([\da-f]+) .*\[stack\]/m.exec(shown)!;
  const { code, stdout } = await carryOut(["image", "pages", "x86_64-mixed.ckpt", "--at", `${start}-${top}`]);
  assertEquals(code, 0);
  assertMatch(
    stdout,
    /^0x\w+: page \d+ of mapping .* \[stack\] rw-p: page 0 of task\[0\]\/vma\[\d+\]\/pgarr\[0\], bytes/m,
  );
  const none = await carryOut(["image", "pages", "x86_64-mixed.ckpt", "--at", "0x10"]);
  assertEquals([none.code, none.stdout], [1, "0x0: in no mapping\n"]);
});

Deno.test("triage finds the splats of a kernel log, and ends with status 1 where there is one", async () => {
  const log = (name: string) => join(ROOT, "fixtures", "kernel_logs", `${name}.log`);
  const none = await carryOut(["triage", log("boot_benign")]);
  assertEquals([none.code, none.stdout], [0, `${log("boot_benign")}: 0 distinct splats\n`]);
  const json = await carryOut(["triage", "--json", log("two_same")]);
  const { splats: [splat, ...more] } = JSON.parse(json.stdout);
  assertEquals([json.code, splat.kind, splat.count, more], [1, "WARN", 2, []]);
  // The kernel of this log is a program with one function.
  await Deno.writeTextFile(join(dir, "k.c"), "int cr_broken(int n)\n{\n\treturn n / (n - 1);\n}\n");
  const gcc = ["-g", "-c", "-o", "vmlinux", "k.c"];
  assert((await new Deno.Command("gcc", { args: gcc, cwd: dir }).output()).success);
  const text =
    "WARNING: CPU: 0 PID: 1 at k.c:3 cr_broken+0x4/0x20\nRIP: 0010:cr_broken+0x4/0x20\nCall Trace:\n";
  await Deno.writeTextFile(
    join(dir, "k.log"),
    `Nov 30 08:00:00 host kernel: [ cut here ]\n${text} cr_broken+0x8/0x20\n`,
  );
  const decoded = await carryOut(["triage", "--vmlinux", "vmlinux", "k.log"]);
  assertEquals(decoded.code, 1);
  assertMatch(
    decoded.stdout,
    /^WARNING in cr_broken \[\w+\]\n {2}cr_broken\+0x4\/0x20 +cr_broken at \S*k\.c:\d$/m,
  );
  const piped = await new Deno.Command("bash", {
    args: ["-c", 'deno "$@" < k.log', "sh", ...CKPTEST, "triage", "-"],
    ...{ cwd: dir, env: { DENO_DIR: denoDirectory() } },
  }).output();
  assertMatch(new TextDecoder().decode(piped.stdout), /^-: 1 distinct splat$/m);
  await assertMistake(["triage"], "missing: LOG");
  await assertMistake(["triage", "none.log"], "none.log cannot be read");
  await assertMistake(["triage", "."], ". cannot be read: it is a directory");
  await assertMistake(
    ["triage", "--vmlinux", "k.log", "k.log"],
    "option --vmlinux takes a kernel as the linker left it",
  );
});

Deno.test("image show and tree say why they cannot show a file, and end with status 1", async () => {
  for (const action of ["show", "tree"]) {
    for (const [file, id] of [["garbage.ckpt", "E_MAGIC_HEAD"], ["empty.ckpt", "E_TRUNCATED"]] as const) {
      const { code, stdout } = await carryOut(["image", action, file]);
      assertEquals(code, 1, `${action} ${file}: ${stdout}`);
      assertStringIncludes(stdout, `${file}: malformed ${id}`);
    }
  }
});

Deno.test("image show, tree and check end at the magic of a file that never ends, or is huge", async () => {
  using file = await Deno.open(join(dir, "sparse.ckpt"), { create: true, write: true });
  await file.truncate(20 * 2 ** 30);
  for (const action of ["show", "tree", "check"]) {
    for (const path of ["sparse.ckpt", "/dev/zero"]) {
      const { code, stdout } = await carryOut(["image", action, path]);
      assertEquals(code, 1, stdout);
      assertStringIncludes(stdout, "malformed E_MAGIC_HEAD head.magic at 8");
    }
  }
  await file.truncate(2 ** 43);
  await assertMistake(["restart", "sparse.ckpt"], "sparse.ckpt has 8192.0 GiB, more than the");
  await assertMistake(["restart", "/dev/zero"], "it is no regular file");
});

Deno.test("image show and tree show of an image that is cut what there is, then where and why it ends", async () => {
  const whole = await Deno.readFile(join(dir, "x86_64-mixed.ckpt"));
  await Deno.writeFile(join(dir, "part.ckpt"), whole.subarray(0, whole.length - 1000));
  const shown = await carryOut(["image", "show", "part.ckpt"]);
  assertEquals(shown.code, 1);
  for (const text of ["Address space:", "[heap]", "part.ckpt: malformed E_TRUNCATED task[0]/cpu"]) {
    assertStringIncludes(shown.stdout, text);
  }
  const tree = await carryOut(["image", "tree", "--fields", "part.ckpt"]);
  assertEquals(tree.code, 1);
  for (const text of [".map_count = ", "part.ckpt: malformed E_TRUNCATED"]) {
    assertStringIncludes(tree.stdout, text);
  }
  const json = await carryOut(["image", "show", "--json", "part.ckpt"]);
  const { nodes, error } = JSON.parse(json.stdout);
  assertEquals([json.code, nodes.at(0).name, error.id], [1, "HEAD", "E_TRUNCATED"]);
});

Deno.test("NO_COLOR and TERM change nothing where there is no terminal", async () => {
  const plain = await run(["image", "show", "x86_64-mixed.ckpt"], { TERM: "xterm-256color" });
  const without = await run(["image", "show", "x86_64-mixed.ckpt"], { NO_COLOR: "1" });
  assertEquals(plain, without);
});

Deno.test("paths begin where the user called deno task, which runs us in the project's directory", async () => {
  const tree = join(dir, "some-tree");
  await Deno.mkdir(tree);
  await Deno.writeTextFile(join(tree, "Makefile"), "all:\n");
  const args = ["kernel", "--kernel-tree", "some-tree"];
  const { code, stderr } = await run(args, { INIT_CWD: dir }, { cwd: ROOT });
  assertEquals(code, 3);
  assertStringIncludes(stderr, `${tree} is no kernel source tree`);
});

Deno.test("under --bisect-status a mistake stops git bisect, and what cannot be built is skipped", async () => {
  const statusOf = async (...args: string[]) => (await run(["run", "--bisect-status", ...args])).code;
  assertEquals(await statusOf("--filtre", "minimal"), 128);
  assertEquals(await statusOf("--filter", "no scenario has this name"), 128);
  assertEquals(await statusOf("--kernel-tree", join(dir, "no-such-tree"), "--filter", "minimal"), 128);
  const tree = await Deno.makeTempDir({ dir });
  await Deno.writeTextFile(join(tree, "Makefile"), "all:\n");
  assertEquals(await statusOf("--kernel-tree", tree, "--filter", "minimal"), 125);
  await assertMistake(["run", "--failure", "E_FIELD"], "--failure goes with --bisect-status");
});
