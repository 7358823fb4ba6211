// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { tryFileLock, withFileLock } from "./file_lock.ts";

Deno.test("withFileLock() lets one in at a time and says who is waited for", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const order: string[] = [];
    const waited: string[] = [];
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const entered = Promise.withResolvers<void>();
    const first = withFileLock(`${dir}/lock`, async () => {
      order.push("first in");
      entered.resolve();
      await pause(60);
      order.push("first out");
    });
    await entered.promise;
    const options = { pollMs: 5, onWait: (holder: string) => void waited.push(holder) };
    await withFileLock(`${dir}/lock`, () => Promise.resolve(order.push("second in")), options);
    await first;
    assertEquals(order, ["first in", "first out", "second in"]);
    assertEquals(waited, [String(Deno.pid)]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("withFileLock() frees the lock when the work throws", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const failed = await withFileLock(`${dir}/lock`, () => Promise.reject(new Error("boom")))
      .catch((error: Error) => error.message);
    assertEquals(failed, "boom");
    let waited = false;
    await withFileLock(`${dir}/lock`, () => Promise.resolve(), { onWait: () => void (waited = true) });
    assert(!waited);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("tryFileLock() runs nothing while another holds the lock, and does not wait", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/lock`;
    assertEquals(await tryFileLock(path, () => Promise.resolve("free")), "free");
    const inner = await withFileLock(path, () => tryFileLock(path, () => Promise.resolve("run")));
    assertEquals(inner, undefined);
    assertEquals(await tryFileLock(path, () => Promise.resolve("free again")), "free again");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
