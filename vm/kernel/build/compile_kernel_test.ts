// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { needsBzImage } from "./compile_kernel.ts";

Deno.test("needsBzImage() knows the PVH entries that do not work", async () => {
  const tree = await Deno.makeTempDir();
  try {
    const entry = `${tree}/arch/x86/platform/pvh`;
    const plain = new Map<string, string>();
    assertEquals(await needsBzImage({ tree, arch: "i386", config: plain }), false, "no such entry at all");
    await Deno.mkdir(entry, { recursive: true });
    await Deno.writeTextFile(`${entry}/head.S`, "\tmov %cr4, %eax\n\torl $X86_CR4_PAE, %eax\n");
    assertEquals(await needsBzImage({ tree, arch: "i386", config: plain }), true);
    assertEquals(await needsBzImage({ tree, arch: "i386-pae", config: plain }), false);
    assertEquals(await needsBzImage({ tree, arch: "x86_64", config: plain }), false);
    assertEquals(
      await needsBzImage({ tree, arch: "x86_64", config: new Map([["CONFIG_KASAN", "y"]]) }),
      true,
    );
    const whole = { tree, arch: "x86_64", isWhole: true } as const;
    assertEquals(await needsBzImage({ ...whole, config: plain }), true);
    assertEquals(await needsBzImage({ ...whole, config: new Map([["CONFIG_PVH", "y"]]) }), false);
    await Deno.writeTextFile(
      `${entry}/head.S`,
      "#if defined(CONFIG_X86_64) || defined(CONFIG_X86_PAE)\n\torl $X86_CR4_PAE, %eax\n#endif\n",
    );
    assertEquals(await needsBzImage({ tree, arch: "i386", config: plain }), false);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});
