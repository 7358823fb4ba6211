// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { JobTemp } from "./judge_job.ts";

Deno.test("what a killed run left is removed by the next; what belongs to a running one stays", async () => {
  const base = await Deno.makeTempDir();
  try {
    const old = new Date(Date.now() - 600_000);
    await Deno.mkdir(`${base}/ckptest-jobs-dead/job`, { recursive: true });
    await Deno.mkdir(`${base}/ckptest-jobs-young`);
    await Deno.mkdir(`${base}/of-another-program`);
    await using running = await JobTemp.make(base);
    for (const path of [`${base}/ckptest-jobs-dead`, `${base}/of-another-program`, running.path]) {
      await Deno.utime(path, old, old);
    }
    await using next = await JobTemp.make(base);
    assert(!await exists(`${base}/ckptest-jobs-dead`));
    for (const name of ["ckptest-jobs-young", "of-another-program"]) {
      assert(await exists(`${base}/${name}`), name);
    }
    assert(await exists(running.path));
    const inside = await next.with(async (path) => {
      await Deno.writeTextFile(`${path}/left`, "");
      return path;
    });
    assert(!await exists(inside));
    assertEquals(inside.startsWith(next.path), true);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});
