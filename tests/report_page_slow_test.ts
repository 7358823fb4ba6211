// SPDX-License-Identifier: MIT
/**
 * The HTML report in a real browser: it reports no error, asks for nothing, runs nothing, and fits a phone.
 */
import { assert, assertEquals } from "@std/assert";
import { htmlReport } from "../harness/report/html_report.ts";
import { hostileTree, recordedTree } from "../harness/report/testing/sample_tree.ts";
import { HAS_CHROMIUM, visit, withoutPolicy } from "./visit_page.ts";

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
