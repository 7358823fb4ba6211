// SPDX-License-Identifier: MIT
/**
 * Makes the sessions below `fixtures/sessions` out of the model, so that a fresh clone runs the judge of v11 images
 * where the recorded sessions are absent.
 *
 *     deno run -P=vm tests/synthesize_v11_sessions.ts
 *
 * To be run again when the model, or the words of scenarios, have changed on purpose.
 *
 * @module
 */
import { endProgram } from "./end_program.ts";
import { fromFileUrl } from "@std/path";
import type { SessionKernel } from "../harness/run/case/testing/session.ts";
import { synthesizeSession, syntheticTarget } from "../harness/run/case/testing/synthesize_session.ts";
import { readCatalogue } from "../harness/run/catalogue.ts";
import { packFixture } from "../lib/compare/testing/recorded_case.ts";
import { selfScenario } from "../lib/model/scenario.ts";
import { compileTargetOf } from "./v11_sessions.ts";

/** The kernel that the synthetic sessions are of. */
export const SYNTHETIC_KERNEL: SessionKernel = {
  ...{ release: "2.6.28-rc7", version: "#1 Fri Dec 5 12:00:00 UTC 2008", machine: "i686" },
  cpuinfo: new TextEncoder().encode("flags\t\t: fpu fxsr sse sse2 xsave nx\n"),
  target: syntheticTarget(),
};

const SCENARIOS = [
  "mixed",
  "mixed_tls",
  "tls_labels",
  "exec_drops_ldt_and_tls",
  "refuse_each_then_save",
  "refuse_chroot",
];

if (import.meta.main) {
  await endProgram(async () => {
    const target = compileTargetOf(SYNTHETIC_KERNEL);
    for (const scenario of await readCatalogue()) {
      if (!SCENARIOS.includes(scenario.name)) continue;
      const packed = await packFixture(synthesizeSession(selfScenario(scenario), SYNTHETIC_KERNEL, target));
      await Deno.writeFile(
        fromFileUrl(new URL(`../fixtures/sessions/${scenario.name}.json.gz`, import.meta.url)),
        packed,
      );
      console.log(`${scenario.name}: ${packed.length} bytes`);
    }
  });
}
