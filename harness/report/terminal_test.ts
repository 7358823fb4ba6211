// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { findingText, mismatch } from "../../lib/image/finding.ts";
import { Terminal } from "./terminal.ts";

function fakeTerminal(
  isTerminal: boolean,
  variables: Record<string, string> = {},
): { terminal: Terminal; out: () => string; err: () => string } {
  const stream = () => {
    let text = "";
    const decoder = new TextDecoder();
    return {
      isTerminal: () => isTerminal,
      writeSync: (bytes: Uint8Array) => (text += decoder.decode(bytes), bytes.length),
      text: () => text,
    };
  };
  const [out, err] = [stream(), stream()];
  const env = { get: (name: string) => variables[name] };
  return { terminal: new Terminal({ out, err, env }), out: out.text, err: err.text };
}

const NAME = "x\x1b[2J\x9b31m\u202e\u2028";
const SHOWN = "x\\u001b[2J\\u009b31m\\u202e\\u2028";

Deno.test("Terminal writes nothing that a guest could steer it by", () => {
  const { terminal, out, err } = fakeTerminal(false);
  terminal.result(`FAIL  ${NAME}`);
  terminal.note(`note ${NAME}`);
  terminal.status(`running ${NAME}`);
  assertEquals([out(), err()], [`FAIL  ${SHOWN}\n`, `note ${SHOWN}\nrunning ${SHOWN}\n`]);
});

Deno.test("Terminal keeps its own colours, and takes those of a guest away", () => {
  const { terminal, out } = fakeTerminal(true);
  terminal.result(`${terminal.style("ok", "pass")} \x1b[31m${NAME}`);
  assertEquals(out(), `\x1b[32mok\x1b[0m \\u001b[31m${SHOWN}\n`);
});

Deno.test("NO_COLOR, then FORCE_COLOR, then the terminal and TERM decide on colours", () => {
  const isColoured = (isTerminal: boolean, variables: Record<string, string>) =>
    fakeTerminal(isTerminal, variables).terminal.style("ok", "pass") !== "ok";
  for (
    const [isTerminal, variables, coloured] of [
      [true, {}, true],
      [false, {}, false],
      [true, { TERM: "dumb" }, false],
      [true, { NO_COLOR: "1" }, false],
      [true, { NO_COLOR: "" }, true],
      [false, { FORCE_COLOR: "1" }, true],
      [true, { FORCE_COLOR: "0" }, false],
      [true, { FORCE_COLOR: "1", TERM: "dumb" }, true],
      [true, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
    ] as const
  ) assertEquals(isColoured(isTerminal, variables), coloured, JSON.stringify([isTerminal, variables]));
});

Deno.test("a terminal that cannot move its cursor gets lines, and a quiet one no progress", () => {
  const dumb = fakeTerminal(true, { TERM: "dumb" });
  dumb.terminal.status("1 of 2", "running");
  dumb.terminal.status("2 of 2", "running");
  dumb.terminal.result("done");
  assertEquals([dumb.out(), dumb.err()], ["done\n", "1 of 2\n"]);
  const quiet = fakeTerminal(false);
  quiet.terminal.isQuiet = true;
  quiet.terminal.status("running");
  quiet.terminal.result("done");
  assertEquals([quiet.out(), quiet.err()], ["done\n", ""]);
});

Deno.test("a finding stays one line, whatever a guest calls its files", () => {
  const name = "/tmp/\nok    x86_64  all\u001b[1A";
  assertEquals(
    findingText(mismatch("E_FILE", { path: "vma[0]", message: "another name", actual: name })),
    "mismatch E_FILE vma[0]: another name: got /tmp/\\nok    x86_64  all\\u001b[1A",
  );
});
