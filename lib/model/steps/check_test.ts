// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { Step } from "../scenario.ts";
import { compileSteps } from "../testing/compile_steps.ts";

function checks(steps: Step[]) {
  return compileSteps(steps).ops.flatMap((op) =>
    op.op === "check" ? [`check ${op.pages}`] : op.op === "hash" ? [`hash ${op.length / 4096}`] : []
  );
}

const map: Step = { op: "mmap", area: "a", pages: 8 };

Deno.test("checkAllPages() has the target look at every page that it can read, in few ops", () => {
  const write = (pages: string, seed: number): Step => ({ op: "write", area: "a", pages, seed });
  assertEquals(checks([map, write("0..3", 1), write("4..5", 2)]), ["check 4", "check 2"]);
  const zero: Step = { op: "zero", area: "a", pages: "2..3" };
  assertEquals(checks([map, write("0..5", 1), zero]), ["check 2", "hash 2", "check 2"]);
  const hidden: Step = { op: "mprotect", area: "a", pages: "1..2", prot: "none" };
  assertEquals(checks([map, write("0..3", 1), hidden]), ["check 1", "check 1"]);
  assertEquals(checks([map, { op: "read", area: "a", pages: "all" }]), []);
});

Deno.test("check looks between two stops, and what is moved or stored to is hashed", () => {
  const steps: Step[] = [map, { op: "write", area: "a", pages: "0..1" }, { op: "stop", label: "x" }, {
    op: "check",
    area: "a",
    pages: "0",
  }];
  assertEquals(checks(steps), ["check 1", "check 2"]);
  const moved: Step = { op: "mremap", area: "a", pages: "all", to: "b" };
  assertEquals(checks([map, { op: "write", area: "a", pages: "0..1" }, moved]), ["hash 2"]);
});

Deno.test("check expects another hash of other pages", () => {
  const hash = (value: number) =>
    compileSteps([map, { op: "poke", area: "a", page: 1, value }]).results.find(({ what }) =>
      what.startsWith("hash")
    )?.expected;
  assertEquals(hash(1) === hash(2), false);
  assertEquals(hash(1)! < 1n << 63n, true);
});
