// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import type { Scenario } from "../../lib/model/scenario.ts";
import TIMES from "../../fixtures/scenario_times.json" with { type: "json" };
import { ScenarioQueue } from "./scenario_queue.ts";

function scenarios(names: readonly string[]): Scenario[] {
  return names.map((name) => ({ name, about: "x", steps: [] }));
}

function orderOf(names: readonly string[], times: Record<string, number>, guests: number): string[] {
  const queue = new ScenarioQueue(scenarios(names), { times: new Map(Object.entries(times)), guests });
  const order: string[] = [];
  for (let next; (next = queue.next());) order.push(next.name);
  return order;
}

Deno.test("ScenarioQueue keeps to the catalogue, but no long scenario is left for the end", () => {
  const times = { a: 100, b: 100, c: 100, d: 400 };
  assertEquals(orderOf(["a", "b", "c", "d"], times, 1), ["a", "b", "c", "d"]);
  assertEquals(orderOf(["a", "b", "c", "d"], times, 2), ["d", "a", "b", "c"]);
  // The rest takes long enough: the long one can wait, and does not wait too long.
  const many = Array.from({ length: 30 }, (_, index) => `${index}`.padStart(2, "0"));
  const known = Object.fromEntries(many.map((name) => [name, 100]));
  const order = orderOf([...many, "z"], { ...known, z: 400 }, 2);
  assertEquals([order[0], order.indexOf("z")], ["00", 19]);
});

Deno.test("ScenarioQueue has scenarios that nobody has run where the catalogue has them", () => {
  assertEquals(orderOf(["a", "new", "b"], { a: 10, b: 500 }, 2), ["b", "a", "new"]);
  assertEquals(orderOf(["c", "b", "a"], {}, 4), ["c", "b", "a"]);
});

Deno.test("ScenarioQueue gives again what was put back, first", () => {
  const queue = new ScenarioQueue(scenarios(["a", "b"]), { times: new Map(), guests: 2 });
  const first = queue.next()!;
  queue.putBack(first);
  assertEquals([queue.next(), queue.next()?.name, queue.next()], [first, "b", undefined]);
});

Deno.test("ScenarioQueue starts no guest more where that takes longer than it saves", () => {
  const isWorth = (ms: number, running: number) =>
    new ScenarioQueue(scenarios(["a"]), { times: new Map([["a", ms]]), guests: 8 }).isWorthAGuest(running);
  assertEquals([isWorth(100, 0), isWorth(100, 1), isWorth(5000, 1), isWorth(5000, 7)], [
    true,
    false,
    true,
    false,
  ]);
});

/** How long a run takes in so many guests, when each scenario takes as long as it did. */
function simulate(times: ReadonlyMap<string, number>, guests: number): number {
  const queue = new ScenarioQueue(scenarios([...times.keys()]), { times, guests });
  const ends: number[] = [];
  while (ends.length < guests && queue.isWorthAGuest(ends.length)) ends.push(600);
  for (let next; (next = queue.next());) {
    const first = ends.indexOf(Math.min(...ends));
    ends[first]! += times.get(next.name)!;
  }
  return Math.max(...ends);
}

Deno.test("a run becomes shorter nearly as it has more guests, up to eight, by recorded times", () => {
  const times = new Map(Object.entries(TIMES));
  const one = simulate(times, 1);
  for (const guests of [2, 4, 8]) {
    const ratio = one / simulate(times, guests);
    assert(ratio > 0.9 * guests, `${guests} guests: ${ratio.toFixed(2)} times as fast`);
  }
});
