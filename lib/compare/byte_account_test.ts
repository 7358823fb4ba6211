// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { addCounts, ByteAccount } from "./byte_account.ts";

Deno.test("ByteAccount counts each byte once, in the class that came first", () => {
  const account = new ByteAccount(20);
  account.claim(0, 8, "predicted");
  account.claim(4, 8, "observed");
  account.claimVolatile(10, 4, { name: "time", reason: "it passes" });
  account.claimVolatile(16, 2, { name: "time", reason: "it passes" });
  assertEquals(account.counts(), { total: 20, predicted: 8, observed: 4, volatile: 4, unexplained: 4 });
  assertEquals([...account.volatileNames], [["time", { bytes: 4, reason: "it passes" }]]);
});

Deno.test("ByteAccount.unexplainedRuns() tells where bytes are that nothing explains", () => {
  const account = new ByteAccount(20);
  assertEquals(account.unexplainedRuns(), [{ offset: 0, length: 20 }]);
  account.claim(3, 2, "predicted");
  account.claim(10, 9, "observed");
  assertEquals(account.unexplainedRuns(), [
    { offset: 0, length: 3 },
    { offset: 5, length: 5 },
    { offset: 19, length: 1 },
  ]);
  assertEquals(account.unexplainedRuns(2).length, 2);
  account.claim(0, 20, "predicted");
  assertEquals([account.unexplainedRuns(), account.counts().unexplained], [[], 0]);
});

Deno.test("ByteAccount refuses bytes outside the image", () => {
  const account = new ByteAccount(4);
  assertThrows(() => account.claim(2, 3, "predicted"), RangeError, "2 to 5");
  assertThrows(() => account.claim(5, 1, "observed"), RangeError);
});

Deno.test("addCounts() adds every class", () => {
  const sum = { total: 1, predicted: 2, observed: 3, volatile: 4, unexplained: 5 };
  addCounts(sum, { total: 10, predicted: 20, observed: 30, volatile: 40, unexplained: 50 });
  assertEquals(sum, { total: 11, predicted: 22, observed: 33, volatile: 44, unexplained: 55 });
});
