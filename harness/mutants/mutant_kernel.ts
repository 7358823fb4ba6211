// SPDX-License-Identifier: MIT

import { editFiles, type OverlayFiles } from "../../vm/kernel/source/kernel_overlay.ts";
import type { Mutant } from "./mutant.ts";

/** The sources of the kernel code, in the order in which one file can include them all. */
const SOURCES = [
  "checkpoint/sys.c",
  "checkpoint/checkpoint.c",
  "checkpoint/ckpt_mem.c",
  "arch/x86/mm/checkpoint.c",
];
const HEADERS = [
  "include/uapi/linux/checkpoint_hdr.h",
  "arch/x86/include/uapi/asm/checkpoint_hdr.h",
  "include/linux/checkpoint.h",
  "checkpoint/checkpoint_compat.h",
  "checkpoint/checkpoint_mem.h",
];
/** The code as it is, among the mutants of a kernel. */
const UNCHANGED = "unchanged";

/** The kernel parameter that makes a mutant live: `cr_mutant=0` is the code as it is, 1 the first mutant. */
export const MUTANT_PARAMETER = "cr_mutant";

/**
 * Files that, laid over the overlay, make a kernel that has all the mutants: each is one source file, in which all
 * symbols that others could see end in its name. The system call goes to the one that {@linkcode MUTANT_PARAMETER}
 * chooses.
 *
 * @throws {BuildError} of stage `apply` when a mutant does not fit the overlay
 */
export async function mutantKernelFiles(
  overlay: OverlayFiles,
  mutants: readonly Pick<Mutant, "name" | "edits">[],
): Promise<Map<string, Uint8Array>> {
  const all = [{ name: UNCHANGED, edits: [] }, ...mutants];
  const names = all.map(({ name }) => name);
  const files = new Map([
    ["checkpoint/Makefile", makefile(names)],
    ["checkpoint/mutants.c", dispatcher(names)],
    // Each mutant has its own; the kernel's Makefile wants one here, too.
    ["arch/x86/mm/checkpoint.c", "// SPDX-License-Identifier: GPL-2.0\n"],
  ]);
  for (const { name, edits } of all) {
    const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    files.set(`checkpoint/mutants/${name}.c`, mutantSource(name, { overlay, edited }));
  }
  const encoder = new TextEncoder();
  return new Map([...files].map(([file, text]) => [file, encoder.encode(text)]));
}

function makefile(names: readonly string[]): string {
  return [
    "# SPDX-License-Identifier: GPL-2.0",
    "ccflags-y := -g -I$(srctree)/checkpoint",
    `obj-y := mutants.o ${names.map((name) => `mutants/${name}.o`).join(" ")}`,
    "",
  ].join("\n");
}

function dispatcher(names: readonly string[]): string {
  return [
    "// SPDX-License-Identifier: GPL-2.0",
    "#include <linux/kernel.h>",
    "#include <linux/moduleparam.h>",
    "#include <linux/syscalls.h>",
    ...names.map((name) => `long ${entryOf(name)}(pid_t pid, int fd, unsigned long flags);`),
    `static unsigned int ${MUTANT_PARAMETER};`,
    `core_param(${MUTANT_PARAMETER}, ${MUTANT_PARAMETER}, uint, 0444);`,
    "static long (*const entries[])(pid_t pid, int fd, unsigned long flags) = {",
    ...names.map((name) => `\t${entryOf(name)},`),
    "};",
    "SYSCALL_DEFINE3(checkpoint, pid_t, pid, int, fd, unsigned long, flags)",
    "{",
    `\tif (${MUTANT_PARAMETER} >= ARRAY_SIZE(entries))`,
    "\t\treturn -ENOSYS;",
    `\treturn entries[${MUTANT_PARAMETER}](pid, fd, flags);`,
    "}",
    "",
  ].join("\n");
}

function entryOf(name: string): string {
  return `checkpoint__${name}`;
}

function mutantSource(
  name: string,
  { overlay, edited }: { overlay: OverlayFiles; edited: OverlayFiles },
): string {
  const decoder = new TextDecoder();
  const textOf = (file: string): string => decoder.decode(edited.get(file) ?? overlay.get(file));
  const globals = HEADERS.flatMap((file) => [...textOf(file).matchAll(/^[a-z][\w *]*?(\w+)\([^;{}]*\);$/gm)])
    .map(([, symbol]) => symbol!);
  return [
    "// SPDX-License-Identifier: GPL-2.0",
    ...globals.map((symbol) => `#define ${symbol} ${symbol}__${name}`),
    // What a mutant changes in a header must come before the header itself, which its guard then leaves out.
    ...HEADERS.filter((file) => edited.has(file)).flatMap((file) => [`#line 1 "${file}"`, textOf(file)]),
    "#include <linux/syscalls.h>",
    "#undef SYSCALL_DEFINE3",
    "#define SYSCALL_DEFINE3(name, type1, arg1, type2, arg2, type3, arg3) \\",
    `\tlong name##__${name}(type1 arg1, type2 arg2, type3 arg3)`,
    ...SOURCES.flatMap((file) => [`#line 1 "${file}"`, textOf(file)]),
  ].join("\n");
}
