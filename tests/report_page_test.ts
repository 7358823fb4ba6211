// SPDX-License-Identifier: MIT
/**
 * The HTML report in a real browser: it reports no error, asks for nothing, runs nothing, and fits a phone.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { htmlReport } from "../harness/report/html_report.ts";
import { runIfInstalled } from "../harness/report/testing/run_if_installed.ts";
import { hostileTree, recordedTree } from "../harness/report/testing/sample_tree.ts";

const HAS_CHROMIUM = await runIfInstalled("chromium", ["--version"]) !== undefined;

interface Visit {
  /** Messages on the page's console. */
  readonly messages: string[];
  /** Addresses that the page asked for, itself not counted. */
  readonly requests: string[];
  /** The document as it was after loading. */
  readonly dom: string;
}

/** Opens a page in Chromium. */
async function visit(html: string, { width = 1280 } = {}): Promise<Visit> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-page-" });
  try {
    const page = join(directory, "page.html");
    const log = join(directory, "net.json");
    await Deno.writeTextFile(page, html);
    const result = await runIfInstalled("chromium", [
      "--headless",
      "--no-sandbox", // it refuses to run as root with it
      "--disable-gpu",
      "--no-first-run",
      // What the browser would look up for itself is found nowhere.
      "--host-resolver-rules=MAP * ~NOTFOUND",
      `--user-data-dir=${join(directory, "profile")}`,
      `--log-net-log=${log}`,
      "--enable-logging=stderr",
      `--window-size=${width},900`,
      "--virtual-time-budget=2000",
      "--dump-dom",
      `file://${page}`,
    ]);
    if (result?.code !== 0) throw new Error(`chromium ended with ${result?.code}: ${result?.stderr}`);
    const messages = [...result.stderr.matchAll(/:CONSOLE[:(]\d+\)?\] "(.*)", source: /g)].map(([, text]) =>
      text ?? ""
    );
    return { messages, requests: requestsIn(await Deno.readTextFile(log)), dom: result.stdout };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Requests that a page began; those of the browser itself have no origin. */
function requestsIn(netLog: string): string[] {
  const { constants, events } = JSON.parse(netLog) as {
    constants: { logEventTypes: Record<string, number> };
    events: { type: number; params?: { url?: string; initiator?: string } }[];
  };
  const start = constants.logEventTypes.URL_REQUEST_START_JOB;
  assert(start !== undefined, "the log of this Chromium has no URL_REQUEST_START_JOB");
  return events.flatMap(({ type, params }) =>
    type === start && params?.url !== undefined && params.initiator !== "not an origin" ? [params.url] : []
  );
}

/** The page as it would be without the policy that forbids scripts and requests. */
function withoutPolicy(html: string): string {
  const open = html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "");
  assert(open !== html, "the page has no policy");
  return open;
}

Deno.test({
  name: "visiting a page notices errors, scripts and requests (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const { messages, requests } = await visit(
      `<!doctype html><img src="http://192.0.2.1/a.png"><script>console.error("boom"); missing();</script>`,
    );
    assertEquals(messages, ["boom", "Uncaught ReferenceError: missing is not defined"]);
    assertEquals(requests, ["http://192.0.2.1/a.png"]);
  },
});

Deno.test({
  name: "the HTML report logs no error and makes no request (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    for (const tree of [await recordedTree("nightly"), await recordedTree("run"), hostileTree()]) {
      const html = htmlReport(tree);
      for (const page of [html, withoutPolicy(html)]) {
        const { messages, requests, dom } = await visit(page);
        assertEquals([messages, requests], [[], []]);
        assert(dom.includes("What broke") && dom.includes("</footer>"), "the page was not shown whole");
        assertEquals(/<script\b/i.test(dom), false);
      }
    }
  },
});

Deno.test({
  name: "the policy of the HTML report stops scripts and requests, should one ever get in (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const html = htmlReport(await recordedTree("run"));
    const attack = `<img src="http://192.0.2.1/a.png"><script>document.title = "ran"</script></main>`;
    const { requests, dom, messages } = await visit(html.replace("</main>", attack));
    assertEquals(requests, []);
    assert(!dom.includes("<title>ran</title>"));
    assert(messages.length > 0);
  },
});

Deno.test({
  name: "the HTML report is no wider than the window, be it a phone's (needs chromium)",
  ignore: !HAS_CHROMIUM,
  async fn() {
    const measure =
      `<script>console.log(document.documentElement.scrollWidth + " in " + innerWidth)</script>`;
    for (const name of ["nightly", "run"] as const) {
      const html = withoutPolicy(htmlReport(await recordedTree(name))) + measure;
      for (const width of [400, 1280]) {
        const { messages } = await visit(html, { width });
        const [used = 0, given = 0] = messages[0]?.split(" in ").map(Number) ?? [];
        assert(given > 300 && given <= 1280, `measured ${messages}`);
        assert(used <= given, `${name} at ${width}: ${messages}`);
      }
    }
  },
});
