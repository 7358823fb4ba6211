// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { imageToJson } from "../../lib/image/image_json.ts";
import { readNodes } from "../../lib/image/image.ts";
import { syntheticImage } from "../../lib/image/testing/synthetic_image.ts";
import { COMMAND_LINES } from "./command_lines.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** What some command lines come to in a directory. */
async function ckptest(
  cwd: string,
  lines: readonly (readonly string[])[],
): Promise<{ code: number; stdout: string; stderr: string }[]> {
  const child = new Deno.Command("deno", {
    args: ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", COMMAND_LINES],
    ...{ cwd, env: { NO_COLOR: "1" }, stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
  await writer.close();
  const { stdout, stderr } = await child.output();
  // What a command prints of its own comes before its line.
  const answers = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith('{"code"'));
  assertEquals(answers.length, lines.length, new TextDecoder().decode(stderr));
  return answers.map((line) => JSON.parse(line));
}

Deno.test("image build makes an image of JSON, and names what is wrong with what it is given", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-image-build-" });
  try {
    const image = syntheticImage();
    const files = { good: JSON.stringify(imageToJson(readNodes(image).nodes)), half: '{"nodes": [' };
    await Deno.writeTextFile(join(dir, "good.json"), files.good);
    await Deno.writeTextFile(join(dir, "half.json"), files.half);
    await Deno.writeTextFile(join(dir, "page.json"), '{"nodes": [{"kind": "page"}]}');
    const build = ["image", "build", "--out", "built.ckpt"];
    const mistakes: readonly (readonly [line: readonly string[], ...says: string[]])[] = [
      [["image", "build", "minimal"], "missing: --out"],
      [["image", "show", "--like", "x", "good.json"], "option --like goes with build"],
      [[...build, "minimall"], 'no scenario "minimall"', "did you mean minimal?"],
      [[...build, "sealed"], "sealed needs Linux 6.12"],
      [[...build, "busybox_sh"], "busybox_sh has no steps"],
      [[...build, "nowhere.json"], "nowhere.json cannot be read"],
      [[...build, "half.json"], "half.json: $: expected JSON"],
      [[...build, "page.json"], "page.json: $.nodes[0].kind: expected one of record", 'found "page"'],
      [[...build, "--stop", "x", "good.json"], "option --stop goes with a scenario, not with good.json"],
      [["image", "build", "good.json", "--out", "no/where"], "no/where cannot be written"],
    ];
    const found = await ckptest(dir, mistakes.map(([line]) => line));
    for (const [i, [line, ...says]] of mistakes.entries()) {
      assertEquals([found[i]!.code, found[i]!.stdout], [2, ""], line.join(" "));
      for (const text of says) assertStringIncludes(found[i]!.stderr, text);
    }
    await assertRejects(() => Deno.stat(join(dir, "built.ckpt")), Deno.errors.NotFound);
    const [built] = await ckptest(dir, [[...build, "good.json"]]);
    assertEquals(built!.code, 0, built!.stderr);
    assertEquals(await Deno.readFile(join(dir, "built.ckpt")), image);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
