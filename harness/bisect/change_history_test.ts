// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ChangeHistory, pickChange } from "./change_history.ts";
import { scriptedChange, scriptedLine } from "./testing/scripted_history.ts";

/** Histories in which lines part and meet. */
export const HISTORIES = fc.array(fc.tuple(fc.nat(), fc.option(fc.nat())), { minLength: 1, maxLength: 40 })
  .map((draws) =>
    new ChangeHistory([
      scriptedChange(0, []),
      ...draws.map(([first, second], index) => {
        const parents = [
          index - first % Math.min(index + 1, 3),
          ...second === null ? [] : [second % (index + 1)],
        ];
        return scriptedChange(index + 1, [...new Set(parents)]);
      }),
    ])
  );

Deno.test("weights() counts the changes that each contains", () => {
  fc.assert(fc.property(HISTORIES, fc.func(fc.boolean()), (history, isAmong) => {
    const among = new Set(history.changes.map(({ id }) => id).filter((id) => isAmong(id)));
    // Suspects hold no gaps: what lies between two of them is one of them.
    const closed = new Set(
      history.changes.map(({ id }) => id).filter((id) =>
        among.has(id) ||
        ([...among].some((above) => history.ancestors(above).has(id)) &&
          [...among].some((below) => history.ancestors(id).has(below)))
      ),
    );
    for (const [id, weight] of history.weights(closed)) {
      assertEquals(weight, [...history.ancestors(id)].filter((other) => closed.has(other)).length, id);
    }
  }));
});

Deno.test("pickChange() halves, and looks elsewhere after a skip", () => {
  const history = scriptedLine(16);
  const suspects = new Set(history.changes.slice(1).map(({ id }) => id));
  const pick = (skips: number, without: string[] = []) =>
    pickChange(history, { suspects, untried: suspects.difference(new Set(without)), skips })?.id;
  assertEquals(pick(0), "8");
  assertEquals(pick(1, ["8"]), "4");
  assertEquals(pick(2, ["8", "4"]), "12");
  assertEquals(pick(3, ["8", "4", "12"]), "2");
  assertEquals(pickChange(history, { suspects, untried: new Set(), skips: 0 }), undefined);
});

Deno.test("a history refuses what comes twice or before its parent", () => {
  assertThrows(() => new ChangeHistory([scriptedChange(1), scriptedChange(1)]), RangeError, "twice");
  assertThrows(
    () => new ChangeHistory([scriptedChange(2), scriptedChange(1)]),
    RangeError,
    "before its parent",
  );
  assertThrows(() => scriptedLine(3).get("9"), RangeError, "no change 9");
});
