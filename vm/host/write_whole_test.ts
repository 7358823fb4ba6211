// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "./errors.ts";
import { writeWhole } from "./write_whole.ts";

async function withDirectory(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function names(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
}

Deno.test("writeWhole() writes a file, or another one in its place", async () => {
  await withDirectory(async (dir) => {
    await writeWhole(`${dir}/x`, Uint8Array.of(1, 2, 3));
    await writeWhole(`${dir}/x`, Uint8Array.of(4));
    assertEquals([await Deno.readFile(`${dir}/x`), await names(dir)], [Uint8Array.of(4), ["x"]]);
  });
});

Deno.test("writeWhole() leaves nothing behind when it cannot write, and names the file", async () => {
  await withDirectory(async (dir) => {
    await assertRejects(() => writeWhole(`${dir}/no/x`, new Uint8Array(1)), UsageError, `${dir}/no/x cannot`);
    await Deno.mkdir(`${dir}/full/x`, { recursive: true });
    await assertRejects(() => writeWhole(`${dir}/full`, new Uint8Array(1)), UsageError, `${dir}/full cannot`);
    assertEquals([await names(dir), await names(`${dir}/full`)], [["full"], ["x"]]);
  });
});
