// SPDX-License-Identifier: MIT
/** Deterministic guests: the same console and the same images each time, whatever else the host does. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { blockHashHex } from "../../lib/abi/block_hash.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { findScenario } from "../../harness/run/catalogue.ts";
import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import { type PreparedGuest, prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";

/** Processes and files, swap, ksmd's scans, a reader that goes away, restarts, more than a socket holds. */
const NAMES = [
  "fork_files",
  "swap_anon",
  "ksm_merged",
  "out_pipe_closed_in_ldt",
  "restart_generations",
  "chunk_twice",
];

interface Seen {
  readonly console: string;
  readonly images: readonly string[];
  readonly monotonicNs: bigint;
}

/** Runs a scenario in a guest of its own, and gives what can be seen of it. */
async function run(prepared: PreparedGuest, scenario: Scenario): Promise<Seen> {
  const images: string[] = [];
  const runScenario = scenarioRunner(prepared, {
    onCheckpoint: ({ image }) => images.push(blockHashHex(image)),
  });
  await using guest = await prepared.startGuest();
  const { findings } = await runScenario(guest, scenario);
  assertEquals(findings, [], scenario.name);
  await guest.agent.writeFile("/dev/kmsg", "<4>the end\n");
  while (!guest.console.text().includes("the end\n")) await guest.console.grown;
  const { monotonicNs } = await guest.agent.time();
  return { console: guest.console.text(), images, monotonicNs };
}

/** A processor that has something else to do. */
function busyLoop(): Disposable {
  const child = new Deno.Command("deno", { args: ["eval", "for (;;);"], stdin: "null" }).spawn();
  return { [Symbol.dispose]: () => child.kill("SIGKILL") };
}

for (const kernel of ["x86_64", "i386"] as const) {
  Deno.test(`a scenario on ${kernel} is the same each time, also on a busy host`, async () => {
    const platform = PLATFORMS.find(({ name }) => name === kernel)!;
    const scenarios = await Promise.all(NAMES.map(findScenario));
    const request = { terminal: new Terminal(), accelerator: "tcg", scenarios } as const;
    const prepared = await prepareGuest(platform, { ...request, isDeterministic: true });
    const first: Seen[] = [];
    for (const scenario of scenarios) first.push(await run(prepared, scenario));
    using _first = busyLoop();
    using _second = busyLoop();
    for (const [index, scenario] of scenarios.entries()) {
      const both = await Promise.all([run(prepared, scenario), run(prepared, scenario)]);
      assertEquals(both, [first[index], first[index]], scenario.name);
    }
    // What is compared can differ.
    const plain = await prepareGuest(platform, request);
    assertMatch(first[0]!.console, /^\[ +\d+\.\d{6}\] the end$/m);
    assertNotEquals((await run(plain, scenarios[0]!)).console, (await run(plain, scenarios[0]!)).console);
  });
}
