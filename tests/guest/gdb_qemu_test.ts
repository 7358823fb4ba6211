// SPDX-License-Identifier: MIT
/** gdb in the checkpoint of a scenario: started by us, and attached to a run by hand. */
import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { findTool } from "../../vm/host/find_tool.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const CKPTEST = ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", `${ROOT}harness/cli/main.ts`];
/** A reason in the place of a test where it is not installed (Debian package gdb). */
const ignore = await findTool("gdb") === undefined;
const BREAKPOINT = /^Breakpoint 1, do_checkpoint \(ctx=ctx@entry=0x[\da-f]+\) at \S+\/checkpoint\.c:\d+$/m;

async function gdb(...args: readonly string[]): Promise<{ code: number; text: string }> {
  const command = new Deno.Command("deno", { args: [...CKPTEST, "gdb", ...args], stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

for (const arch of ["x86_64", "i386"]) {
  Deno.test({
    name: `gdb stops in the checkpoint of a stop, with the symbols of kernel and target: ${arch}`,
    ignore,
    async fn() {
      const look = ["-ex", "print ctx->task->pid", "-ex", "info line start"];
      const at = ["--arch", arch, "file_unmounted_again:uncovered"];
      const { code, text } = await gdb(...at, "--", "--batch", ...look);
      assertEquals(code, 0, text);
      assertMatch(text, BREAKPOINT);
      assertMatch(text, /^file_unmounted_again: process \d+, stopped before the checkpoint of "uncovered"$/m);
      assertMatch(text, /^Line \d+ of "\S+\/target\.c" starts at address/m);
    },
  });
}

Deno.test({
  name: "gdb that ends at once ends the guest, with its status",
  ignore,
  async fn() {
    const { code, text } = await gdb("ldt_one", "--", "-iex", "python import os; os._exit(3)");
    assertEquals(code, 3, text);
  },
});

Deno.test({
  name: "run --gdb waits for gdb, and goes on as it does",
  ignore,
  async fn() {
    const out = await Deno.makeTempDir({ prefix: "ckptest-gdb-" });
    const args = [...CKPTEST, "run", "--arch", "x86_64", "--gdb", "--out", `${out}/run`, "ldt_one"];
    const child = new Deno.Command("deno", { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
    const result = new Response(child.stdout).text();
    let told = "";
    let attached: Promise<Deno.CommandOutput> | undefined;
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      told += part;
      const [, command] = /waits for gdb:\n {2}gdb (.*)\n/.exec(told) ?? [];
      if (command === undefined || attached) continue;
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
      const more = ["--batch", ...["bt", "delete", "detach"].flatMap((word) => ["-ex", word])];
      attached = new Deno.Command("gdb", { args: [...words, ...more], stdin: "null" }).output();
    }
    assertMatch(new TextDecoder().decode((await attached)?.stdout), BREAKPOINT);
    assertMatch(await result, /^ok +x86_64 +ldt_one /m, told);
    assertEquals((await child.status).code, 0);
    await Deno.remove(out, { recursive: true });
  },
});
