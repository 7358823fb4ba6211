// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { checkWithGcore, readCore } from "../../harness/check/gcore.ts";
import { installFiles } from "../../harness/run/guest/scenario_files.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { runProgram } from "../../harness/run/case/run_program.ts";
import { guestKernel } from "../../harness/run/case/scenario_runner.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { readImage, vmaPages } from "../../lib/image/image.ts";
import { parseScenario } from "../../lib/model/scenario.ts";

Deno.test("one flipped byte in gdb's core gives itself away, and a core that is cut short", async () => {
  const scenario = parseScenario({
    about: "The program of this test.",
    judge: "gcore",
    program: { argv: ["/bin/cat"], package: "coreutils" },
  }, "gcore_test");
  const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal(), scenarios: [scenario] });
  assertEquals(prepared.skipReason(scenario), undefined);
  await using guest = await prepared.startGuest();
  await installFiles(guest.agent, prepared.filesOf.get(scenario.name)!);
  const found: string[][] = [];
  await runProgram(guest, scenario.program!, {
    kernel: await guestKernel(guest, prepared),
    secondCheck: async ({ raw: { pid }, image }) => {
      const { vaddr } = readImage(image).tasks[0]!.vmas.flatMap((vma) => [...vmaPages(vma)]).at(-1)!;
      const flip = (core: Uint8Array): void => {
        const segment = readCore(core).findLast(({ address }) => address <= vaddr);
        assert(segment, "the last page of the image is in the core");
        segment.bytes[Number(vaddr - segment.address) + 9]! ^= 1;
      };
      const damage = (core: Uint8Array): void => void core.fill(0, 0, 64);
      for (const tamper of [() => {}, flip, damage]) {
        const { findings } = await checkWithGcore(guest.agent, { pid, image, tamper });
        found.push(findings.map(({ id, path }) => `${id} ${path.split(", ").at(-1)}`));
      }
      assertEquals(found, [[], [`E_CORE_DIFFERS page 0x${vaddr.toString(16)}`], ["E_GCORE gdb"]]);
      return { findings: [] };
    },
  });
  assertEquals(found.length, 3);
});
