// SPDX-License-Identifier: MIT

import { assertThrows } from "@std/assert";
import { parseScenario, ScenarioError } from "./scenario.ts";

function parse(fields: Record<string, unknown>): void {
  parseScenario({ about: "a scenario of a test", steps: [{ op: "stop", label: "s", ...fields }] }, "test");
}

Deno.test("a stop says who calls, where the image goes and what happens meanwhile", () => {
  parse({ call: { uid: 1, pid: "init" }, to: { kind: "file", path: "/work/x", flags: ["O_APPEND"] } });
  parse({ whileBlocked: [{ at: 0, do: "poke", area: "a", page: 1, value: 2 }, { at: 5, do: "kill" }] });
});

Deno.test("words about a call that are none name the field, what was expected and what was found", () => {
  const file = { kind: "file", path: "/work/x" };
  const wrong: [Record<string, unknown>, string][] = [
    [{ call: { user: 1 } }, "call.user: expected one of the keys uid, "],
    [{ call: { uid: "root" } }, "call.uid: expected a whole number from 0"],
    [{ call: [] }, "call: expected an object"],
    [{ call: { signals: "maybe" } }, "call.signals: expected one of ignored, fatal"],
    [{ call: { times: -5 } }, "call.times: expected a whole number from 1 to 10000, found -5"],
    [{ call: { pid: 2 ** 31 } }, "call.pid: expected a whole number from -2147483648 to 2147483647"],
    [{ call: { pid: "me" } }, "call.pid: expected target, self, "],
    [{ to: {} }, "to.kind: expected one of pipe, socket"],
    [{ to: { kind: "disk" } }, "to.kind: expected one of pipe, socket"],
    [{ to: { kind: "file" } }, "to.path: expected an absolute path"],
    [{ to: { ...file, path: "/work/../etc/x" } }, "to.path: expected an absolute path without . and .."],
    [
      { to: { kind: "pipe", path: "/x" } },
      "to.path: expected one of the keys kind, size, readerClosesAfter, flags",
    ],
    [{ to: { ...file, flags: "O_APPEND" } }, "to.flags: expected a list of words"],
    [{ to: { ...file, flags: ["O_FOO"] } }, "to.flags[0]: expected one of O_RDONLY"],
    [{ to: { ...file, fsSize: 4097 } }, "to.fsSize: expected a whole number of pages"],
    [{ to: { kind: "memfd", seals: ["F_SEAL"] } }, "to.seals[0]: expected one of F_SEAL_GROW"],
    [{ whileBlocked: [] }, "whileBlocked: expected a list of at least 1"],
    [{ whileBlocked: [{ do: "kill" }] }, "whileBlocked[0].at: expected a number of bytes"],
    [
      { whileBlocked: [{ at: 5, do: "kill" }, { at: 4, do: "kill" }] },
      `whileBlocked: expected actions whose "at" does not`,
    ],
    [{ whileBlocked: [{ at: 5 }] }, "whileBlocked[0].do: expected one of nothing, kill"],
    [{ whileBlocked: [{ at: 5, do: "sing" }] }, "whileBlocked[0].do: expected one of nothing, kill"],
    [{ whileBlocked: [{ at: 0.5, do: "kill" }] }, "whileBlocked[0].at: expected a whole number"],
    [{ whileBlocked: [{ at: "VMA", do: "kill" }] }, "whileBlocked[0].at: expected a number of bytes"],
    [{ whileBlocked: [{ at: 5, do: "poke" }] }, "whileBlocked[0].area: expected a plain name"],
    [
      { whileBlocked: [{ at: 5, do: "kill", signal: "SIGKILL" }] },
      "whileBlocked[0].signal: expected one of the keys at, do",
    ],
    [{ whileBlocked: { at: 5, do: "kill" } }, "whileBlocked: expected a list"],
  ];
  for (const [fields, message] of wrong) {
    assertThrows(() => parse(fields), ScenarioError, `test: $.steps[0].${message}`);
  }
});
