// SPDX-License-Identifier: MIT
import { byteText } from "../../../lib/printable.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BuildError } from "./build_error.ts";
import { buildKernel, defaultFragments } from "./build_kernel.ts";

/** Needs no QEMU but a kernel that was built before: from nothing it takes minutes. */
const KERNEL = { arch: "x86_64", source: { kind: "debian", series: "6.1" } } as const;

Deno.test("the project's kernel builds, and its debug information describes the project's objects", async () => {
  const { vmlinux, bootFile, config } = await buildKernel(KERNEL);
  assertStringIncludes(await Deno.readTextFile(config), "CONFIG_PVH=y");
  const [whole, stripped] = await Promise.all([Deno.readFile(vmlinux), Deno.readFile(bootFile)]);
  const text = byteText;
  assert(text(whole).includes(".debug_info"), "vmlinux has no debug information");
  assert(!text(stripped).includes(".debug_info"), "the stripped vmlinux has debug information");
});

Deno.test("a kernel that does not compile is reported by stage, file and line", async () => {
  const find = "#include <linux/syscalls.h>\n";
  const mutations = [{ file: "checkpoint/sys.c", find, replace: `${find}int broken(;\n` }];
  const error = await assertRejects(() => buildKernel({ ...KERNEL, mutations }), BuildError);
  assertEquals(error.stage, "build");
  assertStringIncludes(error.message, "kernel build: make ended with exit status 2");
  assert(/ vm\/kernel\/overlay\/checkpoint\/sys\.c:\d+:\d+: error: /.test(error.message), error.message);
});

Deno.test("an option that this kernel does not keep is reported with what it depends on", async () => {
  const directory = await Deno.makeTempDir();
  try {
    // A fixed name: the build directory is named after it.
    const path = `${directory}/dropped.config`;
    await Deno.writeTextFile(path, "CONFIG_X86_PAE=y\nCONFIG_NO_SUCH_OPTION=y\n");
    const fragments = [...await defaultFragments("x86_64", "plain", "6.1"), path];
    const error = await assertRejects(() => buildKernel({ ...KERNEL, fragments }), BuildError);
    assertEquals(error.stage, "configure");
    assertStringIncludes(error.message, "CONFIG_NO_SUCH_OPTION, CONFIG_X86_PAE");
    assertStringIncludes(error.message, "no Kconfig file of this kernel defines it");
    assertStringIncludes(error.message, "depends on X86_32 && !HIGHMEM4G");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
