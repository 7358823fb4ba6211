// SPDX-License-Identifier: MIT

import { assert } from "@std/assert";
import { harnessFiles, NOT_COUNTED } from "./harness_digest.ts";

Deno.test("each pattern of files that decide no outcome fits one that is there", async () => {
  const files = await harnessFiles();
  for (const pattern of NOT_COUNTED) assert(files.some((file) => pattern.test(file)), String(pattern));
});
