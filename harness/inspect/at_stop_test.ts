// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { ExpectedError, UsageError } from "../../vm/host/errors.ts";
import { findStop } from "./at_stop.ts";

Deno.test("findStop() takes the first stop, or the one that is named, or where a program waits", async () => {
  const stopOf = async (text: string) => (await findStop(text)).stop;
  assertEquals(await stopOf("file_unmounted_again"), "hidden");
  assertEquals(await stopOf("file_unmounted_again:detached"), "detached");
  assertEquals(await stopOf("busybox_sh"), "blocked");
});

Deno.test("findStop() names what there is not", async () => {
  await assertRejects(() => findStop("anon_dirti"), UsageError, "did you mean anon_dirty");
  await assertRejects(
    () => findStop("file_unmounted_again:hiden"),
    UsageError,
    'no stop "hiden": did you mean hidden?',
  );
  await assertRejects(() => findStop("stress_executed"), UsageError, "races its target");
  await assertRejects(() => findStop("/no/such.json:x"), ExpectedError, "no such scenario file");
});
