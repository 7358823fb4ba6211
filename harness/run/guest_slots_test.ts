// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { GuestSlots } from "./guest_slots.ts";

Deno.test("GuestSlots lets so many work at a time, in the order in which they asked, failed or not", async () => {
  const slots = new GuestSlots(2);
  const log: string[] = [];
  let working = 0;
  let most = 0;
  const works = ["a", "b", "c", "d"].map((name) =>
    slots.with(async () => {
      most = Math.max(most, ++working);
      log.push(name);
      await Promise.resolve();
      working--;
      if (name === "b") throw new RangeError("b");
    })
  );
  const ends = await Promise.allSettled(works);
  assertEquals(ends.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  assertEquals([log, most], [["a", "b", "c", "d"], 2]);
});

Deno.test("GuestSlots gives each platform its share, and what comes free to who wants more", async () => {
  const slots = new GuestSlots(2, 2);
  const log: string[] = [];
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const platform = (name: string, work: () => Promise<void>): Promise<void>[] => {
    const share = slots.share();
    return [0, 1].map((index) =>
      slots.with(() => {
        log.push(`${name}${index}`);
        return work();
      }, { more: index >= share })
    );
  };
  const first = platform("a", () => end);
  const second = platform("b", () => Promise.resolve());
  await Promise.all(second.slice(0, 1));
  resolve();
  await Promise.all([...first, ...second]);
  assertEquals(log, ["a0", "b0", "a1", "b1"]);
  assertEquals(new GuestSlots(3, 2).share(), 2);
  const late = new GuestSlots(2, 2);
  late.share();
  assertEquals(late.share(), 2);
});
