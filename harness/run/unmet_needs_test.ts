// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import type { Scenario } from "../../lib/model/scenario.ts";
import { readCatalogue } from "./catalogue.ts";
import { PLATFORMS } from "./platform.ts";
import { unmetNeed } from "./unmet_needs.ts";

const platform = PLATFORMS.find(({ name }) => name === "compat")!;
const config = new Map([["CONFIG_KSM", "y"], ["CONFIG_ZRAM", "m"]]);

function scenario(parts: Partial<Scenario>): Scenario {
  return { name: "made", about: "", ...parts };
}

Deno.test("unmetNeed() names what kernel, target or configuration lack", () => {
  const reason = (needs: Parameters<typeof unmetNeed>[0]["needs"]) =>
    unmetNeed(scenario({ ...needs && { needs } }), { platform, config, release: "6.1.9" });
  assertEquals(reason(undefined), undefined);
  assertEquals(reason({ kernel: ["x86_64"], target: ["i386"], config: ["CONFIG_KSM"] }), undefined);
  assertEquals(reason({ kernel: ["i386", "i386-pae"] }), "needs a kernel of i386 or i386-pae");
  assertEquals(reason({ target: ["x86_64"] }), "needs a target of x86_64");
  assertEquals(
    reason({ config: ["CONFIG_KSM", "CONFIG_SWAP"] }),
    "needs CONFIG_SWAP, which this kernel has not",
  );
  assertEquals(reason({ series: ["6.1"] }), undefined);
  assertEquals(reason({ series: ["5.10", "6.12"] }), "needs Linux 5.10 or 6.12");
  // A module would have to be loaded.
  assertEquals(reason({ config: ["CONFIG_ZRAM"] }), "needs CONFIG_ZRAM, which this kernel has not");
});

Deno.test("unmetNeed() does not guess what an unknown configuration holds", () => {
  const needs = { config: ["CONFIG_KSM"] };
  const reason = (release?: string) =>
    unmetNeed(scenario({ needs }), { platform, config: undefined, release });
  assertEquals(reason("6.1.9"), "needs CONFIG_KSM, and the kernel came without its .config");
  assertEquals(reason(), undefined);
});

Deno.test("unmetNeed() does not ask an old kernel for an option that did not exist yet", () => {
  const needs = { config: ["CONFIG_MODIFY_LDT_SYSCALL"] };
  const reason = (release: string) => unmetNeed(scenario({ needs }), { platform, config, release });
  assertEquals(reason("2.6.28-rc7"), undefined);
  assertEquals(reason("4.3.0"), "needs CONFIG_MODIFY_LDT_SYSCALL, which this kernel has not");
});

Deno.test("unmetNeed() names what an old kernel has not, and the release that brought it", () => {
  const steps: Scenario["steps"] = [{ op: "madvise", area: "a", pages: "all", advice: "dontdump" }];
  const reason = (release: string) => unmetNeed(scenario({ steps }), { platform, config, release });
  assertEquals(reason("2.6.28-rc7"), "needs Linux 3.4: madvise dontdump");
  assertEquals(reason("3.4"), undefined);
});

Deno.test("unmetNeed() leaves out what 2.6.28-rc7 was seen to lack, and nothing that ran there", async () => {
  const i386 = PLATFORMS.find(({ name }) => name === "i386")!;
  const needs = { platform: i386, config: undefined, release: "2.6.28-rc7" };
  const skipped = (await readCatalogue()).filter((one) => unmetNeed(one, needs)).map(({ name }) => name);
  const lacking = ["refuse_hugetlb", "refuse_shm", "namespace_pid", "vmas_flags_differ"];
  const killed = ["growsdown", "growsdown_split", "stack", "fork_heap_and_stack"];
  for (const name of [...lacking, ...killed]) assert(skipped.includes(name), name);
  const ran = [
    "growsdown_untouched",
    "ldt_loaded",
    "file_unlinked",
    "mlock_file",
    "refuse_dev_mem",
    "brk_grow",
  ];
  for (const name of ran) assert(!skipped.includes(name), name);
});
