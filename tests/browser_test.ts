// SPDX-License-Identifier: MIT
/**
 * The library as one file in a real browser. What it says of an image and a scenario there must be what it says
 * here. Without the program `chromium` (Debian's package of that name) nothing of this is tested.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { unpackRecordedCase } from "../lib/compare/testing/recorded_case.ts";
import * as here from "../mod.ts";
import { findTool } from "../vm/host/find_tool.ts";

const ROOT = join(import.meta.dirname!, "..");
const CHROMIUM = await findTool("chromium");
const DEADLINE_MS = 60_000;

/** What both sides are given; plain JSON. */
interface Work {
  readonly image: string;
  readonly scenario: unknown;
  readonly target: Record<string, string | number>;
}

/** Uses the library as a page would. It goes into the page as text, so that it may use nothing but its arguments. */
function useLibrary(library: typeof here, work: Work): Record<string, unknown> {
  const bytes = Uint8Array.from(atob(work.image), (character) => character.charCodeAt(0));
  const damaged = bytes.slice();
  damaged[9]! ^= 0xff;
  const image = library.readImage(bytes);
  const target = {
    ...work.target,
    heapStart: BigInt(work.target.heapStart!),
    stackTop: BigInt(work.target.stackTop!),
  } as unknown as here.CompileTarget;
  const compiled = library.compileScenario(library.parseScenario(work.scenario, "in a browser"), target);
  return {
    findings: library.checkImage(bytes),
    damage: library.checkImage(damaged).map(({ id, path }) => [id, path]),
    dump: library.showImage(image.nodes),
    again: library.encode(image).every((byte, at) => byte === bytes[at]),
    ops: compiled.ops.length,
    prediction: compiled.stops.map((stop) =>
      library.explainPrediction(stop, { arch: "x86_64", series: "6.1" })
    ),
  };
}

async function writePage(directory: string, work: Work): Promise<string> {
  const args = ["bundle", "--quiet", "--platform", "browser", "-o", join(directory, "ckptest.js"), "mod.ts"];
  const { code, stderr } = await new Deno.Command("deno", { args, cwd: ROOT }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
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
  result = { value: useLibrary(library, ${json}), hasDeno: "Deno" in globalThis };
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
    const recorded = await unpackRecordedCase(
      await Deno.readFile(join(ROOT, "fixtures/recorded/x86_64-mixed.json.gz")),
    );
    const work: Work = {
      image: recorded.image.toBase64(),
      scenario: JSON.parse(await Deno.readTextFile(join(ROOT, "fixtures/scenarios/tracer/poke_vdso.json"))),
      target: {
        ...{ kernelWordSize: 8, targetWordSize: 8, checkpointNr: 390 },
        ...{ heapStart: "0x500000", stackTop: "0x7ffffffff000" },
      },
    };
    const directory = await Deno.makeTempDir({ prefix: "ckptest-browser-" });
    try {
      const result = await openPage(CHROMIUM!, directory, await writePage(directory, work));
      assert(/^[\w+/=]+$/.test(result), `the page says: ${result}`);
      const { value, error, hasDeno } = JSON.parse(decodeURIComponent(atob(result)));
      assertEquals([error, hasDeno], [undefined, false]);
      const expected = JSON.parse(JSON.stringify(useLibrary(here, work)));
      assertEquals(value, expected);
      assertEquals([value.findings, value.again], [[], true]);
      assert(value.damage.length > 0 && value.dump.length > 1000 && value.prediction.length > 1);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
