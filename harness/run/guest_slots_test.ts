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
