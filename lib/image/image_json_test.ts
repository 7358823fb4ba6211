// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { unpackRecordedCase } from "../compare/testing/recorded_case.ts";
import { buildImage } from "./build_image.ts";
import { imageFromJson, imageToJson, type JsonValue } from "./image_json.ts";
import { readNodes } from "./image.ts";
import { SchemaError } from "../schema.ts";
import { DATA_DESCRIPTOR, syntheticImage, type SyntheticOptions } from "./testing/synthetic_image.ts";

const RECORDED = new URL("../../fixtures/recorded/", import.meta.url);

/** There and back, through text. */
function again(bytes: Uint8Array): Uint8Array {
  return imageFromJson(JSON.parse(JSON.stringify(imageToJson(readNodes(bytes).nodes))));
}

Deno.test("imageFromJson() gives back recorded images, and synthetic ones of each dialect", async () => {
  for (const { name } of Deno.readDirSync(RECORDED)) {
    const { image } = await unpackRecordedCase(Deno.readFileSync(new URL(name, RECORDED)));
    assertEquals(again(image), image, name);
  }
  const ldt = new Uint8Array(4096);
  ldt.set(DATA_DESCRIPTOR);
  const samples: SyntheticOptions[] = [
    {},
    { wordSize: 4, hasXsave: false, ldt },
    { unknownType: 1500 },
    { dialect: "v11", ldt },
    { dialect: "v11", revision: 2, files: true },
    { dialect: "v11", revision: 3, tasks: 3, files: true },
  ];
  for (const options of samples) {
    const bytes = syntheticImage(options);
    assertEquals(again(bytes), bytes, JSON.stringify(options));
  }
});

Deno.test("imageFromJson() gives back images with random fields, names, pages and descriptors", () => {
  const page = fc.uint8Array({ minLength: 4096, maxLength: 4096 });
  const spec = fc.record({
    comm: fc.string({ unit: "binary", maxLength: 5 }).filter((text) => !text.includes("\0")),
    ldt: fc.uint8Array({ maxLength: 16, minLength: 16 }),
    tls: fc.uint8Array({ minLength: 24, maxLength: 24 }),
    head: fc.record({
      release: fc.uint8Array({ minLength: 64, maxLength: 64 }),
      time: fc.bigInt({ min: 0n, max: 9n }),
    }),
    registers: fc.record({
      ax: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      debugreg6: fc.constant(1n),
    }),
    vmas: fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 99n }), page)).map((pages) => [{
      ...{ start: 0x10000n, end: 0x90000n, name: "/é\\x\u202e" },
      pages: pages.map(([number, contents]) => [0x10000n + number * 4096n, contents] as const),
    }]),
    wordSize: fc.constantFrom(4 as const, 8 as const),
  });
  fc.assert(
    fc.property(spec, fc.nat(), (image, cut) => {
      const bytes = buildImage(image);
      // Also what there is of one that is cut: whole nodes.
      const { nodes } = readNodes(cut % 2 ? bytes : bytes.subarray(0, cut % bytes.length));
      const last = nodes.at(-1);
      const end = last === undefined ? 0 : last.offset + last.length;
      assertEquals(imageFromJson(JSON.parse(JSON.stringify(imageToJson(nodes)))), bytes.slice(0, end));
    }),
    { numRuns: 60 },
  );
});

Deno.test("imageFromJson() takes what was changed, and names what it cannot take", () => {
  const { nodes } = readNodes(syntheticImage());
  const json = JSON.parse(JSON.stringify(imageToJson(nodes)));
  json.nodes[2].fields.state = 8;
  json.nodes[3].text = "other";
  const changed = readNodes(imageFromJson(json)).nodes;
  assertEquals(changed[2]?.kind === "record" && changed[2].name === "TASK" && changed[2].fields.state, 8);
  const refuse = (path: string, change: (all: Record<string, JsonValue>[]) => void): void => {
    const copy = JSON.parse(JSON.stringify(json));
    change(copy.nodes);
    assertThrows(() => imageFromJson(copy), SchemaError, path);
  };
  refuse("$.nodes[0].name", (all) => all[0]!.name = "HEAT");
  refuse("$.nodes[1].parent", (all) => all[1]!.parent = -1);
  refuse("$.nodes[2].extra", (all) => all[2]!.extra = 1);
  refuse(
    "$.nodes[4]: start_brk: a u64 cannot hold",
    (all) => (all[4]!.fields as Record<string, JsonValue>).start_brk = 7,
  );
  refuse(
    "$.nodes[2]: state: a u32 holds",
    (all) => (all[2]!.fields as Record<string, JsonValue>).state = 2 ** 40,
  );
  const at = nodes.findIndex(({ kind }) => kind === "pages");
  refuse(`$.nodes[${at}].contents`, (all) => delete all[at]!.contents);
  refuse(
    `$.nodes[${at}]: 2 addresses need 2 pages, not 4096 bytes`,
    (all) => all[at]!.pages = [["0x402000", 2]],
  );
  assertThrows(() => imageFromJson([]), SchemaError, "$: expected an object");
});

Deno.test("imageToJson() names fields, shows text and 64-bit numbers as strings, and may leave pages out", () => {
  const { nodes } = readNodes(syntheticImage());
  const json = JSON.parse(JSON.stringify(imageToJson(nodes, { withoutPages: true })));
  const [head] = json.nodes;
  assertEquals([head.name, head.fields.release, head.fields.magic], ["HEAD", "6.1.192", "0xfeed0cc0a2d200"]);
  const pages = json.nodes.findLast((node: JsonValue) => (node as { kind?: string }).kind === "pages");
  assertEquals([pages.pages, pages.contents], [[["0x403000", 1], ["0x405000", 1]], undefined]);
});
