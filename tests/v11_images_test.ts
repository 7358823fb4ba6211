// SPDX-License-Identifier: MIT
/**
 * Genuine images that the code of December 2008 wrote. They lie outside the project, beside it; where they
 * are absent, nothing of this is tested, and the tests say so.
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { encode } from "../lib/image/image_writer.ts";
import { type Finding, findingText } from "../lib/image/finding.ts";
import { readImage, readNodes, vmaPages } from "../lib/image/image.ts";
import type { ImageNode } from "../lib/image/nodes.ts";
import { checkImage } from "../lib/image/rules.ts";

const FOLDER = fromFileUrl(new URL("../../shared/v11-images/", import.meta.url));

/** Images that begin inside a file. */
const STARTS: Readonly<Record<string, number>> = { offset: 16 };

/** Calls that failed: where the image ends, and after which record. */
const CUT: Readonly<Record<string, { offset: number; path: string }>> = {
  einval_flags: { offset: 0, path: "head" },
  chroot: { offset: 464, path: "task[0]/vma[0]" },
  refuse_shared_anon: { offset: 21280, path: "task[0]/vma[3]/pgarr[1]" },
  refuse_shared_ro_file: { offset: 25292, path: "task[0]/vma[2]/pgarr[1]" },
};

/** What every whole image of that code shows. */
const ALWAYS = ["N_STALE_PADDING", "N_COMM_TAIL", "N_VDSO_AS_ANON", "N_FS_NOT_SAVED", "N_SELECTOR_HIGH"];

/** As-posted behaviour that only some cases show. */
const NOTES: Readonly<Record<string, readonly string[]>> = {
  clean_head4096: ["N_NR_PAGES_CUMULATIVE"],
  dirty5000: ["N_NR_PAGES_CUMULATIVE"],
  file_deleted: ["N_DELETED_NAME"],
  ldt1: ["N_LDT_ALLOCATED"],
  ldt_many: ["N_LDT_ALLOCATED"],
  // A file that is really called so.
  names: ["N_DELETED_NAME"],
  offset: ["N_TRAILING"],
};

function imageNames(): string[] | undefined {
  try {
    return [...Deno.readDirSync(FOLDER)].map(({ name }) => /^(.+)\.img\.xz$/.exec(name)?.[1]).filter((name) =>
      name !== undefined
    ).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function unpack(name: string): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command("xz", {
    args: ["-dc", `${FOLDER}${name}.img.xz`],
  }).output();
  assert(success, `xz could not unpack ${name}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

/** The list of records that came with the image; undefined for an empty one. */
function recordList(name: string): string | undefined {
  try {
    return Deno.readTextFileSync(`${FOLDER}${name}.records.txt`).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Our records in the form of that list. */
function listRecords(nodes: readonly ImageNode[], isCut: boolean): string {
  const lines = nodes.flatMap((node) => {
    if (node.kind !== "record") return [];
    return [`${node.offset} ${node.name} len=${node.header.len} parent=${node.header.parent}`];
  });
  const last = nodes.findLast((node) => node.kind !== "trailing");
  const end = last === undefined ? 0 : last.offset + last.length;
  return [...lines, `end=${end} truncated=${isCut ? "True" : "False"}`].join("\n");
}

function ids(findings: readonly Finding[], verdict: Finding["verdict"]): string[] {
  return findings.filter((finding) => finding.verdict === verdict).map(({ id }) => id).sort();
}

function checkFindings(name: string, findings: readonly Finding[]): void {
  assertEquals(ids(findings, "invalid"), [], findings.map(findingText).join("\n"));
  const cut = CUT[name];
  assertEquals(ids(findings, "malformed"), cut === undefined ? [] : ["E_TRUNCATED"]);
  if (cut === undefined) assertEquals(ids(findings, "note"), [...ALWAYS, ...NOTES[name] ?? []].sort());
}

const names = imageNames();

for (const name of names ?? []) {
  Deno.test(`v11 image ${name}: decoded, encoded to the same bytes, as-posted bugs named`, async () => {
    const bytes = await unpack(name);
    const start = STARTS[name] ?? 0;
    const cut = CUT[name];
    const { nodes, error } = readNodes(bytes, { start });
    assertEquals([error?.finding.id, error?.finding.path, error?.finding.offset], [
      cut && "E_TRUNCATED",
      cut?.path,
      cut?.offset,
    ]);
    assert(nodes.length > 0 || name === "einval_flags");
    const again = encode(nodes);
    assertEquals(again.length, bytes.length - start);
    assert(again.every((byte, i) => byte === bytes[start + i]), "the encoded bytes differ");
    const list = recordList(name);
    if (list !== undefined) assertEquals(listRecords(nodes, cut !== undefined), list);
    checkFindings(name, checkImage(bytes, { start }));
  });
}

Deno.test({
  name: names === undefined
    ? `v11 images: not tested, there are none in ${FOLDER}`
    : "v11 images: every case of the tables above is there",
  ignore: names === undefined,
  fn: () => {
    const missing = [...Object.keys(CUT), ...Object.keys(NOTES)].filter((name) => !names?.includes(name));
    assertEquals(missing, []);
  },
});

Deno.test({
  name: "v11 images: dirty5000 has its 5000 pages, in chunks of 4096 and 904",
  ignore: names === undefined,
  fn: async () => {
    const image = readImage(await unpack("dirty5000"));
    const vma = image.tasks[0]?.vmas[3];
    assert(vma !== undefined);
    assertEquals([...vmaPages(vma)].length, 5000);
    assertEquals(vma.chunks.map(({ record, pages }) => [record.fields.nr_pages, pages?.count]), [
      [4096n, 4096],
      [5000n, 904],
    ]);
  },
});

Deno.test({
  name: "v11 images: one changed byte of padding, order or protection is no longer as posted",
  ignore: names === undefined,
  fn: async () => {
    const bytes = await unpack("minimal");
    for (
      const [at, id] of [[246, "E_PADDING"], [276, "E_PADDING"], [408 + 12, "E_PADDING"], [
        408 + 32,
        "E_PAGE_PROT",
      ]] as const
    ) {
      const before = bytes[at] ?? 0;
      bytes[at] = before ^ 0x40;
      assertEquals(ids(checkImage(bytes), "invalid"), [id], `byte ${at}`);
      bytes[at] = before;
    }
  },
});
