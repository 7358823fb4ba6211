// SPDX-License-Identifier: MIT
/**
 * Fills the tables of docs/format.md from those of lib/image: structs, record types, flags, rules. Run it as
 * a program to write the page; a test compares the page with what it makes.
 *
 * @module
 */
import { fromFileUrl } from "@std/path";
import { abiOf, KERNEL_ARCHES, type KernelArch, pagesPerChunk } from "../../lib/abi/arch.ts";
import { pageProt } from "../../lib/abi/page_prot.ts";
import { KERNEL_SERIES } from "../../lib/abi/series.ts";
import { vmFlagTable } from "../../lib/abi/vm_flags.ts";
import { OPAQUE_BITS } from "../../lib/image/testing/opaque_bits.ts";
import { HEAD_MAGIC, PIDS, RECORD_HEADER, TAIL_MAGIC } from "../../lib/image/structs.ts";
import { isStruct, RECORD_NAMES, type RecordName, RECORDS } from "../../lib/image/records.ts";
import { type RuleId, ruleInfo, RULES } from "../../lib/image/rule_ids.ts";
import type { StructDesc } from "../../lib/image/struct_desc.ts";

/** Where the page lies. */
export const FORMAT_DOCS = fromFileUrl(new URL("../../docs/format.md", import.meta.url));

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
}

function table(titles: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [row(titles), `|${"---|".repeat(titles.length)}`, ...rows.map(row)].join("\n") + "\n";
}

function structTable(desc: StructDesc): string {
  const rows = desc.fields.map(({ offset, size, type, name, doc, padding }) => {
    const field = padding === "tail" ? "*(added by the compiler)*" : `\`${name}\``;
    return [offset, size, type, field, doc];
  });
  return table(["offset", "bytes", "type", "field", ""], rows);
}

function hex(value: bigint, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

function recordList(): string {
  const rows = RECORD_NAMES.map((name) => {
    const desc = RECORDS[name];
    const { payload } = desc;
    const length = isStruct(payload) ? String(payload.size) : `${payload.min} to ${payload.max}`;
    return [`\`${name}\``, desc.type ?? "", desc.typeWithTree ?? "", length, desc.since];
  });
  const titles = ["record", "type", "with TREE", "payload bytes", "since"];
  return table(titles, rows);
}

function recordSection(name: RecordName): string {
  const { payload, type, typeWithTree, raw } = RECORDS[name];
  const number = type === undefined ? typeWithTree : type;
  const title = isStruct(payload) ? `\`struct ${payload.cName}\`, ${payload.size} bytes` : "plain bytes";
  const body = isStruct(payload)
    ? structTable(payload)
    : `${payload.min} to ${payload.max} bytes: ${payload.doc}.\n`;
  const after = raw === undefined ? "" : `\nFollowed by raw bytes: ${raw}.\n`;
  const pids = name === "TREE"
    ? `\n\`struct ${PIDS.cName}\`, ${PIDS.size} bytes:\n\n${structTable(PIDS)}`
    : "";
  return `### ${name} (${number}): ${title}\n\n${body}${after}${pids}`;
}

function records(): string {
  const header = `### Record header: \`struct ${RECORD_HEADER.cName}\`, ${RECORD_HEADER.size} bytes\n\n`;
  const magics = `\nMagic numbers: HEAD ${hex(HEAD_MAGIC, 16)}, TAIL ${hex(TAIL_MAGIC, 16)}.\n`;
  return [header + structTable(RECORD_HEADER) + magics, ...RECORD_NAMES.map(recordSection)]
    .join("\n");
}

function architectures(): string {
  const rows = KERNEL_ARCHES.map((arch) => {
    const abi = abiOf(arch);
    return [
      arch,
      abi.wordSize,
      pagesPerChunk(abi.wordSize),
      `${abi.firstTlsSlot} to ${abi.firstTlsSlot + 2}`,
      hex(abi.userLimit),
    ];
  });
  return table([
    "kernel",
    "bytes of a page address",
    "pages of a full chunk",
    "TLS slots in the GDT",
    "end of user space",
  ], rows);
}

function flagRows(): (string | number)[][] {
  const names = KERNEL_SERIES.map((series) => {
    const byBit = new Map(Object.entries(vmFlagTable(series, 8).bits).map(([name, bit]) => [bit, name]));
    return (bit: bigint): string => byBit.get(bit) ?? "";
  });
  const rows: (string | number)[][] = [];
  for (let i = 0n; i < 64n; i++) {
    const cells = names.map((nameOf) => nameOf(1n << i));
    if (cells.some((cell) => cell !== "")) rows.push([Number(i), hex(1n << i), ...cells]);
  }
  return rows;
}

function pageProtRows(): (string | number)[][] {
  return KERNEL_SERIES.flatMap((series) =>
    PERMISSIONS.map(([kind, flags]) => [
      series,
      kind,
      ...PAGE_TABLES.map(([, arch, nx]) => {
        return series === "2.6.28" && arch === "x86_64" ? "" : hex(pageProt(flags, { series, arch, nx }));
      }),
    ])
  );
}

const PERMISSIONS: readonly (readonly [string, bigint])[] = [
  ["none", 0x70n],
  ["r--, rw-", 0x73n],
  ["r-x, rwx", 0x77n],
];

const PAGE_TABLES: readonly (readonly [string, KernelArch, boolean])[] = [
  ["x86-64", "x86_64", true],
  ["x86-64, no NX", "x86_64", false],
  ["i386", "i386", true],
  ["i386-pae with NX", "i386-pae", true],
];

function ruleList(): string {
  const rows = (Object.keys(RULES) as RuleId[]).map((id) => {
    const { verdict, doc, only, source } = ruleInfo(id);
    return [`\`${id}\``, verdict, doc, only ?? "both", source];
  });
  return table(["id", "verdict", "found when", "dialect", "because of"], rows);
}

function opaqueBits(): string {
  const places = new Map<string, string[]>();
  for (const { where, mask, why, dialect } of OPAQUE_BITS) {
    // Fields that differ in nothing but their name share a row.
    const key = JSON.stringify([hex(mask), dialect ?? "both", why]);
    places.set(key, [...places.get(key) ?? [], `\`${where}\``]);
  }
  const rows = [...places].map(([key, where]) => [where.join(" "), ...JSON.parse(key) as string[]]);
  return table(["where", "bits", "dialect", "may hold"], rows);
}

/** The tables by the names of their marks. */
const TABLES: Readonly<Record<string, () => string>> = {
  "architectures": architectures,
  "record-types": recordList,
  "records": records,
  "vm-flags": () => table(["bit", "value", ...KERNEL_SERIES], flagRows()),
  "page-prot": () => table(["kernel", "permissions", ...PAGE_TABLES.map(([title]) => title)], pageProtRows()),
  "rules": ruleList,
  "opaque-bits": opaqueBits,
};

/**
 * The page with its tables made anew.
 *
 * @throws {RangeError} when a mark of the page has no table, or a table no mark
 */
export function fillTables(page: string): string {
  const unused = new Set(Object.keys(TABLES));
  const filled = page.replaceAll(
    /(<!-- table: ([\w-]+) -->\n)[^]*?(<!-- end -->)/g,
    (_, start, name, end) => {
      const make = TABLES[name];
      if (make === undefined) throw new RangeError(`docs/format.md: no table is called "${name}"`);
      unused.delete(name);
      return `${start}\n${make()}\n${end}`;
    },
  );
  if (unused.size > 0) throw new RangeError(`docs/format.md has no mark for ${[...unused].join(", ")}`);
  return filled;
}

if (import.meta.main) {
  Deno.writeTextFileSync(FORMAT_DOCS, fillTables(Deno.readTextFileSync(FORMAT_DOCS)));
  console.error(`wrote ${FORMAT_DOCS}`);
}
