// SPDX-License-Identifier: MIT

import type { Guest } from "../guest/guest.ts";
import { HarnessFault } from "../harness_fault.ts";
import { ExpectedError } from "../../../vm/host/errors.ts";
import { withMembers } from "../../../vm/host/with_members.ts";

/** Answers of the agent that are kept: those around two checkpoints. */
const MAX_ANSWERS = 16;

/**
 * Does a piece of work with a guest, and keeps its agent's last answers meanwhile, so that a judge that fails on one of
 * them can be given it again.
 *
 * @throws {HarnessFault} with the answers, in place of an error that nobody foresaw
 */
export async function keepAnswers<T>(guest: Guest, work: (guest: Guest) => Promise<T>): Promise<T> {
  const answers: [name: string, bytes: Uint8Array][][] = [];
  let count = 0;
  const keep = <A>(name: string, answer: A): A => {
    const parts = bytesOf(answer);
    if (parts.length === 0) return answer;
    const begin = `${String(++count).padStart(3, "0")}-${name}`;
    answers.push(parts.map(([part, bytes]) => [`${begin}${part}`, bytes]));
    if (answers.length > MAX_ANSWERS) answers.shift();
    return answer;
  };
  const agent = withMembers(guest.agent, (name, value) => {
    if (typeof value !== "function") return value;
    return (...args: unknown[]): unknown => {
      const answer: unknown = value(...args);
      return answer instanceof Promise ? answer.then((result) => keep(name, result)) : answer;
    };
  });
  try {
    return await work(withMembers(guest, (name, value) => name === "agent" ? agent : value));
  } catch (error) {
    throw error instanceof ExpectedError ? error : new HarnessFault(error, new Map(answers.flat()));
  }
}

/** The parts of an answer that are bytes, by the ends of their names; "" for an answer that is nothing else. */
function bytesOf(answer: unknown): [name: string, bytes: Uint8Array][] {
  if (answer instanceof Uint8Array) return [["", answer]];
  if (typeof answer !== "object" || answer === null) return [];
  const entries: [string, unknown][] = answer instanceof Map ? [...answer] : Object.entries(answer);
  return entries.filter((entry): entry is [string, Uint8Array] => entry[1] instanceof Uint8Array)
    .map(([name, bytes]) => [`.${name.replaceAll("/", "_")}`, bytes]);
}
