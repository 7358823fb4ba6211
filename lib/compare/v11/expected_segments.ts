// SPDX-License-Identifier: MIT

import { LdtModel } from "../../x86/ldt_model.ts";
import { TlsModel } from "../../x86/tls_model.ts";
import { encodeUserDesc, type UserDesc } from "../../x86/user_desc.ts";
import { type CheckpointCall, hexField, type ManifestStep, type V11Manifest } from "./manifest.ts";

/** The segment descriptors that the steps imply. */
export interface ExpectedSegments {
  /** The whole table, a multiple of 512 entries. */
  readonly ldt: Uint8Array;
  /** Three slots. */
  readonly tls: Uint8Array;
  readonly ntls: number;
  /** Where a result in the manifest is not what the model gives. */
  readonly contradictions: readonly {
    readonly where: string;
    readonly expected: string;
    readonly actual: string;
  }[];
}

/** The accessed bit of a descriptor as u64. */
const ACCESSED = 1n << 40n;

/** LDT and TLS after all steps; selectors that were loaded have set the accessed bit of their LDT entry. */
export function expectedSegments(manifest: V11Manifest, call: CheckpointCall | undefined): ExpectedSegments {
  const ldt = new LdtModel({ dialect: "v11", wordSize: 4 });
  const tls = new TlsModel({ firstSlot: 6, wordSize: 4, dialect: "v11" });
  const contradictions: ExpectedSegments["contradictions"][number][] = [];
  const compare = (where: string, expected: string, actual: string | undefined): void => {
    if (actual !== undefined && expected !== actual) contradictions.push({ where, expected, actual });
  };
  const lastReadback = manifest.steps.findLastIndex(({ op }) => op === "ldt_readback");
  manifest.steps.forEach(({ op, fields }, index) => {
    if (op === "modify_ldt") {
      const desc = userDesc(fields, Number(fields.entry));
      const { result } = ldt.modifyLdt(hexField("func", fields.func), encodeUserDesc(desc), 16n);
      compare(`result of step ${index}, modify_ldt of entry ${fields.entry}`, String(result), fields.ret);
    } else if (op === "set_thread_area") {
      const entry = fields.entry_in ?? fields.entry;
      const { result, userDesc: after } = tls.setThreadArea(encodeUserDesc(userDesc(fields, Number(entry))));
      compare(`result of step ${index}, set_thread_area`, String(result), fields.ret);
      if (after) {
        const slot = new DataView(after.buffer, after.byteOffset).getInt32(0, true);
        compare(`entry_out of step ${index}, set_thread_area`, String(slot), fields.entry_out);
      }
    }
    const loaded = selectorLoadedBy({ op, fields });
    if (loaded !== undefined) ldt.selectorLoaded(loaded.selector, loaded.register);
    if (index === lastReadback) compareReadback(manifest, ldt, contradictions);
  });
  for (const register of ["fs", "gs", "es", "ds"] as const) {
    ldt.selectorLoaded(Number(call?.registers.get(register) ?? 0n), register);
  }
  return { ldt: ldt.entries(), tls: tls.array(), ntls: tls.ntls, contradictions };
}

/** Lines such as `gs_set=51`, decimal. */
function selectorLoadedBy(
  { op, fields }: Pick<ManifestStep, "op" | "fields">,
): { selector: number; register: "fs" | "gs" | "es" | "ds" } | undefined {
  const match = /^(fs|gs|es|ds)_set$/.exec(op);
  const selector = Number(fields[op]);
  if (!match || !Number.isInteger(selector)) return undefined;
  return { selector, register: match[1] as "fs" | "gs" | "es" | "ds" };
}

function userDesc(fields: ManifestStep["fields"], entry: number): UserDesc {
  const flag = (name: string): boolean => fields[name] === "1";
  return {
    entryNumber: entry >>> 0,
    baseAddr: hexField("base", fields.base),
    limit: hexField("limit", fields.limit),
    seg32bit: flag("seg_32bit"),
    contents: Number(fields.contents ?? 0),
    readExecOnly: flag("read_exec_only"),
    limitInPages: flag("limit_in_pages"),
    segNotPresent: flag("seg_not_present"),
    useable: flag("useable"),
    lm: false,
    padding: 0,
  };
}

function compareReadback(
  { ldtReadback }: V11Manifest,
  ldt: LdtModel,
  contradictions: { where: string; expected: string; actual: string }[],
): void {
  if (!ldtReadback) return;
  const bytes = ldt.entries();
  const view = new DataView(bytes.buffer);
  const entries = new Set([...ldtReadback.keys(), ...Array.from({ length: ldt.nrEntries }, (_, i) => i)]);
  for (const index of entries) {
    const expected = index < ldt.nrEntries ? view.getBigUint64(index * 8, true) : 0n;
    const actual = ldtReadback.get(index) ?? 0n;
    if (expected === actual) continue;
    // The program has loaded the selector without saying so.
    if (actual === (expected | ACCESSED) && ldt.selectorLoaded(index << 3 | 7)) continue;
    contradictions.push({
      where: `entry ${index} as modify_ldt(0) returned it`,
      expected: `0x${expected.toString(16)}`,
      actual: `0x${actual.toString(16)}`,
    });
  }
}
