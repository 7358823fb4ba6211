// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { findTool, MissingToolError, requireTools } from "./find_tool.ts";

Deno.test("findTool() finds only files that may be run", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/run`, "", { mode: 0o755 });
    await Deno.writeTextFile(`${dir}/text`, "", { mode: 0o644 });
    await Deno.mkdir(`${dir}/folder`);
    assertEquals(await findTool("run", `/nonexistent:${dir}`), `${dir}/run`);
    assertEquals(await findTool("text", dir), undefined);
    assertEquals(await findTool("folder", dir), undefined);
    assertEquals(await findTool(`${dir}/run`, ""), `${dir}/run`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("requireTools() names every missing tool, its package and ./setup", async () => {
  const error = await assertRejects(
    () => requireTools(["flex", "sh", "no-such-tool"], "/nonexistent"),
    MissingToolError,
  );
  assert(/flex \(Debian package flex\), sh\b.*, no-such-tool;/.test(error.message), error.message);
  assert(error.message.includes("./setup"), error.message);
  await requireTools(["sh"]);
});
