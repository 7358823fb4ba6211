// SPDX-License-Identifier: MIT

import { dirname } from "@std/path";
import { editFiles, type OverlayFiles } from "../../vm/kernel/source/kernel_overlay.ts";
import type { Mutant } from "./mutant.ts";

/** The sources of checkpoint(2), in the order in which one file can include them all. */
const CHECKPOINT_SOURCES = [
  "checkpoint/sys.c",
  "checkpoint/checkpoint.c",
  "checkpoint/ckpt_mem.c",
  "checkpoint/ckpt_signal.c",
  "arch/x86/mm/checkpoint.c",
];
/** Those of restart(2), behind them. */
const RESTART_SOURCES = [
  "checkpoint/restart_sys.c",
  "checkpoint/restart.c",
  "checkpoint/restart_file.c",
  "checkpoint/restart_vma.c",
  "checkpoint/restart_mm.c",
  "checkpoint/restart_signal.c",
  "checkpoint/restart_commit.c",
  "arch/x86/mm/restart.c",
  "arch/x86/mm/restart_regs.c",
  "arch/x86/kernel/fpu/restart.c",
];
const HEADERS = [
  "include/uapi/linux/checkpoint_hdr.h",
  "arch/x86/include/uapi/asm/checkpoint_hdr.h",
  "include/linux/checkpoint.h",
  "include/linux/checkpoint_restart.h",
  "arch/x86/include/asm/fpu/restart.h",
  "arch/x86/mm/restart.h",
  "checkpoint/checkpoint_compat.h",
  "checkpoint/checkpoint_mem.h",
  "checkpoint/restart.h",
  "checkpoint/restart_compat.h",
];
/** A parameter of the kernel, which all mutants share. */
const PARAMETER = /^static (\w+ \w+;)\n(core_param\(.+\);)$/gm;
/** The code as it is, among the mutants of a kernel. */
export const UNCHANGED = "unchanged";

/** The kernel parameter that makes a mutant live: `cr_mutant=0` is the code as it is, 1 the first mutant. */
export const MUTANT_PARAMETER = "cr_mutant";
/** The same in a guest that has booted. */
export const MUTANT_PARAMETER_FILE = `/sys/module/kernel/parameters/${MUTANT_PARAMETER}`;

/** Whether a mutant is one of restart(2): targets must be restarted to meet it. */
export function isOfRestart({ edits }: Pick<Mutant, "edits">): boolean {
  return edits.some(({ file }) => /restart\w*\.[ch]$/.test(file));
}

/**
 * Files that, laid over the overlay, make a kernel that has all the mutants: each is one source file, in which all
 * symbols that others could see end in its name. The system calls go to the one that {@linkcode MUTANT_PARAMETER}
 * chooses; restart(2) to the code as it is, unless it is a mutant of that.
 *
 * @throws {BuildError} of stage `apply` when a mutant does not fit the overlay
 */
export async function mutantKernelFiles(
  overlay: OverlayFiles,
  mutants: readonly Pick<Mutant, "name" | "edits">[],
): Promise<Map<string, Uint8Array>> {
  const all = [{ name: UNCHANGED, edits: [] }, ...mutants];
  const names = all.map(({ name }) => name);
  const restarting = all.filter((mutant) => mutant.name === UNCHANGED || isOfRestart(mutant))
    .map(({ name }) => name);
  const decoder = new TextDecoder();
  const parameters = [...overlay.values()].flatMap((bytes) => [...decoder.decode(bytes).matchAll(PARAMETER)]);
  const files = new Map([
    ["checkpoint/Makefile", makefile(names)],
    ["checkpoint/mutants.c", dispatcher(names, { restarting, parameters })],
    // Each mutant has its own; the kernel's Makefiles want one here, too.
    ...[...CHECKPOINT_SOURCES, ...RESTART_SOURCES].filter((file) => file.startsWith("arch/"))
      .map((file) => [file, "// SPDX-License-Identifier: GPL-2.0\n"] as const),
  ]);
  for (const { name, edits } of all) {
    const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    const sources = [...CHECKPOINT_SOURCES, ...restarting.includes(name) ? RESTART_SOURCES : []];
    files.set(`checkpoint/mutants/${name}.c`, mutantSource(name, { overlay, edited, sources }));
  }
  const encoder = new TextEncoder();
  return new Map([...files].map(([file, text]) => [file, encoder.encode(text)]));
}

function makefile(names: readonly string[]): string {
  return [
    "# SPDX-License-Identifier: GPL-2.0",
    "ccflags-y := -g -I$(srctree)",
    `obj-y := mutants.o ${names.map((name) => `mutants/${name}.o`).join(" ")}`,
    "",
  ].join("\n");
}

function dispatcher(
  names: readonly string[],
  { restarting, parameters }: {
    readonly restarting: readonly string[];
    readonly parameters: readonly RegExpExecArray[];
  },
): string {
  const entries = (call: string, having: readonly string[]) => [
    ...having.map((name) => `long ${call}__${name}(pid_t pid, int fd, unsigned long flags);`),
    `static long (*const ${call}_entries[])(pid_t pid, int fd, unsigned long flags) = {`,
    ...names.map((name) => `\t${call}__${having.includes(name) ? name : UNCHANGED},`),
    "};",
    `SYSCALL_DEFINE3(${call}, pid_t, pid, int, fd, unsigned long, flags)`,
    "{",
    `\tif (${MUTANT_PARAMETER} >= ARRAY_SIZE(${call}_entries))`,
    "\t\treturn -ENOSYS;",
    `\treturn ${call}_entries[${MUTANT_PARAMETER}](pid, fd, flags);`,
    "}",
  ];
  return [
    "// SPDX-License-Identifier: GPL-2.0",
    "#include <linux/kernel.h>",
    "#include <linux/moduleparam.h>",
    "#include <linux/syscalls.h>",
    `static unsigned int ${MUTANT_PARAMETER};`,
    `core_param(${MUTANT_PARAMETER}, ${MUTANT_PARAMETER}, uint, 0644);`,
    ...parameters.flatMap(([, variable = "", parameter = ""]) => [variable, parameter]),
    ...entries("checkpoint", names),
    ...entries("restart", restarting),
    "",
  ].join("\n");
}

function mutantSource(
  name: string,
  { overlay, edited, sources }: {
    readonly overlay: OverlayFiles;
    readonly edited: OverlayFiles;
    readonly sources: readonly string[];
  },
): string {
  const decoder = new TextDecoder();
  // Headers beside a source are named from the tree's root: the file that has all of it lies elsewhere.
  const textOf = (file: string): string =>
    decoder.decode(edited.get(file) ?? overlay.get(file))
      .replaceAll(/^#include "/gm, `#include "${dirname(file)}/`)
      .replaceAll(PARAMETER, "extern $1\n");
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
    ...sources.flatMap((file) => [`#line 1 "${file}"`, textOf(file)]),
  ].join("\n");
}
