// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { unpackRecordedCase } from "../../lib/compare/testing/recorded_case.ts";
import type { ImageCase } from "./judge_image.ts";
import { JudgePool } from "./judge_pool.ts";

const FILE = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const { arch, series, kernel, raw, image } = await unpackRecordedCase(await Deno.readFile(FILE));
const CASE: ImageCase = {
  ...{ arch, series, kernel, raw, image, dialect: "port", prediction: undefined, self: undefined },
};

Deno.test("an interrupt ends all judges, whatever they do, and none is started any more", async () => {
  const controller = new AbortController();
  using judges = new JudgePool(2, controller.signal);
  const asked = Promise.allSettled([CASE, CASE, CASE].map(judges.judge));
  assertEquals(judges.busy, 2);
  controller.abort("interrupted by SIGINT");
  assertEquals(judges.busy, 0);
  for (const end of [...await asked, ...await Promise.allSettled([judges.judge(CASE)])]) {
    assertEquals([end.status, String((end as PromiseRejectedResult).reason)], [
      "rejected",
      "InterruptedError: interrupted by SIGINT",
    ]);
  }
  assertEquals(judges.busy, 0);
});
