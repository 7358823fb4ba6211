// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { Order } from "./in_order.ts";

Deno.test("Order does work in the order of the turns, whenever it comes", () => {
  const done: string[] = [];
  const order = new Order();
  const [a, b, c] = [order.turn(), order.turn(), order.turn()];
  c.do(() => done.push("c1"));
  b.do(() => done.push("b1"));
  a.do(() => done.push("a1"));
  assertEquals(done, ["a1"]);
  b.end();
  a.do(() => done.push("a2"));
  a.end();
  assertEquals(done, ["a1", "a2", "b1", "c1"]);
  c.do(() => done.push("c2"));
  assertEquals(done.at(-1), "c2");
});

Deno.test("Order does what waits when it is told that nothing more comes", () => {
  const done: string[] = [];
  const order = new Order();
  const [_first, b, c] = [order.turn(), order.turn(), order.turn()];
  c.do(() => done.push("c"));
  b.do(() => done.push("b"));
  order.endAll();
  assertEquals(done, ["b", "c"]);
});
