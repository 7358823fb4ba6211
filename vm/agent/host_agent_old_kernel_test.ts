// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import { parsePagemap } from "../../lib/compare/pagemap.ts";
import { BlockHash } from "../../lib/abi/block_hash.ts";
import { fillPage } from "../../lib/model/state/page_content.ts";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { AgentError } from "./agent_session.ts";
import { canStartHostAgent, STAND_IN_NR, startHostAgent } from "./testing/host_agent.ts";
import { type Arch, ARCHES, AREA, comesToState, mapArea, NR, runToStop } from "./testing/host_agent_case.ts";

// The agent on a kernel of 2008, as far as one can be made up: vm/guest/testing/host_kernel.c says what is missing.

function oldTest(
  name: string,
  work: (agent: Awaited<ReturnType<typeof startHostAgent>>, arch: Arch) => Promise<void>,
) {
  for (const arch of ARCHES) {
    Deno.test({
      name: `agent on an old kernel, ${arch}: ${name}`,
      ignore: !canStartHostAgent(),
      async fn() {
        await using agent = await startHostAgent(arch, { kernel: "2.6.28" });
        await work(agent, arch);
      },
    });
  }
}

function stopOps(arch: Arch): TargetOp[] {
  return [
    mapArea(arch),
    { op: "fill", address: AREA, pages: 2, seed: 5, stride: 3 },
    { op: "stop", label: 0, killNr: NR[arch].kill },
  ];
}

oldTest(
  "a file that the kernel lacks is not in the answer, where the host said that it may",
  async ({ session }, arch) => {
    const { pid } = await runToStop(session, stopOps(arch));
    assertEquals([...(await session.observe(pid, ["comm?", "maps", "statm?"])).keys()], ["maps", "statm"]);
    await assertRejects(() => session.observe(pid, ["maps", "comm"]), AgentError, "comm");
    // What is not there at all is told as that.
    await assertRejects(() => session.observe(4_000_000, ["comm?"]), AgentError);
  },
);

oldTest(
  "pages are those with a frame, though nothing says that they are present",
  async ({ session }, arch) => {
    assertEquals(session.info.zeroPageFrame, 0n);
    const { pid } = await runToStop(session, stopOps(arch));
    const pages = parsePagemap((await session.observe(pid, ["pages"])).get("pages")!);
    const inArea = pages.filter(({ page }) => page >= Number(AREA >> 12n) && page < Number(AREA >> 12n) + 16);
    assertEquals(inArea.map(({ page, isCut }) => [page - Number(AREA >> 12n), isCut]), [[0, true], [
      3,
      true,
    ]]);
    assert(pages.every(({ isCut }) => isCut));
  },
);

oldTest(
  "memory is read as a tracer, registers without register sets; the process stays stopped",
  async ({ session }, arch) => {
    const { pid } = await runToStop(session, stopOps(arch));
    const digest = new BlockHash().update(fillPage(5, Number(AREA))).digest();
    for (let time = 0; time < 2; time++) {
      const hashes = await session.pageHash(pid, [AREA, AREA + 0x100000n]);
      assertEquals([hashes[0], hashes[1]], [digest, 2n ** 64n - 1n]);
      assert(await comesToState(session, pid, "T"));
      const found = await session.registers(pid);
      const [gpr, fpu] = arch === "i386" ? [68, "fpxregs"] as const : [216, "fpregs"] as const;
      assertEquals([...found].map(([name, { length }]) => [name, length]), [
        ["gpr", gpr],
        [fpu, 512],
        ["debugreg", arch === "i386" ? 32 : 64],
        ["tls", 48],
      ]);
      assert(await comesToState(session, pid, "T"));
    }
    assertEquals([...(await session.registers(pid, { fpu: false })).keys()], ["gpr", "debugreg", "tls"]);
    await session.cont(pid);
    assertEquals(await session.event(), { kind: "exit", pid, code: 0 });
  },
);

oldTest("calls are made, and bring their image home", async ({ session }) => {
  const { result, length } = await session.checkpoint({ nr: STAND_IN_NR, pid: 0, flags: 100_000n });
  assertEquals([result, length], [1n, 100_000]);
  assert((await session.time()).monotonicNs > 0n);
});
