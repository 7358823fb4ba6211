// SPDX-License-Identifier: MIT
/** restart(2) and `image check` read the same images, good ones and others, and must agree. */
import { assertEquals, assertGreater } from "@std/assert";
import type { Finding } from "../../lib/image/finding.ts";
import { RESTART_CHANGED } from "../../vm/agent/agent_types.ts";
import { CUT } from "./reader_inputs.ts";
import { agreementOf, readEverything } from "./two_readers.ts";

Deno.test("restart(2) and image check say the same of some of each kind of broken image", async () => {
  const { verdicts, splats } = await readEverything({ arch: "x86_64", step: 61, count: 100 });
  assertEquals(splats, []);
  assertEquals(Object.fromEntries(verdicts.disagreements), {});
  assertGreater(verdicts.inputs, 3000);
});

Deno.test("a disagreement names both sides", () => {
  const finding: Finding = { id: "E_PADDING", verdict: "invalid", path: "vma", message: "" };
  const say = (result: number, ...findings: Finding[]) =>
    Object.values(agreementOf({ paths: ["vma"], result, findings }))[0];
  assertEquals(say(0), "both take it");
  assertEquals(say(-22, finding), "both refuse it");
  assertEquals(say(0, finding), "the kernel takes it, image check says E_PADDING");
  assertEquals(say(-22, { ...finding, id: "E_CHUNK_SIZE" }), "both refuse it");
  assertEquals(say(0, { ...finding, id: "E_CHUNK_SIZE" }), "only check objects");
  assertEquals(say(-22, { ...finding, id: "E_TASK_STATE" }), "the kernel says EINVAL, image check nothing");
  assertEquals(say(-22), "the kernel says EINVAL, image check nothing");
  assertEquals(say(RESTART_CHANGED, finding), "the caller was changed though the call failed");
  const cut = agreementOf({ paths: [CUT], result: -22, findings: [finding] });
  assertEquals(Object.values(cut)[0], "cut short, it gives EINVAL, not EPIPE; image check says E_PADDING");
});
