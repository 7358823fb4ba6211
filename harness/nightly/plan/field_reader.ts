// SPDX-License-Identifier: MIT

import { UsageError } from "../../../vm/host/errors.ts";

/** A value of a file of ours, with the place where it stands, so that a mistake can be named. */
export class FieldReader {
  readonly value: unknown;
  readonly #place: string;

  /** @param place file and path within it, such as `nightly.json: jobs[0]` */
  constructor(value: unknown, place: string) {
    this.value = value;
    this.#place = place;
  }

  /** Refuses the value. */
  fail(expected: string): never {
    const found = this.value === undefined ? "nothing" : JSON.stringify(this.value);
    const short = found.length > 80 ? `${found.slice(0, 77)}...` : found;
    throw new UsageError(`${this.#place.replace(/: $/, "")}: expected ${expected}, found ${short}`);
  }

  /** A part of an object; its value is undefined when it is not there. */
  at(name: string): FieldReader {
    const fields = this.value as Record<string, unknown>;
    const separator = this.#place.endsWith(": ") ? "" : ".";
    return new FieldReader(
      Object.hasOwn(fields, name) ? fields[name] : undefined,
      `${this.#place}${separator}${name}`,
    );
  }

  /** The value as an object that has no other names than these. */
  object(names: readonly string[]): this {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.fail("an object");
    for (const name of Object.keys(value as object)) {
      if (!names.includes(name)) {
        throw new UsageError(
          `${this.#place.replace(/: $/, "")}: expected only ${names.join(", ")}, found "${name}"`,
        );
      }
    }
    return this;
  }

  /** The items of a list that has at least one, unless it may be empty. */
  list({ mayBeEmpty = false } = {}): FieldReader[] {
    const { value } = this;
    if (!Array.isArray(value)) this.fail("a list");
    if (value.length === 0 && !mayBeEmpty) this.fail("a list of at least one");
    return (value as unknown[]).map((item, index) => new FieldReader(item, `${this.#place}[${index}]`));
  }

  /** A text that is not empty. */
  string(expected = "a text"): string {
    if (typeof this.value !== "string" || this.value === "") this.fail(expected);
    return this.value as string;
  }

  /** One of a few texts. */
  oneOf<const T extends string>(choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    return found ?? this.fail(`one of ${choices.join(", ")}`);
  }

  /** A whole number in a range. */
  integer(min: number, max: number): number {
    const { value } = this;
    const fits = typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
    return fits ? value : this.fail(`a whole number from ${min} to ${max}`);
  }
}
