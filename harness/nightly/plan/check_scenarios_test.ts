// SPDX-License-Identifier: MIT

import { assertRejects } from "@std/assert";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { ExpectedError } from "../../../vm/host/errors.ts";
import { checkScenarios } from "./check_scenarios.ts";
import type { PlannedJob } from "./planned_job.ts";

const WRONG: Scenario = {
  name: "wrong",
  about: "Wrong.",
  steps: [{ op: "mprotect", area: "none", pages: "all", prot: "r" }, { op: "stop", label: "x" }],
};
const GOOD: Scenario = { name: "minimal", about: "Good.", steps: [{ op: "stop", label: "x" }] };

function job(suiteKind: PlannedJob["suiteKind"], args: string[]): PlannedJob {
  return {
    ...{
      name: `${suiteKind} ${args.join(" ")}`,
      suiteKind,
      platform: "x86_64",
      kernel: "6.1",
      flavour: "plain",
    },
    ...{
      suite: suiteKind,
      deadlineSeconds: 1,
      reproduce: "",
      command: { kind: "ckptest", args, writesResults: true },
    },
  };
}

function check(jobs: readonly PlannedJob[], selected = jobs): Promise<void> {
  return checkScenarios({ jobs, selected: selected.map(({ name }) => name) }, [WRONG, GOOD]);
}

Deno.test("checkScenarios() compiles what each job will run, on its platform", async () => {
  const whole = job("catalogue", ["run"]);
  const message = "1 scenario cannot be compiled for x86_64:\n  wrong: $.steps[0] (mprotect)";
  await assertRejects(() => check([whole]), ExpectedError, message);
  const old = job("faults", ["faults", "--series", "5.10", "--filter", "wrong"]);
  await assertRejects(() => check([old]), ExpectedError, "1 scenario cannot be compiled for x86_64@5.10:");
});

Deno.test("checkScenarios() leaves out what no job runs", async () => {
  const wrong = job("catalogue", ["run"]);
  const others = [
    job("catalogue", ["run", "--filter", "minimal"]),
    job("faults", ["faults"]),
    job("fuzz", ["fuzz"]),
    job("corruptions", []),
  ];
  await check(others);
  await check([wrong, ...others], others);
});
