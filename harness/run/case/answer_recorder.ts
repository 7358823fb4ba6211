// SPDX-License-Identifier: MIT

import type { Guest, GuestAgent } from "../guest/guest.ts";
import { HarnessFault } from "../harness_fault.ts";
import { ExpectedError } from "../../../vm/host/errors.ts";

/** Answers of the agent that are kept: those around two checkpoints. */
const MAX_ANSWERS = 16;

/** Keeps the last answers of a guest's agent, so that a judge that fails on one of them can be given it again. */
export class AnswerRecorder {
  /** The guest, with an agent that is listened to. */
  readonly guest: Guest;
  #answers: { name: string; bytes: ReadonlyMap<string, Uint8Array> }[] = [];
  #count = 0;

  constructor(guest: Guest) {
    const agent = withOwn(guest.agent, (name, value) => {
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const answer: unknown = value.apply(guest.agent, args);
        return answer instanceof Promise ? answer.then((result) => this.#keep(String(name), result)) : answer;
      };
    });
    this.guest = withOwn(guest, (name, value) => {
      if (name === "agent") return agent;
      return typeof value === "function" ? value.bind(guest) : value;
    });
  }

  /**
   * Does a piece of work with the guest.
   *
   * @throws {HarnessFault} with the last answers, in place of an error that nobody foresaw
   */
  async record<T>(work: (guest: Guest) => Promise<T>): Promise<T> {
    this.#answers = [];
    this.#count = 0;
    try {
      return await work(this.guest);
    } catch (error) {
      if (error instanceof ExpectedError) throw error;
      const files = this.#answers.flatMap(({ name, bytes }) =>
        [...bytes].map(([part, data]) => [part === "" ? name : `${name}.${part}`, data] as const)
      );
      throw new HarnessFault(error, new Map(files));
    }
  }

  #keep<T>(name: string, result: T): T {
    const bytes = bytesOf(result);
    if (bytes.size > 0) {
      this.#answers.push({ name: `${String(++this.#count).padStart(3, "0")}-${name}`, bytes });
      if (this.#answers.length > MAX_ANSWERS) this.#answers.shift();
    }
    return result;
  }
}

/** The parts of an answer that are bytes, by their names; "" for an answer that is nothing else. */
function bytesOf(answer: unknown): Map<string, Uint8Array> {
  if (answer instanceof Uint8Array) return new Map([["", answer]]);
  if (typeof answer !== "object" || answer === null) return new Map();
  const entries: [string, unknown][] = answer instanceof Map ? [...answer] : Object.entries(answer);
  const parts = entries.filter((entry): entry is [string, Uint8Array] => entry[1] instanceof Uint8Array);
  return new Map(parts.map(([name, bytes]) => [name.replaceAll("/", "_"), bytes]));
}

/** The same object with some of its properties replaced; methods must be given the object itself as `this`. */
function withOwn<T extends Guest | GuestAgent>(
  object: T,
  property: (name: string | symbol, value: unknown) => unknown,
): T {
  return new Proxy(object, { get: (target, name) => property(name, Reflect.get(target, name)) });
}
