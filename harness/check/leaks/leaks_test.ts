// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { parseScenario } from "../../../lib/model/scenario.ts";
import type { Guest } from "../../run/guest/guest.ts";
import { withFileLeakCheck } from "./file_leaks.ts";
import {
  lastPidOf,
  leakedPages,
  leakingFunction,
  nameScenarios,
  pageLeakFindings,
  parsePageReferences,
  unmappedAnonymousPages,
} from "./page_leaks.ts";

const SCENARIO = parseScenario({
  about: "A target that is stopped and then looked at.",
  steps: [{ op: "stop", label: "stopped" }],
}, "minimal");

Deno.test("leakedPages() names anonymous frames that are neither mapped nor in the swap cache", () => {
  const [MMAP, ANON, SWAPCACHE, HWPOISON] = [1n << 11n, 1n << 12n, 1n << 13n, 1n << 19n];
  const flags = BigUint64Array.of(
    ...[0n, ANON | MMAP, ANON, ANON | SWAPCACHE, MMAP, ANON | (1n << 5n), ANON | HWPOISON],
  );
  assertEquals(leakedPages(new Uint8Array(flags.buffer)), [2, 5]);
});

function meminfo(inactive: number): string {
  return [
    "MemTotal:  1000 kB",
    "SwapCached:     8 kB",
    "Active(anon):  40 kB",
    `Inactive(anon): ${inactive} kB`,
    "Unevictable:    4 kB",
    "AnonPages:     60 kB",
    "Shmem:         16 kB",
  ].join("\n");
}

Deno.test("unmappedAnonymousPages() counts what is on the lists and nobody's", () => {
  assertEquals(unmappedAnonymousPages(meminfo(40)), 0);
  assertEquals(unmappedAnonymousPages(meminfo(52)), 3);
  assertThrows(() => unmappedAnonymousPages("Shmem: 1 kB"), SyntaxError, "Active(anon)");
});

const TRACE = `# tracer: nop
            init-42    [000] ....1    12.345678: page_ref_mod: pfn=0x23f1 flags=uptodate count=2 val=1
            init-42    [000] ....1    12.345679: <stack trace>
 => page_ref_mod+0x1
 => cr_walk_page+0x31d
 => do_checkpoint+0x2a3
            init-42    [000] ....1    12.345680: page_ref_mod: pfn=0x23f2 flags=uptodate count=2 val=1
            init-42    [000] ....1    12.345681: <stack trace>
 => cr_walk_page+0x31d
            init-42    [000] ....1    12.345682: page_ref_mod_and_test: pfn=0x23f2 flags=uptodate count=1 val=-1 ret=0
            init-42    [000] ....1    12.345683: <stack trace>
 => cr_pgarr_reset_all+0x40
            init-42    [000] ....1    12.345684: page_ref_mod: pfn=0x23f3 flags=uptodate count=2 val=1
            init-42    [000] ....1    12.345685: <stack trace>
 => shmem_get+0x2
`;

Deno.test("leakingFunction() finds who took a reference and did not give it back", () => {
  const events = parsePageReferences(TRACE);
  const isOurs = (name: string): boolean => name.startsWith("cr_");
  assertEquals(events.map(({ frame, change }) => [frame, change]), [[0x23f1, 1], [0x23f2, 1], [0x23f2, -1], [
    0x23f3,
    1,
  ]]);
  assertEquals(leakingFunction(events, [0x23f2, 0x23f1], isOurs), "cr_walk_page+0x31d");
  assertEquals(leakingFunction(events, [0x23f2, 0x23f3], isOurs), undefined);
});

Deno.test("pageLeakFindings() says where and how many", () => {
  assertEquals(pageLeakFindings([], undefined), []);
  const [finding] = pageLeakFindings([1, 2], "cr_walk_page+0x31d");
  assertEquals([finding?.id, finding?.actual], ["E_PAGE_LEAK", "2: page frames 1, 2"]);
});

Deno.test("withFileLeakCheck() says where a reference was not given back", async () => {
  const agent = {
    held: undefined as string | undefined,
    clean: (): Promise<void> => (agent.held = "/work", Promise.resolve()),
  };
  const run = withFileLeakCheck(() => Promise.resolve({ stops: [], findings: [] }));
  const { findings } = await run({ agent } as unknown as Guest, SCENARIO);
  assertEquals(findings.map(({ id, path }) => [id, path]), [["E_FILE_LEAK", "/work"]]);
  agent.clean = () => Promise.resolve();
  assertEquals((await run({ agent } as unknown as Guest, SCENARIO)).findings, []);
});

Deno.test("nameScenarios() tells which scenario a leaked object is of", () => {
  const report = `unreferenced object 0xffff (size 8):\n  comm "init", pid 23, jiffies 42\n  hex dump:`;
  assertEquals(
    nameScenarios(report, (pid) => pid === 23 ? "ldt_one" : undefined).split("\n")[2],
    "  allocated while ldt_one ran",
  );
  assertEquals(nameScenarios(report, () => undefined), report);
});

Deno.test("lastPidOf() reads /proc/loadavg", () => {
  assertEquals(lastPidOf("0.00 0.01 0.05 1/38 417\n"), 417);
  assertThrows(() => lastPidOf(""), SyntaxError, "process id");
});
