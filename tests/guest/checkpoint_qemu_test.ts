// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { findTool } from "../../vm/host/find_tool.ts";

const PROJECT = join(import.meta.dirname!, "..", "..");

/** `checkpoint` as a user has it, who stands in a directory. */
async function checkpoint(cwd: string, args: readonly string[]): Promise<{ code: number; text: string }> {
  const command = ["task", "-q", "--config", join(PROJECT, "deno.json"), "ckptest", "checkpoint", ...args];
  const output = await new Deno.Command("deno", { args: command, cwd, env: { NO_COLOR: "1", INIT_CWD: cwd } })
    .output();
  const [out, err] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code: output.code, text: `${out}${err}` };
}

async function compile(dir: string, name: string, source: string, ...options: string[]): Promise<void> {
  await Deno.writeTextFile(join(dir, `${name}.c`), source);
  const args = [...options, "-O0", "-o", name, `${name}.c`];
  const { success, stderr } = await new Deno.Command("gcc", { args, cwd: dir }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

const ECHO = `#include <stdio.h>
int main(int count, char **words) {
  FILE *file = fopen("beside.txt", "r");
  char text[64] = "";
  if (file) fgets(text, sizeof(text), file);
  printf("beside: %s\\n", text);
  while (fgets(text, sizeof(text), stdin)) printf("read %s", text), fflush(stdout);
}
`;

Deno.test("checkpoint saves programs of this host, or says in a sentence why not", async (t) => {
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "ckptest user's Über " });
  try {
    for (const name of ["bash", "perl", "sqlite3"]) {
      if (await findTool(name) === undefined) continue;
      await t.step(name, async () => {
        const { code, text } = await checkpoint(dir, ["--", name]);
        assertEquals(code, 0, text);
        assertMatch(text, new RegExp(`^${name}\\.ckpt: .* 0 unexplained$`, "m"));
        assertEquals(await exists(join(dir, `${name}.ckpt`)), true);
      });
    }
    await t.step("a relative path below /tmp, a file beside it, input, and what it printed", async () => {
      await compile(dir, "echo", ECHO);
      await Deno.writeTextFile(join(dir, "beside.txt"), "here");
      await Deno.writeTextFile(join(dir, "in"), Array.from({ length: 20_000 }, (_, i) => `${i}\n`).join(""));
      const { code, text } = await checkpoint(dir, ["--stdin", "in", "--", "./echo"]);
      assertEquals(code, 0, text);
      for (const line of ["  | beside: here", "  | read 4000", "  | (it printed more)"]) {
        assertStringIncludes(text, line);
      }
    });
    await t.step("a 32-bit program", async () => {
      await compile(dir, "narrow", "#include <unistd.h>\nint main(void) { pause(); }\n", "-m32");
      const { code, text } = await checkpoint(dir, ["--", "./narrow"]);
      assertEquals(code, 0, text);
    });
    await t.step("a program that never waits", async () => {
      await compile(dir, "spin", "int main(void) { for (;;); }\n");
      const { code, text } = await checkpoint(dir, ["--after", "1s", "--", "./spin"]);
      assertEquals(code, 0, text);
      assertStringIncludes(text, "spin never waited, and was stopped after 1.0 s");
      // It tells its break and its LDT as one that waits does.
      await compile(dir, "rest", "#include <unistd.h>\nint main(void) { pause(); }\n");
      const rested = await checkpoint(dir, ["--", "./rest"]);
      const volatile = /[\d,]+ volatile/;
      assertEquals(volatile.exec(text)?.[0], volatile.exec(rested.text)?.[0]);
    });
    await t.step("threads and shared memory are refused, and leave no image", async () => {
      const source = "#include <pthread.h>\n#include <sys/mman.h>\n#include <unistd.h>\n" +
        "static void *wait(void *x) { pause(); return x; }\n";
      await compile(
        dir,
        "threads",
        `${source}int main(void) { pthread_t t; pthread_create(&t, 0, wait, 0); pause(); }\n`,
        "-pthread",
      );
      await compile(dir, "shared", `${source}int main(void) { mmap(0, 4096, 3, 0x21, -1, 0); wait(0); }\n`);
      for (
        const [name, sentence] of [
          ["threads", /^threads has 2 threads: checkpoint\(2\) refuses those, EOPNOTSUPP$/m],
          ["shared", /^shared maps shared memory, .*: checkpoint\(2\) refuses those, ENOSYS$/m],
        ] as const
      ) {
        const { code, text } = await checkpoint(dir, ["--", `./${name}`]);
        assertEquals(code, 1, text);
        assertMatch(text, sentence);
        assertEquals(await exists(join(dir, `${name}.ckpt`)), false);
      }
    });
    await t.step("a program that cannot be stopped", async () => {
      await compile(dir, "waits", "#include <unistd.h>\nint main(void) { if (vfork() == 0) pause(); }\n");
      const { code, text } = await checkpoint(dir, ["--after", "1s", "--", "./waits"]);
      assertEquals(code, 2, text);
      assertStringIncludes(text, "waits cannot be stopped: it waits where no signal reaches it");
    });
    await t.step("a program that ends", async () => {
      const { code, text } = await checkpoint(dir, ["--env", "A=b c", "--", "sh", "-c", 'echo "$A"; exit 3']);
      assertEquals(code, 2, text);
      assertStringIncludes(text, "  | b c\n");
      assertStringIncludes(text, "ended before it could be checkpointed (exit status 3)\n");
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
