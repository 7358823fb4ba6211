// SPDX-License-Identifier: MIT
/** The samples of `docs/images.md` are what the commands print. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const MAIN = ["run", "-q", "-P=vm", join(ROOT, "harness/cli/main.ts")];

const page = await Deno.readTextFile(join(ROOT, "docs/images.md"));
const samples = [...page.matchAll(/^```console\n\$ ckptest (.*)\n([^`]*)^```$/gm)];

async function print(args: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: [...MAIN, ...args.split(" ")],
    cwd: ROOT,
  })
    .output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stderr), "", args);
  return decoder.decode(stdout);
}

Deno.test("each sample of docs/images.md is what its command prints", async () => {
  assert(samples.length > 0);
  const directory = await Deno.makeTempDir();
  for (const [, args = "", text = ""] of samples) {
    const printed = (await print(args.replaceAll("/tmp/", `${directory}/`))).replaceAll(directory, "/tmp");
    // What is left out of a long output stands for any lines.
    const parts = text.split(/^\.\.\.\n/m);
    let at = 0;
    for (const part of parts) {
      const found = printed.indexOf(part, at);
      assert(found >= 0, `${args}: expected\n${part}\nin\n${printed}`);
      at = found + part.length;
    }
    if (parts.length === 1) assertEquals(printed, text, args);
  }
  await Deno.remove(directory, { recursive: true });
});
