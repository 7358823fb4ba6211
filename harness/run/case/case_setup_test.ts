// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import { settingOf, setUpCase } from "./case_setup.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** An agent that notes what it is told; ioctl(2) fails with an errno. */
function scriptedAgent(files: Record<string, string>, errno = 0): [GuestAgent, string[]] {
  const log: string[] = [];
  const note = (text: string): Promise<void> => {
    log.push(text);
    return Promise.resolve();
  };
  const agent = {
    readFile: (path: string) => Promise.resolve(new TextEncoder().encode(files[path])),
    writeFile: (path: string, content: Uint8Array | string) =>
      note(`write ${path} ${typeof content === "string" ? content : `${content.length} bytes`}`),
    call: async (name: string, ...args: unknown[]) => {
      await note(`${name} ${args.join(" ")}`);
      if (name === "ioctl" && errno !== 0) throw new AgentError("ioctl", errno, "the system call");
      return { result: 5 };
    },
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
  const undo = await setUpCase(agent, steps);
  assertEquals(log.splice(0), ["write /sys/a always", "write /sys/b 4"]);
  await undo();
  assertEquals(log, ["write /sys/b 3", "write /sys/a never"]);
});

Deno.test("setUpCase() formats a RAM disk as swap and switches it on and off", async () => {
  const [agent, log] = scriptedAgent({});
  await (await setUpCase(agent, [{ swap: "ram" }]))();
  assertEquals(log, ["write /dev/ram0 4096 bytes", "swapon /dev/ram0 0", "swapoff /dev/ram0"]);
});

Deno.test("setUpCase() attaches the loop device, once is enough", async () => {
  const EBUSY = 16;
  for (const errno of [0, EBUSY]) {
    const [agent, log] = scriptedAgent({}, errno);
    await (await setUpCase(agent, [{ swap: "loop" }]))();
    assertEquals(log, [
      "open /dev/ram1 2",
      "open /dev/loop0 2",
      "ioctl 5 19456 5",
      "close 5",
      "close 5",
      "write /dev/loop0 4096 bytes",
      "swapon /dev/loop0 0",
      "swapoff /dev/loop0",
    ]);
  }
  const [agent] = scriptedAgent({}, 9);
  await assertRejects(() => setUpCase(agent, [{ swap: "loop" }]), AgentError, "EBADF");
});
