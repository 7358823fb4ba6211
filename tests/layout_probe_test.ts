// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  checkVmlinuxLayout,
  LATER_HEADER,
  LATER_TABLES,
  type LayoutTables,
  OVERLAY,
  PORT_TABLES,
  probeLayout,
} from "./layout_probe.ts";

const FLAGS = ["-m64", "-m32"] as const;

for (const flag of FLAGS) {
  Deno.test(`struct tables agree with the kernel overlay's headers, compiled with ${flag}`, async () => {
    const { checked, differences } = await probeLayout(PORT_TABLES, { flag });
    assertEquals(differences, []);
    // 14 structs with 100 members, three numbers each but for three strings, and 23 constants.
    assertEquals([PORT_TABLES.structs.length, checked], [14, 334]);
  });

  Deno.test(`struct tables of patches 8 and 12 agree with C, compiled with ${flag}`, async () => {
    const { checked, differences } = await probeLayout(LATER_TABLES, { flag, header: LATER_HEADER });
    assertEquals(differences, []);
    assertEquals([LATER_TABLES.structs.length, checked], [5, 47]);
  });
}

/** The tables with one struct changed. */
function changed(cName: string, from: string, to: string): LayoutTables {
  const structs = PORT_TABLES.structs.map((desc) =>
    desc.cName !== cName ? desc : JSON.parse(JSON.stringify(desc).replace(from, to))
  );
  return { structs, constants: {} };
}

Deno.test("probeLayout() tells a wrong offset, size, sign and constant", async () => {
  const differences = async (tables: LayoutTables): Promise<readonly string[]> => {
    return (await probeLayout(tables, { flag: "-m32" })).differences;
  };
  assertEquals(await differences(changed("cr_hdr_vma", '"offset":24', '"offset":28')), [
    "cr_hdr_vma.vm_page_prot: offset: the table says 28, C says 24",
  ]);
  assertEquals(await differences(changed("cr_hdr_mm", '"size":96', '"size":104')), [
    "cr_hdr_mm: size: the table says 104, C says 96",
  ]);
  assertEquals(await differences(changed("cr_hdr_thread", '"type":"s16"', '"type":"u16"')), [
    "cr_hdr_thread.gdt_entry_tls_entries: is signed: the table says 0, C says 1",
  ]);
  assertEquals(await differences({ structs: [], constants: { CR_HDR_MM: 202n } }), [
    "CR_HDR_MM: the table says 202, C says 201",
  ]);
});

Deno.test("probeLayout() fails for a member that C does not have", async () => {
  const tables = changed("cr_hdr_tail", '"magic"', '"magick"');
  await assertRejects(() => probeLayout(tables, { flag: "-m64" }), Error, "magick");
});

/** Compiles a file of the overlay's headers with debug information, which stands for a kernel here. */
async function objectWithDebugInfo(folder: string, edit: (header: string) => string): Promise<string> {
  for (const path of ["include/uapi/linux", "arch/x86/include/uapi/asm"]) {
    await Deno.mkdir(join(folder, path), { recursive: true });
    const header = await Deno.readTextFile(join(OVERLAY, path, "checkpoint_hdr.h"));
    await Deno.writeTextFile(join(folder, path, "checkpoint_hdr.h"), edit(header));
  }
  const variables = PORT_TABLES.structs.map(({ cName }) => `struct ${cName} a_${cName};`);
  const source = `#include <linux/checkpoint_hdr.h>\n#include <asm/checkpoint_hdr.h>\n${
    variables.join("\n")
  }\n`;
  await Deno.writeTextFile(join(folder, "all.c"), source);
  const includes = ["include/uapi", "arch/x86/include/uapi"].flatMap((
    path,
  ) => ["-idirafter", join(folder, path)]);
  const object = join(folder, "all.o");
  const { success } = await new Deno.Command("gcc", {
    args: ["-g", ...includes, "-c", "-o", object, join(folder, "all.c")],
  }).output();
  assert(success);
  return object;
}

Deno.test("checkVmlinuxLayout() reads the layout from debug information and tells differences", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ckptest-layout-" });
  try {
    const good = await checkVmlinuxLayout(await objectWithDebugInfo(folder, (header) => header));
    assertEquals([good.differences, good.checked], [[], 114]);
    const edit = (header: string): string => {
      return header.replace("__u64 vm_page_prot;", "__u64 vm_new;\n__u64 vm_page_prot;").replace(
        "__u64 sp;",
        "__u64 esp;",
      );
    };
    const bad = await checkVmlinuxLayout(await objectWithDebugInfo(folder, edit));
    assertEquals(bad.differences, [
      "cr_hdr_cpu.sp: the table says 152+8, the kernel has no such member",
      "cr_hdr_cpu.esp: not in the table",
      "cr_hdr_vma: the table says 48 bytes, the kernel 56",
      "cr_hdr_vma.vm_page_prot: the table says 24+8, the kernel says 32+8",
      "cr_hdr_vma.vm_flags: the table says 32+8, the kernel says 40+8",
      "cr_hdr_vma.vm_pgoff: the table says 40+8, the kernel says 48+8",
      "cr_hdr_vma.vm_new: not in the table",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
