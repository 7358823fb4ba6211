// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { expectedVmas } from "./expected_vmas.ts";
import { cutOf } from "./refused_call.ts";
import { StepMemory } from "./step_memory.ts";
import { manifestOf } from "./testing/small_manifest.ts";

function cut(ret: string, changes: Readonly<Record<string, unknown>> = {}, hasOutput = true): string {
  const manifest = manifestOf({ checkpoint_calls: [{ fd: "-1", ret }], ...changes });
  const vmas = expectedVmas(manifest, new StepMemory(manifest.steps, () => undefined));
  const found = cutOf(manifest.calls[0], { manifest, vmas, hasOutput });
  return "index" in found ? `${found.kind} ${found.index}` : found.kind;
}

Deno.test("cutOf() tells where the image of a refused call ends", () => {
  const shared = { proc_self_maps: ["1000-2000 r--p 0 0:0 0", "2000-3000 rw-s 0 0:4 9 /dev/zero (deleted)"] };
  assertEquals(cut("3"), "none");
  assertEquals(cut("-22"), "empty");
  assertEquals(cut("-9", {}, false), "empty");
  assertEquals(cut("-9", { ops: [{ op: "chroot", ret: "0" }] }), "afterVma 0");
  assertEquals(cut("-38", shared), "beforeVma 1");
  assertEquals(cut("-38"), "beforeVma undefined");
  assertEquals(cut("-36"), "afterVma undefined");
  assertEquals(cut("-28"), "anywhere");
});
