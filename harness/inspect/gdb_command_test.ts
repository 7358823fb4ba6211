// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { gdbCommand } from "./gdb_command.ts";

Deno.test("gdbCommand() has gdb load the kernel's scripts where they stand beside vmlinux", async () => {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-gdb-" });
  try {
    const vmlinux = join(directory, "vmlinux");
    const loads = async (): Promise<boolean> =>
      (await gdbCommand({ target: "x86_64", vmlinux }, "/socket")).includes(`source ${vmlinux}-gdb.py`);
    assertEquals(await loads(), false);
    await Deno.writeTextFile(`${vmlinux}-gdb.py`, "");
    assertEquals(await loads(), true);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
