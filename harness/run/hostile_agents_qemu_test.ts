// SPDX-License-Identifier: MIT
/** Real guests whose agent does whatever it can to the harness; hostile_guests_qemu_test.ts has more, made up. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { AgentSession } from "../../vm/agent/agent_session.ts";
import { makeTempDirectory } from "../../vm/host/temp_directory.ts";
import { buildGuestProgram } from "../../vm/initramfs/build_guest.ts";
import { cachedInitramfs } from "../../vm/initramfs/initramfs.ts";
import { startVirtualMachine } from "../../vm/qemu/virtual_machine.ts";
import { Terminal } from "../report/terminal.ts";
import { readCatalogue } from "./catalogue.ts";
import { scenarioRunner } from "./case/scenario_runner.ts";
import type { Guest } from "./guest/guest.ts";
import { prepareGuest } from "./guest/prepare_guest.ts";
import { PLATFORMS } from "./platform.ts";
import { runCatalogue } from "./run_catalogue.ts";
import type { ScenarioResult } from "./scenario_result.ts";

/** By what it does, how its scenario ends and what is said of it. */
const HOSTILE: Readonly<Record<string, readonly [ScenarioResult["status"], RegExp]>> = {
  "floods": ["lost", /\(protocol\).{1,200}an image of more than \d+ bytes/s],
  "chatters": ["lost", /\(protocol\).{1,200}a line of more than 4095 bytes/s],
  "silent": ["lost", /\(timeout\).{1,200}nothing came within 1.5 s/s],
  "closes": ["lost", /\(timeout\).{1,200}nothing came within 1.5 s/s],
  "lies": ["lost", /\(protocol\).{1,200}expected a stream of 10 bytes, found 100/s],
  "prints": ["fail", /BUG: KASAN/],
};
const DEADLINE_MS = 1500;
const MAX_MS = 15_000;
const MAX_MIB = 256;
const MIB = 2 ** 20;

/** An initramfs with an agent as vm/guest/testing/hostile/hostile_agent.c makes it. */
async function hostileInitramfs(directory: string): Promise<string> {
  const agent = await Deno.readFile(await buildGuestProgram("agent-hostile", "x86_64"));
  const target = await Deno.readFile(await buildGuestProgram("target", "x86_64"));
  const directories = ["dev", "proc", "sys", "run", "work", "tmp"].map((path) => ({ path }));
  const programs = [{ path: "init", data: agent }, { path: "target", data: target }];
  return await cachedInitramfs([...directories, ...programs], { cacheDir: directory });
}

Deno.test("a hostile agent in a real guest ends in a result, soon, and in little memory", async (test) => {
  const directory = await makeTempDirectory("ckptest-hostile-");
  try {
    const initrd = await hostileInitramfs(directory);
    const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal() });
    const scenario = (await readCatalogue()).find(({ name }) => name === "minimal")!;
    for (const [how, [status, said]] of Object.entries(HOSTILE)) {
      await test.step(how, async () => {
        const startGuest = async (): Promise<Guest> => {
          const append = [`CKPTEST_HOSTILE=${how}`];
          const kernel = prepared.build!.bootFile;
          const machine = await startVirtualMachine({ accelerator: "tcg", kernel, initrd, append });
          const agent = await AgentSession.connect(machine, { deadlineMs: DEADLINE_MS });
          return {
            ...{ agent, bootMilliseconds: 1, command: "qemu", console: machine.console },
            ended: machine.exited,
            [Symbol.asyncDispose]: () => machine.close(),
          };
        };
        const results: ScenarioResult[] = [];
        const [begin, { rss }] = [performance.now(), Deno.memoryUsage()];
        await runCatalogue([scenario], {
          startGuest,
          runScenario: scenarioRunner(prepared),
          skipReason: () => undefined,
          repeat: 0,
          onResult: (result) => void results.push(result),
        });
        assertEquals(results.map((result) => result.status), [status], Deno.inspect(results));
        assertMatch(Deno.inspect(results, { depth: 9, strAbbreviateSize: 1e5 }), said);
        assert(performance.now() - begin < MAX_MS);
        assert((Deno.memoryUsage().rss - rss) / MIB < MAX_MIB);
      });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
