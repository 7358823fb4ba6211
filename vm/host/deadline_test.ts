// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { DeadlineError, withDeadline } from "./deadline.ts";

Deno.test("withDeadline() passes values and errors through", async () => {
  assertEquals(await withDeadline(Promise.resolve(1), 1000, "x"), 1);
  await assertRejects(() => withDeadline(Promise.reject(new Error("own")), 1000, "x"), Error, "own");
});

Deno.test("withDeadline() names what it waited for", async () => {
  const never = new Promise<never>(() => {});
  const error = await assertRejects(() => withDeadline(never, 10, "the moon"), DeadlineError, "the moon");
  assertEquals(error.awaited, "the moon");
});
