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

Deno.test("withDeadline() has what came while this process was busy, however long that was", async () => {
  const directory = await Deno.makeTempDir();
  using listener = Deno.listen({ transport: "unix", path: `${directory}/socket` });
  using near = await Deno.connect({ transport: "unix", path: `${directory}/socket` });
  using far = await listener.accept();
  const answer = withDeadline(near.read(new Uint8Array(8)), 20, "an answer");
  const sent = far.write(Uint8Array.of(1, 2, 3));
  // The whole thread stands still, as in a long piece of work.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  assertEquals(await answer, 3);
  await sent;
  await Deno.remove(directory, { recursive: true });
});
