// SPDX-License-Identifier: MIT
import { assert } from "@std/assert";
import { RW_FLAGS } from "../build_image.ts";
import { readNodes } from "../image.ts";
import type { ImageNode } from "../nodes.ts";
import { DATA_DESCRIPTOR, syntheticImage } from "../testing/synthetic_image.ts";
import { diffImages } from "./diff_images.ts";

const START = 0x10000n;

async function* oneByOne(nodes: readonly ImageNode[]): AsyncGenerator<ImageNode> {
  for (const node of nodes) yield await Promise.resolve(node);
}

Deno.test("wherever a byte of an image changes, diffImages() finds it", async () => {
  const tls = new Uint8Array(24);
  tls.set(DATA_DESCRIPTOR, 8);
  const pages = [START, START + 0x3000n];
  const vmas = [
    { start: 0x8000n, end: 0x9000n, flags: 0x75n, type: 2, name: "/bin/target" },
    { start: START, end: 0x20000n, flags: RW_FLAGS, pages },
  ];
  const parts = { ldt: DATA_DESCRIPTOR, tls, vmas };
  const later = { dialect: "v11", revision: 3, tasks: 2, files: true } as const;
  for (const options of [{ ...parts, unknownType: 1500 }, { ...parts, ...later }]) {
    const bytes = syntheticImage(options);
    let [found, unreadable] = [0, 0];
    const { nodes } = readNodes(bytes);
    for (const node of nodes) {
      const end = node.kind === "pages" ? node.pagesOffset : node.offset + node.length;
      const places = Array.from(
        { length: Math.ceil((end - node.offset) / 3) },
        (_, at) => node.offset + 3 * at,
      );
      if (node.kind === "pages") places.push(end, end + 1, end + 4094, end + 4095, end + 4096);
      for (const at of places) {
        const changed = bytes.slice();
        changed[at]! ^= 1 << at % 8;
        const { nodes: others, error } = readNodes(changed);
        if (error) unreadable++;
        else {assert(
            !(await diffImages([oneByOne(nodes), oneByOne(others)])).isEqual,
            `${node.path}, byte ${at}`,
          );}
        found++;
      }
    }
    assert(found - unreadable > 500, `${found} bytes, ${unreadable} of them make it unreadable`);
  }
});
