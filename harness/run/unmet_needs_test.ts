// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { PLATFORMS } from "./platform.ts";
import { unmetNeed } from "./unmet_needs.ts";

const platform = PLATFORMS.find(({ name }) => name === "compat")!;
const config = new Map([["CONFIG_KSM", "y"], ["CONFIG_ZRAM", "m"]]);

Deno.test("unmetNeed() names what kernel, target or configuration lack", () => {
  const reason = (needs: Parameters<typeof unmetNeed>[0]["needs"]) =>
    unmetNeed(needs ? { needs } : {}, { platform, config });
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
  const reason = unmetNeed({ needs: { config: ["CONFIG_KSM"] } }, { platform, config: undefined });
  assertEquals(reason, "needs CONFIG_KSM, and the kernel came without its .config");
});
