// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { buildKernelFor } from "../../harness/run/guest/platform_kernel.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { checkVmlinuxLayout } from "../layout_probe.ts";

for (const platform of PLATFORMS.slice(0, 2)) {
  const arch = platform.name;
  Deno.test(`the debug information of the ${arch} vmlinux agrees with the struct tables`, async () => {
    const build = await buildKernelFor(platform, new Terminal());
    const { checked, differences } = await checkVmlinuxLayout(build.vmlinux);
    assertEquals(differences, []);
    assert(checked > 90, `more than 90 sizes and offsets were compared: ${checked}`);
  });
}
