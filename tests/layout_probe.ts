// SPDX-License-Identifier: MIT
/**
 * Holds the struct tables of lib/image against C: against the headers of the kernel overlay, compiled for
 * each architecture, and against the debug information of a built kernel. Neither side is made from the
 * other.
 *
 * @module
 */
import { endProgram } from "./end_program.ts";
import { dirname, fromFileUrl, join } from "@std/path";
import { HEAD_MAGIC, PIDS, RECORD_HEADER, TAIL_MAGIC, VMA_TYPE } from "../lib/image/structs.ts";
import { isStruct, type RecordDesc, RECORDS } from "../lib/image/records.ts";
import type { FieldDesc, StructDesc } from "../lib/image/struct_desc.ts";

/** The kernel overlay of this project. */
export const OVERLAY = fromFileUrl(new URL("../vm/kernel/overlay/", import.meta.url));

/** The structs and numbers that one C header has. */
export interface LayoutTables {
  readonly structs: readonly StructDesc[];
  readonly constants: Readonly<Record<string, bigint>>;
}

function payloads(since: (desc: RecordDesc) => boolean): StructDesc[] {
  const descs: RecordDesc[] = Object.values(RECORDS);
  return descs.filter(since).map(({ payload }) => payload).filter(isStruct);
}

function isLater({ since }: RecordDesc): boolean {
  return since === "patch 8" || since === "patch 12";
}

function recordConstants(): Record<string, bigint> {
  const descs: [string, RecordDesc][] = Object.entries(RECORDS).filter(([, desc]) => !isLater(desc));
  return Object.fromEntries(descs.map(([name, { type = -1 }]) => [`CR_HDR_${name}`, BigInt(type)]));
}

/** What the headers of the overlay state. */
export const PORT_TABLES: LayoutTables = {
  structs: [RECORD_HEADER, ...payloads((desc) => !isLater(desc))],
  constants: {
    ...recordConstants(),
    CR_HDR_HEAD_MAGIC: HEAD_MAGIC,
    CR_HDR_TAIL_MAGIC: TAIL_MAGIC,
    CR_VERSION: 100n,
    CR_VMA_ANON: BigInt(VMA_TYPE.ANON),
    CR_VMA_FILE: BigInt(VMA_TYPE.FILE),
    CR_VMA_SPECIAL: BigInt(VMA_TYPE.SPECIAL),
  },
};

/** What patches 8 and 12 of v11 add. The port has none of it. */
export const LATER_TABLES: LayoutTables = {
  structs: [PIDS, ...payloads(isLater)],
  constants: {},
};

/** Those structs in C, as the patches declare them: the order and types of members, alignment, no more. */
export const LATER_HEADER = `
struct cr_hdr_tree { __u32 tasks_nr; } __attribute__((aligned(8)));
struct cr_hdr_pids { __s32 vpid; __s32 vtgid; __s32 vppid; } __attribute__((aligned(8)));
struct cr_hdr_files { __u32 objref; __u32 nfds; } __attribute__((aligned(8)));
struct cr_hdr_fd_ent { __u32 objref; __s32 fd; __u32 close_on_exec; } __attribute__((aligned(8)));
struct cr_hdr_fd_data {
  __u16 fd_type; __u16 f_mode; __u32 f_flags; __u64 f_pos; __u64 f_version;
} __attribute__((aligned(8)));
`;

/** One number that C knows. */
interface Probe {
  readonly what: string;
  /** The C expression. */
  readonly expression: string;
  readonly expected: bigint;
}

function fieldProbes({ cName }: StructDesc, field: FieldDesc): Probe[] {
  if (field.padding === "tail") return [];
  const what = `${cName}.${field.name}`;
  const member = `((struct ${cName} *)0)->${field.name}`;
  const probes = [
    {
      what: `${what}: offset`,
      expression: `offsetof(struct ${cName}, ${field.name})`,
      expected: BigInt(field.offset),
    },
    { what: `${what}: size`, expression: `sizeof(${member})`, expected: BigInt(field.size) },
  ];
  if (field.type.startsWith("char")) return probes;
  const expected = field.type.startsWith("s") ? 1n : 0n;
  return [...probes, { what: `${what}: is signed`, expression: `(__typeof__(${member}))-1 < 1`, expected }];
}

function probesOf({ structs, constants }: LayoutTables): Probe[] {
  return [
    ...structs.flatMap((desc) => [
      {
        what: `${desc.cName}: size`,
        expression: `sizeof(struct ${desc.cName})`,
        expected: BigInt(desc.size),
      },
      ...desc.fields.flatMap((field) => fieldProbes(desc, field)),
    ]),
    ...Object.entries(constants).map(([name, expected]) => ({ what: name, expression: name, expected })),
  ];
}

function probeSource(probes: readonly Probe[], includes: string): string {
  const numbers = probes.map(({ expression }) => `\t(unsigned long long)(${expression}),`);
  return [
    "#include <stddef.h>",
    "#include <linux/types.h>",
    includes,
    'const unsigned long long layout[] __attribute__((section(".layout"), used)) = {',
    ...numbers,
    "};",
    "",
  ].join("\n");
}

async function run(command: string, args: readonly string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (success) return stdout;
  throw new Error(`${command} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
}

/** How to compile a probe. */
interface ProbeOptions {
  /** `-m64` or `-m32`. */
  readonly flag: "-m64" | "-m32";
  /** Folder that mirrors the kernel tree, with the headers. */
  readonly overlay?: string;
  /** C text after the includes, instead of the overlay's headers. */
  readonly header?: string;
}

/** What came of a probe: how many numbers were compared, and those that differ. */
interface ProbeResult {
  readonly checked: number;
  readonly differences: readonly string[];
}

const OVERLAY_INCLUDES = "#include <linux/checkpoint_hdr.h>\n#include <asm/checkpoint_hdr.h>";

/**
 * Compiles an object that holds every size, offset, signedness and constant of the tables, for one
 * architecture, and compares the numbers with the tables.
 *
 * @throws {Error} when the probe cannot be compiled, e.g. for a member that C does not have
 */
export async function probeLayout(tables: LayoutTables, options: ProbeOptions): Promise<ProbeResult> {
  const probes = probesOf(tables);
  const overlay = options.overlay ?? OVERLAY;
  const folder = await Deno.makeTempDir({ prefix: "ckptest-layout-" });
  try {
    const source = join(folder, "probe.c");
    const object = join(folder, "probe.o");
    const numbers = join(folder, "probe.bin");
    await Deno.writeTextFile(source, probeSource(probes, options.header ?? OVERLAY_INCLUDES));
    const folders = [
      join(overlay, "include/uapi"),
      join(overlay, "arch/x86/include/uapi"),
      await systemHeaders(),
    ];
    const includes = folders.flatMap((path) => ["-idirafter", path]);
    await run("gcc", [
      options.flag,
      "-std=gnu11",
      "-Wall",
      "-Werror",
      ...includes,
      "-c",
      "-o",
      object,
      source,
    ]);
    await run("objcopy", ["-O", "binary", "--only-section=.layout", object, numbers]);
    const bytes = await Deno.readFile(numbers);
    return compareNumbers(probes, new BigUint64Array(bytes.buffer));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The folder of the compiler's <asm/types.h>: -m32 does not look there by itself. */
async function systemHeaders(): Promise<string> {
  const target = new TextDecoder().decode(await run("gcc", ["-print-multiarch"])).trim();
  return join("/usr/include", target);
}

function compareNumbers(probes: readonly Probe[], numbers: BigUint64Array): ProbeResult {
  const differences = probes.flatMap(({ what, expected }, i) => {
    const actual = numbers[i];
    return actual === expected ? [] : [`${what}: the table says ${expected}, C says ${actual}`];
  });
  if (numbers.length !== probes.length) {
    differences.push(`the object holds ${numbers.length} numbers, not ${probes.length}`);
  }
  return { checked: probes.length, differences };
}

/** Members of a struct as pahole prints them: name to offset and size. */
function parsePahole(text: string): { size: number; members: Map<string, [offset: number, size: number]> } {
  const members = new Map<string, [number, number]>();
  for (
    const [, name = "", offset, size] of text.matchAll(/(\w+)(?:\[\d+\])?;\s*\/\*\s*(\d+)\s+(\d+)\s*\*\//g)
  ) {
    members.set(name, [Number(offset), Number(size)]);
  }
  return { size: Number(/\/\* size: (\d+),/.exec(text)?.[1] ?? -1), members };
}

function compareStruct(desc: StructDesc, text: string): string[] {
  const { size, members } = parsePahole(text);
  const differences: string[] = [];
  if (size !== desc.size) {
    differences.push(`${desc.cName}: the table says ${desc.size} bytes, the kernel ${size}`);
  }
  for (const { name, offset, size: bytes, padding } of desc.fields) {
    if (padding === "tail") continue;
    const member = members.get(name);
    members.delete(name);
    if (member?.[0] === offset && member[1] === bytes) continue;
    const actual = member === undefined ? "has no such member" : `says ${member[0]}+${member[1]}`;
    differences.push(`${desc.cName}.${name}: the table says ${offset}+${bytes}, the kernel ${actual}`);
  }
  for (const name of members.keys()) differences.push(`${desc.cName}.${name}: not in the table`);
  return differences;
}

/** Structs that a kernel uses, and hence has debug information of: a 32-bit one has no bases of fs and gs. */
async function structsUsedBy(vmlinux: string): Promise<StructDesc[]> {
  using file = await Deno.open(vmlinux);
  const ident = new Uint8Array(5);
  await file.read(ident);
  const is32 = ident[4] === 1;
  return PORT_TABLES.structs.filter(({ cName }) => !is32 || cName !== "cr_hdr_x86_fsgsbase");
}

/**
 * Compares the struct tables with the debug information of a built kernel, by pahole.
 *
 * @param vmlinux path of a kernel, or of an object, with DWARF of the checkpoint code
 * @throws {Error} when pahole finds one of the structs not at all
 */
export async function checkVmlinuxLayout(vmlinux: string): Promise<ProbeResult> {
  const differences: string[] = [];
  let checked = 0;
  for (const desc of await structsUsedBy(vmlinux)) {
    const text = new TextDecoder().decode(await run("pahole", ["-C", desc.cName, vmlinux]));
    if (!text.includes(`struct ${desc.cName} {`)) {
      throw new Error(
        `${vmlinux}: pahole finds no struct ${desc.cName}; was it built with CONFIG_DEBUG_INFO?`,
      );
    }
    differences.push(...compareStruct(desc, text));
    checked += 1 + desc.fields.filter(({ padding }) => padding !== "tail").length;
  }
  return { checked, differences };
}

if (import.meta.main) {
  await endProgram(async () => {
    const vmlinux = Deno.args[0];
    if (vmlinux === undefined) {
      console.error(`usage: deno run -P=test tests/layout_probe.ts VMLINUX`);
      return 2;
    }
    const { checked, differences } = await checkVmlinuxLayout(vmlinux);
    for (const difference of differences) console.log(difference);
    console.log(`${dirname(vmlinux)}: ${checked} sizes and offsets, ${differences.length} differences`);
    return differences.length > 0 ? 1 : 0;
  });
}
