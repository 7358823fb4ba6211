// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { needsBzImage } from "./needs_bz_image.ts";

Deno.test("needsBzImage() knows the PVH entries that do not work", async () => {
  const tree = await Deno.makeTempDir();
  try {
    const entry = `${tree}/arch/x86/platform/pvh`;
    const plain = new Map<string, string>();
    assertEquals(await needsBzImage(tree, "i386", plain), false, "no such entry at all");
    await Deno.mkdir(entry, { recursive: true });
    await Deno.writeTextFile(`${entry}/head.S`, "\tmov %cr4, %eax\n\torl $X86_CR4_PAE, %eax\n");
    assertEquals(await needsBzImage(tree, "i386", plain), true);
    assertEquals(await needsBzImage(tree, "i386-pae", plain), false);
    assertEquals(await needsBzImage(tree, "x86_64", plain), false);
    assertEquals(await needsBzImage(tree, "x86_64", new Map([["CONFIG_KASAN", "y"]])), true);
    await Deno.writeTextFile(
      `${entry}/head.S`,
      "#if defined(CONFIG_X86_64) || defined(CONFIG_X86_PAE)\n\torl $X86_CR4_PAE, %eax\n#endif\n",
    );
    assertEquals(await needsBzImage(tree, "i386", plain), false);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});
