// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { syscallNumbersOf } from "./syscall_numbers.ts";

Deno.test("syscallNumbersOf() reads the tables of a tree", async () => {
  const tree = await Deno.makeTempDir();
  const tables = `${tree}/arch/x86/entry/syscalls`;
  try {
    assertEquals(await syscallNumbersOf(tree), undefined);
    await Deno.mkdir(tables, { recursive: true });
    await Deno.writeTextFile(
      `${tables}/syscall_64.tbl`,
      "1\tcommon\twrite\tsys_write\n467 common checkpoint\tsys_x\n",
    );
    await Deno.writeTextFile(
      `${tables}/syscall_32.tbl`,
      "4 i386 write sys_write\n390\ti386\tcheckpointed\tsys_y\n",
    );
    assertEquals(await syscallNumbersOf(tree), { x86_64: 467, i386: 467 });
    await Deno.writeTextFile(`${tables}/syscall_32.tbl`, "466\ti386\tcheckpoint\tsys_checkpoint\n");
    assertEquals(await syscallNumbersOf(tree), { x86_64: 467, i386: 466 });
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});
