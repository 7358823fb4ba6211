// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { findingText, mismatch } from "../../lib/image/finding.ts";
import { Terminal } from "./terminal.ts";

function fakeTerminal(isTerminal: boolean): { terminal: Terminal; out: () => string; err: () => string } {
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
  return { terminal: new Terminal(out, err), out: out.text, err: err.text };
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
  const isPlain = Deno.env.get("NO_COLOR") !== undefined && Deno.env.get("NO_COLOR") !== "";
  terminal.result(`${terminal.style("ok", "pass")} \x1b[31m${NAME}`);
  assertEquals(out(), `${isPlain ? "ok" : "\x1b[32mok\x1b[0m"} \\u001b[31m${SHOWN}\n`);
});

Deno.test("a finding stays one line, whatever a guest calls its files", () => {
  const name = "/tmp/\nok    x86_64  all\u001b[1A";
  assertEquals(
    findingText(mismatch("E_FILE", { path: "vma[0]", message: "another name", actual: name })),
    "mismatch E_FILE vma[0]: another name: got /tmp/\\nok    x86_64  all\\u001b[1A",
  );
});
