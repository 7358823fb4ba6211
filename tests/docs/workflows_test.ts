// SPDX-License-Identifier: MIT
/**
 * What the workflows for GitHub call is there: nobody runs them before others do.
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const WORKFLOWS = join(ROOT, ".github", "workflows");
const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
  tasks: Record<string, { command: string }>;
};

/** Command lines of tasks in a workflow, with those that a backslash continues. */
function taskLines(text: string): string[][] {
  const lines = text.replaceAll(/\\\n\s*/g, " ").matchAll(/\bdeno task ([^\n|&;]+)/g);
  return [...lines].map(([, line]) => line!.trim().split(/\s+/));
}

/** What is wrong with the tasks, commands and options that a workflow calls. */
async function problems(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const [name = "", ...args] of taskLines(text)) {
    const task = tasks[name];
    if (!task) {
      found.push(`no task ${name}`);
      continue;
    }
    const [, of] = /harness\/cli\/main\.ts(.*)$/.exec(task.command) ?? [];
    if (of === undefined) continue;
    const command = of.trim() || args[0]!;
    const help = await new Deno.Command("deno", {
      args: [
        "run",
        "-q",
        `--config=${ROOT}deno.json`,
        "-P=vm",
        `${ROOT}harness/cli/main.ts`,
        command,
        "--help",
      ],
      env: { NO_COLOR: "1" },
    }).output();
    const known = new TextDecoder().decode(help.stdout);
    if (help.code !== 0) found.push(`no command ${command}`);
    for (const option of args.flatMap((arg) => /^--[a-z-]+/.exec(arg) ?? [])) {
      if (!new RegExp(`${option}(?![\\w-])`).test(known)) found.push(`${command} has no option ${option}`);
    }
  }
  return found;
}

Deno.test("each task, command and option in a workflow is there", async () => {
  const names = [...Deno.readDirSync(WORKFLOWS)].map(({ name }) => name).sort();
  assertEquals(names, ["nightly.yml", "pull_request.yml"]);
  for (const name of names) {
    const text = await Deno.readTextFile(join(WORKFLOWS, name));
    assert(taskLines(text).length > 1, name);
    assertEquals(await problems(text), [], name);
  }
});

Deno.test("a task, a command and an option that are not there are found", async () => {
  const text = "run: deno task nothing\nrun: deno task nightly --only x --nope\n  deno task ckptest feport x";
  assertEquals(await problems(text), [
    "no task nothing",
    "nightly has no option --nope",
    "no command feport",
  ]);
});
