// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { encodeProgram } from "../../../vm/agent/target_program.ts";
import { settingOf, setUpCase } from "./case_setup.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { GuestAgent } from "../guest/guest.ts";

const TARGET = { path: "/target", wordSize: 8 } as const;

/** An agent that notes what it is told. The target's results are the numbers given. */
function scriptedAgent(
  files: Record<string, string>,
  results: readonly bigint[] = [],
): [GuestAgent, string[]] {
  const log: string[] = [];
  const note = (text: string): Promise<void> => {
    log.push(text);
    return Promise.resolve();
  };
  const agent = {
    readFile: (path: string) => Promise.resolve(new TextEncoder().encode(files[path])),
    writeFile: (path: string, content: Uint8Array | string) =>
      note(`write ${path} ${typeof content === "string" ? content : `${content.length} bytes`}`),
    swapOn: (path: string) => note(`on ${path}`),
    swapOff: (path: string) => note(`off ${path}`),
    program: (bytes: Uint8Array) => note(`program of ${bytes.length > encodeProgram([]).length}`),
    spawn: ({ path }: { path: string }) => note(`spawn ${path}`),
    event: () => Promise.resolve({ kind: "exit", pid: 2, code: 0 }),
    results: () => Promise.resolve(new Uint8Array(BigInt64Array.from(results).buffer)),
  };
  return [agent as unknown as GuestAgent, log];
}

Deno.test("settingOf() takes the word in brackets of a choice, and any other text as it is", () => {
  assertEquals(settingOf("always [madvise] never\n"), "madvise");
  assertEquals(settingOf("511\n"), "511");
});

Deno.test("setUpCase() writes settings, and undoes them in the reverse order", async () => {
  const [agent, log] = scriptedAgent({ "/sys/a": "[never] always\n", "/sys/b": "3\n" });
  const steps = [{ write: "/sys/a", value: "always" }, { write: "/sys/b", value: "4" }];
  const undo = await setUpCase(agent, steps, TARGET);
  assertEquals(log.splice(0), ["write /sys/a always", "write /sys/b 4"]);
  await undo();
  assertEquals(log, ["write /sys/b 3", "write /sys/a never"]);
});

Deno.test("setUpCase() formats a RAM disk as swap and switches it on and off", async () => {
  const [agent, log] = scriptedAgent({});
  await (await setUpCase(agent, [{ swap: "ram" }], TARGET))();
  assertEquals(log, ["write /dev/ram0 4096 bytes", "on /dev/ram0", "off /dev/ram0"]);
});

Deno.test("setUpCase() has the target attach the loop device, once is enough", async () => {
  for (const answer of [0n, -16n]) {
    const [agent, log] = scriptedAgent({}, [3n, 4n, answer]);
    await (await setUpCase(agent, [{ swap: "loop" }], TARGET))();
    assertEquals(log, [
      "program of true",
      "spawn /target",
      "write /dev/loop0 4096 bytes",
      "on /dev/loop0",
      "off /dev/loop0",
    ]);
  }
  const [agent] = scriptedAgent({}, [3n, -2n, -9n]);
  await assertRejects(() => setUpCase(agent, [{ swap: "loop" }], TARGET), UsageError, "ioctl gave -9");
});
