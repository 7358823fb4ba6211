// SPDX-License-Identifier: MIT
/** A page of ours in a real browser, for tests. */
import { assert } from "@std/assert";
import { join } from "@std/path";
import { runIfInstalled } from "../harness/report/testing/run_if_installed.ts";

/** Whether there is a browser. */
export const HAS_CHROMIUM: boolean = await runIfInstalled("chromium", ["--version"]) !== undefined;

interface Visit {
  /** Messages on the page's console. */
  readonly messages: string[];
  /** Addresses that the page asked for, itself not counted. */
  readonly requests: string[];
  /** The document as it was after loading. */
  readonly dom: string;
}

/** Opens a page in Chromium. */
export async function visit(html: string, { width = 1280 } = {}): Promise<Visit> {
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
export function withoutPolicy(html: string): string {
  const open = html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "");
  assert(open !== html, "the page has no policy");
  return open;
}
