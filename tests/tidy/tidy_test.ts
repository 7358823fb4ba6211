// SPDX-License-Identifier: MIT
import { assertEquals, assertGreater } from "@std/assert";
import { join } from "@std/path";
import { projectFiles, readJson, ROOT } from "./project_files.ts";
import { checkLinks, checkTasks, type ProjectConfig, type ProjectFile, TIDY_RULES } from "./tidy_rules.ts";

function sample(path: string, text: string, rest: Partial<ProjectFile> = {}): ProjectFile {
  return { path, text, size: text.length, executable: false, ...rest };
}

const MIT = "// SPDX-License-Identifier: MIT\n";
const GPL = "// SPDX-License-Identifier: GPL-2.0\n";
const TEST_HEAD = `import { assertEquals } from "@std/assert";\n`;

/** For each rule, files that it must refuse and files that it must let through. */
const SAMPLES: Record<string, { bad: ProjectFile[]; good: ProjectFile[] }> = {
  checkLicence: {
    bad: [
      sample("lib/a.ts", "const a = 1;\n"),
      sample("lib/a.ts", "\n\n\n" + MIT),
      sample("setup", "#!/bin/sh\n"),
      sample("lib/a.ts", "// SPDX-License-Identifier: BSD-2-Clause\n"),
      sample("vm/kernel/overlay/checkpoint/a.c", MIT),
      sample("vm/kernel/hooks/6.1.patch", "--- a/a\n+++ b/a\n"),
      sample("vm/kernel/overlay/checkpoint/Kconfig", "config A\n"),
    ],
    good: [
      sample("lib/a.ts", MIT),
      sample("vm/kernel/overlay/checkpoint/a.c", GPL),
      sample("vm/kernel/overlay/include/uapi/a.h", "/* SPDX-License-Identifier: GPL-2.0 WITH x */\n"),
      sample("setup", "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"),
      sample("README.md", "# A\n"),
      sample("fixtures/logs/a.config", "x\n"),
    ],
  },
  checkFileLength: {
    bad: [
      sample("lib/a.ts", "\n".repeat(401)),
      sample("lib/a_test.ts", "\n".repeat(701)),
      sample("vm/kernel/overlay/a.c", "\n".repeat(701)),
    ],
    good: [
      sample("lib/a.ts", "\n".repeat(400)),
      sample("lib/a_test.ts", "\n".repeat(700)),
      sample("vm/kernel/overlay/a.c", "\n".repeat(700)),
      sample("docs/a.md", "\n".repeat(2000)),
    ],
  },
  checkLineWidth: {
    bad: [sample("lib/a.ts", "x".repeat(121)), sample("vm/a.c", "\t".repeat(14) + "x".repeat(9))],
    good: [
      sample("lib/a.ts", "x".repeat(120)),
      sample("vm/a.c", "\t".repeat(14) + "x".repeat(8)),
      sample("docs/a.md", "x".repeat(300)),
      sample("fixtures/a.c", "x".repeat(300)),
    ],
  },
  checkFileSize: {
    bad: [sample("fixtures/a.ckpt", "", { size: 204_801, text: undefined })],
    good: [sample("fixtures/a.ckpt", "", { size: 204_800, text: undefined })],
  },
  checkTopLevel: {
    bad: [sample("notes.txt", ""), sample("src/a.ts", ""), sample(".cache/a", "")],
    good: [sample("lib/a.ts", ""), sample("README.md", ""), sample(".gitignore", ""), sample(".ci/run", "")],
  },
  checkExecutable: {
    bad: [sample("setup", "#!/bin/sh\n"), sample("lib/a.ts", MIT, { executable: true })],
    good: [sample("setup", "#!/bin/sh\n", { executable: true }), sample("lib/a.ts", MIT)],
  },
  checkTestFile: {
    bad: [
      sample("lib/a_test.ts", `${TEST_HEAD}import { a } from "./a.ts";\n`),
      sample("lib/a_test.ts", `import { a } from "./a.ts";\nDeno.test("a", () => void a);\n`),
      sample("lib/a_test.ts", `${TEST_HEAD}Deno.test("a", () => assertEquals(1, 1));\n`),
    ],
    good: [
      sample(
        "lib/a_test.ts",
        `${TEST_HEAD}import { a } from "./a.ts";\nDeno.test("a", () => assertEquals(a, 1));\n`,
      ),
      sample("lib/std/a/a_test.ts", `${TEST_HEAD}Deno.test("a", () => assertEquals(1, 1));\n`),
      sample("lib/a.ts", ""),
    ],
  },
  checkMarkdown: {
    bad: [
      sample("docs/a.md", "text\n"),
      sample("docs/a.md", "# A\n\n# B\n"),
      sample("docs/a.md", "text\n\n# A\n"),
    ],
    good: [sample("docs/a.md", "# A\n\n## B\n\n```sh\n# comment\n```\n"), sample("lib/a.ts", "text")],
  },
  checkMachinePaths: {
    // Put together here, so that this file does not hold them.
    bad: ["/work" + "/main/a", "/tmp" + "/ck/a", "/root" + "/.cache", "/home" + "/me/a"].map((path) =>
      sample("docs/a.md", `see ${path}\n`)
    ),
    good: [sample("vm/guest/a.c", `chdir("/work"); open("/work/file"); "/tmp/ckptest-1"`)],
  },
  checkWhitespace: {
    bad: [
      sample("lib/a.ts", "a"),
      sample("lib/a.ts", "a\r\n"),
      sample("lib/a.ts", "a \nb\n"),
      sample("vm/kernel/hooks/6.1.patch", " \n a"),
    ],
    good: [
      sample("lib/a.ts", "a\nb\n"),
      sample("vm/kernel/hooks/6.1.patch", " \n a\n"),
      sample("fixtures/log", "a \r\n"),
    ],
  },
};

const FILES = await projectFiles();

Deno.test("the project's files were found", () => {
  assertGreater(FILES.length, 20);
  assertGreater(FILES.filter((file) => file.text !== undefined).length, 20);
});

Deno.test("each tidy rule has samples of what it refuses and of what it lets through", () => {
  assertEquals(Object.keys(SAMPLES).sort(), Object.keys(TIDY_RULES).sort());
});

for (const [name, rule] of Object.entries(TIDY_RULES)) {
  Deno.test(`${name}() knows good samples from bad ones`, () => {
    const { bad = [], good = [] } = SAMPLES[name] ?? {};
    for (const file of bad) assertEquals(rule(file).length, 1, `let through: ${JSON.stringify(file)}`);
    for (const file of good) assertEquals(rule(file), [], `refused: ${JSON.stringify(file)}`);
  });

  Deno.test(`${name}() has no complaint about any file of the project`, () => {
    assertEquals(FILES.flatMap((file) => rule(file).map((complaint) => `${file.path} ${complaint}`)), []);
  });
}

Deno.test("checkTasks() refuses tasks without description, without or with all permissions", () => {
  const check = (tasks: ProjectConfig["tasks"], permissions: ProjectConfig["permissions"] = { vm: {} }) =>
    checkTasks({ imports: {}, tasks, permissions }).length;
  const described = (command: string) => ({ a: { description: "a", command } });
  assertEquals(check({ a: "deno fmt" }), 1);
  assertEquals(check({ a: { command: "deno fmt" } }), 1);
  assertEquals(check(described("deno run -A -P=vm a.ts")), 1);
  assertEquals(check(described("deno run --allow-all -P=vm a.ts")), 1);
  assertEquals(check(described("deno run a.ts")), 1);
  assertEquals(check(described("deno run -P=none a.ts")), 1);
  assertEquals(check({}, { a: { all: true } }), 1);
  assertEquals(check({}, { a: { run: true } }), 1);
  assertEquals(check({ ...described("deno run -q -P=vm a.ts -A1") }, { vm: { run: ["make"] } }), 0);
  assertEquals(check(described("deno lint")), 0);
});

Deno.test("checkLinks() refuses a link that its import would not accept", () => {
  const config = { imports: { "@std/a": "jsr:@std/a@^1.0.2" }, tasks: {}, permissions: {} };
  assertEquals(checkLinks(config, [{ name: "@std/a", version: "1.0.2" }]), []);
  assertEquals(checkLinks(config, [{ name: "@std/a", version: "1.0.3" }]).length, 1);
  assertEquals(checkLinks(config, [{ name: "@std/b", version: "1.0.2" }]).length, 1);
});

Deno.test("deno.json keeps to the rules about tasks and links", async () => {
  const config = await readJson<ProjectConfig>("deno.json");
  assertEquals(checkTasks(config), []);
  const linked = (config.links ?? []).map((link) =>
    readJson<{ name: string; version: string }>(join(link, "deno.json"))
  );
  assertEquals(checkLinks(config, await Promise.all(linked)), []);
});

Deno.test("no script allows Deno everything", async () => {
  for (const path of ["setup", ".ci/run"]) {
    const text = await Deno.readTextFile(join(ROOT, path));
    assertEquals(text.match(/deno .*\s(-A|--allow-all)\b/g), null, path);
  }
});
