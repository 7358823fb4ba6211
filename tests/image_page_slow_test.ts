// SPDX-License-Identifier: MIT
/**
 * The page of `ckptest image html` in a real browser: what it shows, its search and keys, with hostile and with huge
 * images.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { imagePage } from "../harness/report/html/image_page.ts";
import { buildImage, type ImageSpec, RW_FLAGS } from "../lib/image/build_image.ts";
import { decodeBytes } from "../lib/image/decoder.ts";
import { type ImageNode, isRecord } from "../lib/image/nodes.ts";
import { DATA_DESCRIPTOR } from "../lib/image/testing/synthetic_image.ts";
import { HAS_CHROMIUM, visit, withoutPolicy } from "./visit_page.ts";

const START = 0x1000_0000n;
const PAGES = 262_144;
const IN_CHUNK = 2048;

async function* nodesOf(spec: ImageSpec): AsyncGenerator<ImageNode> {
  for (const node of decodeBytes(buildImage(spec))) yield await Promise.resolve(node);
}

function page(byte: number): Uint8Array {
  return new Uint8Array(4096).fill(byte);
}

function imagesOf(...specs: ImageSpec[]): Promise<string> {
  return imagePage(specs.map((spec, index) => ({ name: `${"ab"[index]}.ckpt`, nodes: nodesOf(spec) })));
}

/** What a script says that runs in the page when it has loaded. */
async function ask(html: string, script: string): Promise<string[]> {
  const { messages, requests } = await visit(`${withoutPolicy(html)}<script>${script}</script>`);
  assertEquals(requests, []);
  return messages;
}

/** Script that searches for an address and says what the page answers. */
function search(address: string): string {
  return `document.getElementById("address").value = "${address}";
document.getElementById("search").requestSubmit();
console.log(document.getElementById("answer").textContent.replaceAll("\\n", " / "));
console.log(document.activeElement.closest("details")?.id);\n`;
}

const HEAP = { start: 0x10000n, end: 0x20000n };
const A: ImageSpec = {
  vmas: [{ ...HEAP, pages: [[0x11000n, page(1)], [0x12000n, page(0)], [0x13000n, page(3)]] }, {
    start: 0x30000n,
    end: 0x31000n,
  }],
  ldt: DATA_DESCRIPTOR,
  registers: { ax: 7n },
};
const B: ImageSpec = {
  vmas: [{ ...HEAP, pages: [[0x11000n, page(1)], [0x12000n, page(0)], [0x13000n, page(4)]] }],
};

Deno.test("imagePage() shows mappings, page kinds, LDT and registers, and of two images what differs", async () => {
  const one = await imagesOf(A);
  assertMatch(one, /<b>2<\/b> mappings, <b>3<\/b> pages in the image, <b>1<\/b> of them zeros/);
  const bar = /id="t0-10000">.*?<svg[^>]*>(.*?)<\/svg>/s.exec(one)![1]!;
  assertEquals(
    [...bar.matchAll(/c-(\w+)"[^>]*width="(\d+)"/g)].map(([, kind, width]) => `${width} ${kind}`),
    [
      ...["1 none", "1 saved", "1 zero", "1 saved", "12 none"],
    ],
  );
  assertMatch(one, /entry 0<\/th><td class="mono">data read-write, base 0x00000000/);
  assert(!one.includes(`<tr class="marked">`));
  const two = await imagesOf(A, B);
  const [left, right] = [.../id="t0-10000">.*?<\/summary>/s.exec(two)![0].matchAll(/<svg.*?<\/svg>/gs)];
  for (const [svg] of [left!, right!]) assertMatch(svg, /class="c-differs" x="3" width="1"/);
  assertMatch(two, /<details class="map marked" id="t0-30000">.*?no such mapping/s);
  assertMatch(
    two,
    /<tr class="marked"><th scope="row">ax<\/th><td class="mono">0x7<\/td><td class="mono">0x0/,
  );
  assertMatch(two, /beside pages, 1 pages with other contents/);
});

Deno.test({
  name: "the page of images is searched by address, and walked through by keys (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const press = (key: string): string =>
      `document.dispatchEvent(new KeyboardEvent("keydown", { key: "${key}" }));
console.log(document.activeElement.closest("details")?.id ?? document.activeElement.id);\n`;
    const keys = ["j", "j", "j", "k", "n", "p", "/"];
    const said = await ask(
      await imagesOf(A, B),
      search("0x12010") + search("14000") + search("zz") + search("30000") + search("1") +
        keys.map(press).join(""),
    );
    assertMatch(said[0]!, /^a.ckpt: page 2 of 10000-20000: zeros, byte \d+ of the file \/ b.ckpt: page 2 of/);
    assertEquals(said.filter((line) => /^t0-\w+$/.test(line)).slice(0, 3), [
      "t0-10000",
      "t0-10000",
      "t0-10000",
    ]);
    const text = said.join("\n");
    for (
      const part of [
        "a.ckpt: page 4 of 10000-20000: not in the image",
        "An address is hexadecimal",
        "b.ckpt: in no mapping",
        "a.ckpt: in no mapping",
      ]
    ) assert(text.includes(part), `${part} in ${text}`);
    assertEquals(said.slice(-keys.length), [
      ...["t0-30000", "t0-30000", "t0-30000", "t0-10000", "t0-30000", "t0-10000", "address"],
    ]);
  },
});

Deno.test({
  name: "the page of images is no wider than the window, be it a phone's (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const name = `${"directory/".repeat(12)}stopped.ckpt`;
    const html = await imagePage([{ name, nodes: nodesOf(A) }, { name, nodes: nodesOf(B) }]);
    const measure =
      `<script>console.log(document.documentElement.scrollWidth + " in " + innerWidth)</script>`;
    for (const width of [400, 1280]) {
      const { messages: [said = ""] } = await visit(withoutPolicy(html) + measure, { width });
      const [used = 0, given = 0] = said.split(" in ").map(Number);
      assert(used > 300 && used <= given, `${said} of ${width}`);
    }
  },
});

Deno.test({
  name: "the page of a hostile image runs nothing of it, with and without its policy (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const attack = `</script><img src=x onerror="console.log(1)"><script>console.log(2)</script>"><!--`;
    const html = await imagePage([{
      name: `${attack}.ckpt`,
      nodes: nodesOf({
        comm: "</script><b>",
        vmas: [{ start: 0x10000n, end: 0x20000n, flags: 0x75n, type: 2, name: `/${attack}` }],
        head: {
          release: new TextEncoder().encode(`</style><script>console.log(3)</script>`.padEnd(64, "\0")),
        },
      }),
    }]);
    for (const page of [html, withoutPolicy(html)]) {
      const { messages, requests, dom } = await visit(page);
      assertEquals([messages, requests], [[], []]);
      assertEquals(dom.match(/<script\b/g)?.length, 2);
    }
    const { messages } = await visit(html.replace("</main>", "<script>console.log(4)</script></main>"));
    assert(messages.every((message) => message !== "4"));
    assertMatch(messages.join("\n"), /Content Security Policy/);
  },
});

/** The parts of an image of 1 GiB, every second page of which holds zeros: all share the bytes of one chunk. */
async function* hugeImage(): AsyncGenerator<ImageNode> {
  const end = START + BigInt(PAGES) * 4096n;
  const pages = new Uint8Array(IN_CHUNK * 4096);
  for (let index = 0; index < IN_CHUNK; index += 2) pages.fill(7, index * 4096, (index + 1) * 4096);
  for await (const node of nodesOf({ vmas: [{ start: START, end, flags: RW_FLAGS }] })) {
    for (let first = 0; isRecord(node, "PGARR") && first < PAGES; first += IN_CHUNK) {
      yield { ...node, fields: { nr_pages: BigInt(IN_CHUNK) } };
      const vaddrs = BigUint64Array.from(
        { length: IN_CHUNK },
        (_, index) => START + BigInt(first + index) * 4096n,
      );
      const offset = node.offset + first * 4104;
      yield {
        ...{ kind: "pages", offset, length: IN_CHUNK * 4104, path: `${node.path}/pages`, wordSize: 8 },
        ...{ count: IN_CHUNK, counted: "absolute", vaddrs, pagesOffset: offset + 8 * IN_CHUNK, pages },
      };
    }
    yield node;
  }
}

Deno.test({
  name: "the page of an image of 1 GiB loads and answers at once (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const html = await imagePage([{ name: "huge.ckpt", nodes: hugeImage() }]);
    assert(html.length < 16 << 20, `${html.length} bytes`);
    const begin = performance.now();
    await visit("<!doctype html>");
    const empty = performance.now() - begin;
    const [answer] = await ask(html, search((START + 200_001n * 4096n).toString(16)));
    assertMatch(answer!, /^huge\.ckpt: page 200001 of 10000000-50000000.*: zeros, byte \d+ of the file$/);
    // The page's own clock is a virtual one. On an idle machine it is below one second; what is looked for are minutes.
    const spent = performance.now() - begin - 2 * empty;
    assert(spent < 60_000, `it took ${spent.toFixed(0)} ms more than an empty page`);
  },
});
