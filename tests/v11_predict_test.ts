// SPDX-License-Identifier: MIT
/**
 * Genuine images that the code of December 2008 wrote, predicted from the manifests that came with them.
 * They lie outside the project, beside it; where they are absent, nothing of this is tested, and the tests
 * say so.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { imageCommand } from "../harness/cli/commands/image.ts";
import { parseOptions } from "../harness/cli/parse_options.ts";
import { UsageError } from "../vm/host/errors.ts";
import { judgeV11Image } from "../lib/compare/v11/judge_v11_image.ts";
import { parseV11Manifest } from "../lib/compare/v11/manifest.ts";
import { type Finding, findingText } from "../lib/image/finding.ts";
import { readNodes } from "../lib/image/image.ts";
import type { ImageNode } from "../lib/image/nodes.ts";
import { isStruct, type RecordDesc, RECORDS } from "../lib/image/records.ts";

const FOLDER = fromFileUrl(new URL("../../shared/v11-images/", import.meta.url));

type Json = Record<string, unknown>;

function imageNames(): string[] | undefined {
  try {
    return [...Deno.readDirSync(FOLDER)].flatMap(({ name }) => /^(.+)\.img\.xz$/.exec(name)?.[1] ?? [])
      .sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const unpacked = new Map<string, Uint8Array>();

async function unpack(name: string): Promise<Uint8Array> {
  const known = unpacked.get(name);
  if (known) return known.slice();
  const { success, stdout, stderr } = await new Deno.Command("xz", {
    args: ["-dc", `${FOLDER}${name}.img.xz`],
  }).output();
  assert(success, `xz could not unpack ${name}: ${new TextDecoder().decode(stderr)}`);
  // The two large images are not worth the memory.
  if (stdout.length < 1 << 20) unpacked.set(name, stdout);
  return stdout.slice();
}

function manifestText(name: string): string {
  return Deno.readTextFileSync(`${FOLDER}${name}.json`);
}

/** The manifest, changed. */
function changedManifest(name: string, change: (json: Json) => void): string {
  const json = JSON.parse(manifestText(name)) as Json;
  change(json);
  return JSON.stringify(json);
}

/** All that is wrong; notes are left out. */
function faults(bytes: Uint8Array, text: string): Finding[] {
  return judgeV11Image(bytes, parseV11Manifest(text)).findings.filter(({ verdict }) => verdict !== "note");
}

/** Where a field of a record lies, or a place in raw bytes. */
function placeOf(bytes: Uint8Array, path: string, field: string | number): number {
  const node = readNodes(bytes).nodes.find((each: ImageNode) => each.path === path);
  assert(node, `the image has no ${path}`);
  if (typeof field === "number") return (node.kind === "pages" ? node.pagesOffset : node.offset) + field;
  assert(node.kind === "record");
  const { payload }: RecordDesc = RECORDS[node.name];
  assert(isStruct(payload));
  const desc = payload.fields.find((each) => each.name === field);
  assert(desc, `${path} has no field ${field}`);
  return node.offset + 8 + desc.offset;
}

const names = imageNames();
const ignore = names === undefined;

for (const name of names ?? []) {
  Deno.test(`v11 image ${name}: every byte is explained by its manifest`, async () => {
    const bytes = await unpack(name);
    const { findings, counts } = judgeV11Image(bytes, parseV11Manifest(manifestText(name)));
    const wrong = findings.filter(({ verdict }) => verdict !== "note");
    assertEquals(wrong.length, 0, wrong.map(findingText).join("\n"));
    assertEquals([counts.total, counts.unexplained], [bytes.length, 0]);
  });
}

Deno.test({
  name: ignore
    ? `v11 prediction: not tested, there are no images in ${FOLDER}`
    : "v11 prediction: most bytes of images that steps filled are predicted",
  ignore,
  fn: async () => {
    for (const name of ["anon3", "anonprots", "dirty5000", "clean_head4096", "ldt_many"]) {
      const { counts } = judgeV11Image(await unpack(name), parseV11Manifest(manifestText(name)));
      assert(counts.predicted * 2 > counts.total, `${name}: ${JSON.stringify(counts)}`);
    }
  },
});

/** A damage: image, path, field or offset there, and the finding that must name it. */
const DAMAGES:
  readonly (readonly [name: string, path: string, at: string | number, id: string, where: string])[] = [
    ["anon3", "task[0]/vma[3]/pgarr[0]/pages", 0x123, "E_PAGE_BYTES", "page[0x40100000]"],
    ["anon3", "task[0]/vma[3]/pgarr[0]/pages", 2 * 4096 + 9, "E_PAGE_BYTES", "page[0x40103000]"],
    ["file", "task[0]/vma[3]/pgarr[0]/pages", 0x345, "E_PAGE_BYTES", "page[0x43002000]"],
    ["dirty5000", "task[0]/vma[3]/pgarr[1]/pages", 903 * 4096 + 4095, "E_PAGE_BYTES", "page[0x51387000]"],
    ["dirty5000", "task[0]/vma[3]/pgarr[0]", "nr_pages", "E_FIELD", "nr_pages"],
    ["anonprots", "task[0]/vma[5]", "vm_flags", "E_FIELD", "vma[5].vm_flags"],
    ["anonprots", "task[0]/vma[4]", "vm_page_prot", "E_FIELD", "vma[4].vm_page_prot"],
    ["minimal", "task[0]/vma[2]", "vm_pgoff", "E_FIELD", "vma[2].vm_pgoff"],
    ["minimal", "task[0]/vma[0]", "_padding", "E_PADDING", "vma[0]._padding"],
    ["minimal", "task[0]/vma[1]", "_padding", "E_PADDING", "vma[1]._padding"],
    ["minimal", "head_arch", "_padding", "E_PADDING", "head_arch._padding"],
    ["minimal", "task[0]", "_padding", "E_PADDING", "task[0]._padding"],
    ["minimal", "task[0]/mm", "arg_start", "E_FIELD", "mm.arg_start"],
    ["minimal", "task[0]/mm", "brk", "E_FIELD", "mm.brk"],
    ["minimal", "task[0]/cpu", "bx", "E_FIELD", "cpu.bx"],
    ["minimal", "task[0]/cpu", "r12", "E_FIELD", "cpu.r12"],
    ["minimal", "task[0]/cpu", "fs", "E_FIELD", "cpu.fs"],
    ["minimal", "task[0]/cpu", "uses_debug", "E_FIELD", "cpu.uses_debug"],
    ["tls3", "task[0]/cpu", "gs", "E_FIELD", "cpu.gs"],
    ["tls3", "task[0]/thread/tls", 17, "E_TLS_ENTRY", "tls[2]"],
    ["ldt_many", "task[0]/mm_context/ldt", 8 * 9 + 5, "E_LDT_ENTRY", "ldt[9]"],
    ["ldt_many", "task[0]/mm_context/ldt", 8 * 8190, "E_LDT_ENTRY", "ldt[8190]"],
    ["fpu_sse", "task[0]/cpu/xstate", 35, "E_XSTATE", "xstate"],
    ["file_deleted", "task[0]/vma[3]/fname", 12, "E_FNAME", "fname"],
  ];

Deno.test({
  name: "v11 prediction: one changed bit of the image is found and named",
  ignore,
  fn: async () => {
    for (const [name, path, at, id, where] of DAMAGES) {
      const bytes = await unpack(name);
      const place = placeOf(bytes, path, at);
      bytes[place] = bytes[place]! ^ 4;
      const found = faults(bytes, manifestText(name));
      const text = `${name} ${path} ${at}:\n${found.map(findingText).join("\n")}`;
      assert(found.some((finding) => finding.id === id && finding.path.endsWith(where)), text);
    }
  },
});

Deno.test({
  name: "v11 prediction: no changed byte outside of pages goes unnoticed but for the declared ones",
  ignore,
  fn: async () => {
    const bytes = await unpack("tls3");
    const text = manifestText("tls3");
    const { volatile } = judgeV11Image(bytes, parseV11Manifest(text));
    let declared = 0;
    for (const [name, entry] of volatile) if (!name.startsWith("page")) declared += entry.bytes;
    let unnoticed = 0;
    for (const node of readNodes(bytes).nodes) {
      const end = node.kind === "pages" ? node.pagesOffset : node.offset + node.length;
      for (let at = node.offset; at < end; at++) {
        const before = bytes[at]!;
        bytes[at] = before ^ 1;
        if (faults(bytes, text).length === 0) unnoticed++;
        bytes[at] = before;
      }
    }
    assert(unnoticed <= declared, `${unnoticed} bytes, only ${declared} are declared volatile`);
    assert(unnoticed > 0);
  },
});

function ops(json: Json): Record<string, string>[] {
  return json.ops as Record<string, string>[];
}

const NX = 0x80;

Deno.test({
  name: "v11 prediction: the same image from a kernel with PAE on a processor with NX",
  ignore,
  fn: async () => {
    const bytes = await unpack("anonprots");
    const text = changedManifest("anonprots", (json) => {
      json.cpu_model_qemu = "qemu64";
      json.build = { kernel: "Linux 2.6.28-rc7, i386, uniprocessor, PAE" };
    });
    assert(faults(bytes, text).some(({ path }) => path.endsWith("vma[3].vm_page_prot")));
    for (const node of readNodes(bytes).nodes) {
      if (node.kind !== "record") continue;
      const isData = node.name === "VMA" && (node.fields.vm_flags & 4n) === 0n;
      // VMA.vm_page_prot, and its leftover in r12.
      if (isData || node.name === "CPU") bytes[node.offset + 8 + 24 + 7] = NX;
    }
    assertEquals(faults(bytes, text).map(findingText), []);
  },
});

Deno.test({
  name: "v11 prediction: the same FPU state from a processor with XSAVE",
  ignore,
  fn: async () => {
    const bytes = await unpack("fpu_sse");
    const at = placeOf(bytes, "task[0]/cpu/xstate", 512);
    const text = changedManifest("fpu_sse", (json) => {
      json.cpu_model_qemu = "max";
      json.image_len = bytes.length + 64;
    });
    assert(faults(bytes, text).some(({ path }) => path === "head_arch.has_xsave"));
    const longer = new Uint8Array([
      ...bytes.subarray(0, at),
      3,
      ...new Uint8Array(63),
      ...bytes.subarray(at),
    ]);
    new DataView(longer.buffer).setUint16(placeOf(bytes, "head_arch", "has_xsave"), 1, true);
    new DataView(longer.buffer).setUint16(placeOf(bytes, "head_arch", "xstate_size"), 576, true);
    assertEquals(faults(longer, text).map(findingText), []);
    longer[at + 20] = 1;
    assert(faults(longer, text).some(({ id, offset }) => id === "E_XSTATE" && offset === at + 20));
  },
});

Deno.test({
  name: "v11 prediction: an image that a full disk cut in a record is explained up to there",
  ignore,
  fn: async () => {
    const bytes = (await unpack("minimal")).subarray(0, 21000);
    const text = changedManifest("minimal", (json) => {
      (json.checkpoint_calls as Json[])[0]!.ret = "-28";
      json.image_len = 21000;
    });
    assertEquals(faults(bytes, text).map(findingText), []);
  },
});

/** A wrong manifest: the change, and the finding that must come of it. */
const WRONG: readonly (readonly [name: string, change: (json: Json) => void, id: string])[] = [
  ["anon3", (json) => ops(json).find(({ op }) => op === "fill")!.seed = "11111112", "E_PAGE_BYTES"],
  ["anon3", (json) => ops(json).find(({ op }) => op === "poke")!.byte = "5b", "E_PAGE_BYTES"],
  ["anon3", (json) => ops(json).find(({ op }) => op === "readtouch")!.got = "01", "E_ORACLES_DISAGREE"],
  ["anon3", (json) => ops(json).find(({ op }) => op === "mprotect")!.prot = "1", "E_ORACLES_DISAGREE"],
  ["anon3", (json) => (json.present_pages as unknown[]).splice(7, 1), "E_PAGE_EXTRA"],
  ["anon3", (json) => (json.present_pages as Json[])[5]!.to = "40103000", "E_PAGE_MISSING"],
  ["anon3", (json) => (json.proc_self_maps as string[]).splice(4, 1), "E_FIELD"],
  ["anon3", (json) => ops(json)[0]!.flags = "00004032", "E_FIELD"],
  ["file", (json) => ops(json).find(({ op }) => op === "file")!.seed = "77770001", "E_PAGE_BYTES"],
  ["file", (json) => ops(json).find(({ op }) => op === "mmap")!.pgoff = "1", "E_PAGE_BYTES"],
  ["minimal", (json) => (json.regs_at_call as Json[])[0]!.edi = "d1d1d1d2", "E_FIELD"],
  ["minimal", (json) => json.cpu_model_qemu = "pentium", "E_FIELD"],
  ["minimal", (json) => json.uname_release = "2.6.27", "E_FIELD"],
  ["minimal", (json) => json.lines = ["case=minimal pid=11"], "E_PARENT"],
  ["minimal", (json) => (json.checkpoint_calls as Json[])[0]!.ret = "-38", "E_REFUSED_OUTPUT"],
  ["minimal", (json) => json.image_len = 21681, "E_LENGTH"],
  ["refuse_shared_anon", (json) => (json.checkpoint_calls as Json[])[0]!.ret = "7", "E_TRUNCATED"],
  ["offset", (json) => json.lines = ["case=offset pid=44", "prefix=16 bytes"], "E_TRAILING"],
  ["ldt1", (json) => ops(json)[0]!.base = "08048001", "E_LDT_ENTRY"],
  ["ldt1", (json) => (json.ldt_readback_nonzero as Json[])[0]!.lo = "8000fffe", "E_ORACLES_DISAGREE"],
  ["ldt_many", (json) => ops(json)[7]!.ret = "0", "E_ORACLES_DISAGREE"],
  ["tls3", (json) => ops(json)[1]!.limit = "0000fffe", "E_TLS_ENTRY"],
  ["tls3", (json) => ops(json)[1]!.entry_out = "8", "E_ORACLES_DISAGREE"],
];

Deno.test({
  name: "v11 prediction: a wrong entry of the manifest is found",
  ignore,
  fn: async () => {
    for (const [name, change, id] of WRONG) {
      const found = faults(await unpack(name), changedManifest(name, change));
      const text = `${name} ${change}:\n${found.map(findingText).join("\n")}`;
      assert(found.some((finding) => finding.id === id), text);
    }
  },
});

Deno.test({
  name: "v11 prediction: an image cut short, or one where none should be, is found",
  ignore,
  fn: async () => {
    const bytes = await unpack("minimal");
    assert(faults(bytes.subarray(0, 21000), manifestText("minimal")).some(({ id }) => id === "E_TRUNCATED"));
    assert(faults(bytes, manifestText("einval_flags")).some(({ id }) => id === "E_REFUSED_OUTPUT"));
    const chroot = await unpack("chroot");
    assert(faults(chroot.subarray(0, 408), manifestText("chroot")).some(({ id }) => id === "E_VMA_MISSING"));
  },
});

/** What `image check` prints, and its exit status. */
async function runCheck(...args: string[]): Promise<{ status: number; output: string }> {
  const lines: string[] = [];
  const log = console.log;
  console.log = (line: string) => lines.push(line);
  try {
    const status = await imageCommand.run(parseOptions(["check", ...args], imageCommand));
    return { status: typeof status === "number" ? status : status.status, output: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

Deno.test({
  name: "v11 prediction: image check --manifest prints findings and what explains the bytes",
  ignore,
  fn: async () => {
    const file = await Deno.makeTempFile();
    try {
      const bytes = await unpack("offset");
      await Deno.writeFile(file, bytes);
      const good = await runCheck(file, "--manifest", `${FOLDER}offset.json`);
      assertEquals(good.status, 0);
      assertMatch(good.output, /^21702 bytes: \d+ predicted, \d+ observed, \d+ volatile, 0 unexplained$/m);
      assertMatch(good.output, /^volatile 16 bytes: bytes before the image/m);
      const bad = await runCheck(file, "--manifest", `${FOLDER}minimal.json`, "--json");
      assertEquals(bad.status, 1);
      assert(JSON.parse(bad.output).bytes.unexplained > 0);
      await assertRejects(
        () => runCheck(file, "--manifest", `${FOLDER}README.md`),
        UsageError,
        "is no manifest of a v11 image",
      );
    } finally {
      await Deno.remove(file);
    }
  },
});
