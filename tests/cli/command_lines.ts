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

if (import.meta.main) {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const answer = console.log;
  for await (const line of lines) {
    const output: string[] = [];
    const errors: string[] = [];
    console.log = (text: string) => output.push(`${text}\n`);
    console.error = (text: string) => errors.push(`${text}\n`);
    const code = await runCommandLine(JSON.parse(line));
    answer(JSON.stringify({ code, stdout: output.join(""), stderr: errors.join("") }));
  }
}
