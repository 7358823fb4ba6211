// SPDX-License-Identifier: MIT
/**
 * The library as one file in a real browser and in Node. What it says of an image and a scenario there must be what it
 * says here. Without the programs `chromium` (Debian's package of that name) and `node` nothing of this is tested.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { unpackRecordedCase } from "../lib/compare/testing/recorded_case.ts";
import * as comparison from "../lib/compare/mod.ts";
import * as model from "../lib/model/mod.ts";
import * as x86 from "../lib/x86/mod.ts";
import * as image from "../mod.ts";
import { findTool } from "../vm/host/find_tool.ts";

const ROOT = join(import.meta.dirname!, "..");
const CHROMIUM = await findTool("chromium");
const NODE = await findTool("node");
const HERE = { image, x86, model, comparison };
const DEADLINE_MS = 60_000;

/** What both sides are given; plain JSON. */
interface Work {
  readonly image: string;
  readonly scenario: unknown;
  readonly target: Record<string, string | number>;
}

/**
 * Uses the library as a page would. It goes there as text, so that it may use nothing but its arguments.
 */
async function useLibrary(
  { image, x86, model, comparison }: typeof HERE,
  work: Work,
): Promise<Record<string, unknown>> {
  const bytes = Uint8Array.from(atob(work.image), (character) => character.charCodeAt(0));
  const damaged = bytes.slice();
  damaged[9]! ^= 0xff;
  const whole = image.readImage(bytes);
  const target = {
    ...work.target,
    ...{ heapStart: BigInt(work.target.heapStart!), stackTop: BigInt(work.target.stackTop!) },
    ...{ arch: "x86_64", series: "6.1" },
  } as unknown as Parameters<typeof comparison.explainScenario>[1];
  const reader = new Blob([bytes]).stream().pipeThrough(new image.ImageDecoderStream()).getReader();
  const paths: string[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) paths.push(next.value.path);
  const json = JSON.parse(JSON.stringify(image.imageToJson(whole.nodes)));
  const same = (other: Uint8Array): boolean =>
    other.length === bytes.length && other.every((byte, at) => byte === bytes[at]);
  return {
    findings: image.checkImage(bytes),
    damage: image.checkImage(damaged).map(({ id, path }) => [id, path]),
    shown: image.showImage(whole.nodes),
    again: [same(image.encode(whole)), same(image.imageFromJson(json)), paths.length === whole.nodes.length],
    built: image.checkImage(image.buildImage()),
    ldt: new x86.LdtModel({ dialect: "port", wordSize: 8 }).nrEntries,
    pages: model.predictCheckpoints(work.scenario, target).map(({ prediction }) => prediction.pages.size),
    prediction: comparison.explainScenario(work.scenario, target),
  };
}

/** All entry points in one file. */
async function bundle(directory: string): Promise<string> {
  const entries = {
    image: "mod.ts",
    x86: "lib/x86/mod.ts",
    model: "lib/model/mod.ts",
    comparison: "lib/compare/mod.ts",
  };
  const entry = join(directory, "all.ts");
  const lines = Object.entries(entries).map(([name, path]) =>
    `export * as ${name} from "${join(ROOT, path)}";\n`
  );
  await Deno.writeTextFile(entry, lines.join(""));
  const out = join(directory, "ckptest.js");
  const args = ["bundle", "--quiet", "--platform", "browser", "-o", out, entry];
  const { code, stderr } = await new Deno.Command("deno", { args, cwd: ROOT }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return out;
}

async function makeWork(): Promise<Work> {
  const path = join(ROOT, "fixtures/recorded/x86_64-mixed.json.gz");
  const recorded = await unpackRecordedCase(await Deno.readFile(path));
  return {
    image: recorded.image.toBase64(),
    scenario: JSON.parse(await Deno.readTextFile(join(ROOT, "fixtures/scenarios/tracer/poke_vdso.json"))),
    target: {
      ...{ kernelWordSize: 8, targetWordSize: 8, checkpointNr: 390 },
      ...{ heapStart: "0x500000", stackTop: "0x7ffffffff000" },
    },
  };
}

/** Holds what the library said there against what it says here. */
async function checkSaid(value: Awaited<ReturnType<typeof useLibrary>>, work: Work): Promise<void> {
  assertEquals(value, JSON.parse(JSON.stringify(await useLibrary(HERE, work))));
  assertEquals([value.findings, value.again, value.built], [[], [true, true, true], []]);
  const { damage, shown, prediction } = value as { damage: unknown[]; shown: string; prediction: string[] };
  assert(damage.length > 0 && shown.length > 1000 && prediction.length > 10);
}

async function writePage(directory: string, work: Work): Promise<string> {
  await bundle(directory);
  // In a JSON text within a script element, "<" must not begin a tag.
  const json = JSON.stringify(work).replaceAll("<", "\\u003c");
  const page = join(directory, "page.html");
  await Deno.writeTextFile(
    page,
    `<!DOCTYPE html>
<meta charset="utf-8">
<pre id="result">the script did not run</pre>
<script type="module">
import * as library from "./ckptest.js";
${useLibrary}
let result;
try {
  result = { value: await useLibrary(library, ${json}), hasDeno: "Deno" in globalThis };
} catch (error) {
  result = { error: String(error.stack) };
}
document.getElementById("result").textContent = btoa(encodeURIComponent(JSON.stringify(result)));
</script>
`,
  );
  return page;
}

/** The text that the page has put into the document once it has loaded. */
async function openPage(chromium: string, directory: string, page: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(chromium, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      // A page from a file may import a module from a file beside it.
      "--allow-file-access-from-files",
      `--user-data-dir=${join(directory, "profile")}`,
      // The page loads before its script, which waits for itself, has ended.
      "--virtual-time-budget=30000",
      "--dump-dom",
      `file://${page}`,
    ],
    signal: AbortSignal.timeout(DEADLINE_MS),
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  const result = /<pre id="result">([^<]*)<\/pre>/.exec(text)?.[1];
  assert(result, `chromium ended with status ${code}: ${text}${decoder.decode(stderr)}`);
  return result;
}

Deno.test({
  name: "the library as one file says in Chromium what it says here" +
    (CHROMIUM ? "" : " (skipped: no chromium in PATH; it is Debian's package of that name)"),
  ignore: CHROMIUM === undefined,
  async fn() {
    const work = await makeWork();
    const directory = await Deno.makeTempDir({ prefix: "ckptest-browser-" });
    try {
      const result = await openPage(CHROMIUM!, directory, await writePage(directory, work));
      assert(/^[\w+/=]+$/.test(result), `the page says: ${result}`);
      const { value, error, hasDeno } = JSON.parse(decodeURIComponent(atob(result)));
      assertEquals([error, hasDeno], [undefined, false]);
      await checkSaid(value, work);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: "the library as one file says in Node what it says here" +
    (NODE ? "" : " (skipped: no node in PATH)"),
  ignore: NODE === undefined,
  async fn() {
    const work = await makeWork();
    const directory = await Deno.makeTempDir({ prefix: "ckptest-node-" });
    try {
      const library = await bundle(directory);
      const program = join(directory, "use.mjs");
      const json = JSON.stringify(work);
      await Deno.writeTextFile(
        program,
        `import * as library from ${JSON.stringify(library)};\n${useLibrary}\n` +
          `console.log(JSON.stringify(await useLibrary(library, ${json})));\n`,
      );
      const { code, stdout, stderr } = await new Deno.Command(NODE!, { args: [program] }).output();
      const decoder = new TextDecoder();
      assertEquals(code, 0, decoder.decode(stderr));
      await checkSaid(JSON.parse(decoder.decode(stdout)), work);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
