// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { Terminal } from "../../harness/report/terminal.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";

/** By platform, what /proc/cpuinfo must not say, or with a plus must say. */
const FLAGS = {
  "x86_64": ["+fsgsbase", "+xsave", "+fxsr", "+sse", "+nx", "pti"],
  "x86_64-nofsgsbase": ["fsgsbase"],
  "x86_64-noxsave": ["xsave", "avx"],
  "x86_64-nonx": ["nx"],
  "x86_64-pti": ["+pti"],
  "i386": ["+fxsr", "+sse"],
  "i386-nofxsr": ["fxsr", "sse", "xsave"],
};

for (const platform of parsePlatforms({ arch: Object.keys(FLAGS).join(), fallback: "x86_64" })) {
  Deno.test(`the processor of ${platform.name} is as its name says`, async () => {
    const prepared = await prepareGuest(platform, { terminal: new Terminal() });
    await using guest = await prepared.startGuest();
    const text = new TextDecoder().decode(await guest.agent.readFile("/proc/cpuinfo"));
    const told = new Set(/^flags\s*: (.*)$/m.exec(text)![1]!.split(" "));
    for (const flag of FLAGS[platform.name as keyof typeof FLAGS]) {
      assertEquals(told.has(flag.replace("+", "")), flag.startsWith("+"), flag);
    }
  });
}
