// SPDX-License-Identifier: MIT
/** Programs of this host, checkpointed in one guest and restarted in another: they answer what they are asked there. */
import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { findTool } from "../../vm/host/find_tool.ts";
import { normalize, README } from "../docs/generate_readme.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const MAIN = join(ROOT, "harness", "cli", "main.ts");

/** What `ckptest` prints in a directory, whose name is left out. */
async function ckptest(cwd: string, ...args: readonly string[]): Promise<{ code: number; text: string }> {
  const { code, stdout } = await new Deno.Command("deno", {
    args: ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", MAIN, ...args],
    ...{ cwd, env: { NO_COLOR: "1" }, stdin: "null" },
  }).output();
  return { code, text: new TextDecoder().decode(stdout).replaceAll(`${cwd}/`, "") };
}

async function inDirectory(files: Readonly<Record<string, string>>, work: (cwd: string) => Promise<void>) {
  const cwd = await Deno.makeTempDir({ prefix: "ckptest-restart-" });
  try {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(cwd, name), text);
    await work(cwd);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

Deno.test("README.md shows what becomes of python3", async () => {
  const [, block] = /^```console\n([^]*?)^```$/m.exec(await Deno.readTextFile(README)) ?? [];
  const [[, program] = [], ...commands] = block!.split(/^\$ /m).slice(1).map((part) =>
    /^(.*)\n([^]*)$/.exec(part)!.slice(1)
  );
  await inDirectory({ "total.py": program!, before: "1\n2\n", after: "39\n" }, async (cwd) => {
    for (const [command, shown] of commands) {
      const { code, text } = await ckptest(cwd, ...command!.split(" ").slice(1));
      assertEquals([code, normalize(text)], [0, normalize(shown!)]);
    }
  });
});

for (
  const { program, before, after, answer } of [
    {
      program: "dash",
      // Its pid is another one then: a child knows it.
      before: "x=6\ntrap 'echo $((x * 7))' USR1\n",
      after: "dash -c 'kill -USR1 $PPID'\nexit 3\n",
      answer: "ended with exit status 3",
    },
    {
      ...{ program: "sqlite3", before: "create table t(a); insert into t values (6);\n" },
      ...{ after: "select 7 * a from t;\n.quit\n", answer: "ended with exit status 0" },
    },
  ]
) {
  const ignore = await findTool(program) === undefined;
  Deno.test(`${program} knows after its restart what it was told before`, { ignore }, async () => {
    await inDirectory({ before, after }, async (cwd) => {
      const saved = await ckptest(cwd, "checkpoint", "--out", "a", "--stdin", "before", "--", program);
      assertEquals(saved.code, 0, saved.text);
      const { text } = await ckptest(cwd, "restart", "a", "--stdin", "after");
      assertEquals(text, `  | 42\na was restarted, and ${answer}\n`);
      const stopped = await ckptest(cwd, "restart", "a", "--stopped");
      assertEquals(stopped.text, "a was restarted, and is stopped\n");
    });
  });
}
