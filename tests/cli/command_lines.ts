// SPDX-License-Identifier: MIT
/**
 * Carries out one command line after another, to spare a process for each: each line of standard input is the JSON of
 * its arguments, each line of standard output its exit status and what it said on the two outputs.
 */
import { fromFileUrl } from "@std/path";
import { TextLineStream } from "@std/streams";
import { runCommandLine } from "../../harness/cli/command_line.ts";

/** This program. */
export const COMMAND_LINES: string = fromFileUrl(import.meta.url);

/** What is written to standard output or standard error. */
class Captured {
  #text = "";

  constructor(stream: typeof Deno.stdout) {
    const decoder = new TextDecoder();
    stream.writeSync = (bytes) => {
      this.#text += decoder.decode(bytes, { stream: true });
      return bytes.length;
    };
    stream.write = (bytes) => Promise.resolve(stream.writeSync(bytes));
  }

  add(text: string): void {
    this.#text += `${text}\n`;
  }

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }
}

if (import.meta.main) {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const answer = console.log;
  const output = new Captured(Deno.stdout);
  const errors = new Captured(Deno.stderr);
  console.log = (text: string) => output.add(text);
  console.error = (text: string) => errors.add(text);
  for await (const line of lines) {
    const code = await runCommandLine(JSON.parse(line));
    answer(JSON.stringify({ code, stdout: output.take(), stderr: errors.take() }));
  }
}
