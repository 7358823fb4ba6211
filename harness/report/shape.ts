// SPDX-License-Identifier: MIT

/** What a value of a JSON file must look like. */
export type Shape =
  | "string"
  | "number"
  | "boolean"
  | { readonly optional: Shape }
  | { readonly list: Shape }
  | { readonly record: Shape }
  | { readonly oneOf: readonly string[] }
  | { readonly fields: Readonly<Record<string, Shape>> };

/** A JSON file that is not as it must be: which file, where in it, what was expected and what was found. */
export class ShapeError extends Error {
  override name = "ShapeError";
}

/**
 * Checks that a value has a shape. Fields that the shape does not name are let through: a later version may
 * add some.
 *
 * @param at where the value is, for the message: a file, then a path within it
 * @throws {ShapeError}
 */
export function checkShape(value: unknown, shape: Shape, at: string): void {
  if (typeof shape === "string") {
    const found: string = typeof value;
    if (found !== shape) throw wrong(at, `a ${shape}`, value);
    if (shape === "number" && !Number.isFinite(value)) throw wrong(at, "a finite number", value);
  } else if ("optional" in shape) {
    if (value !== undefined) checkShape(value, shape.optional, at);
  } else if ("oneOf" in shape) {
    if (typeof value !== "string" || !shape.oneOf.includes(value)) {
      throw wrong(at, `one of ${shape.oneOf.map((word) => `"${word}"`).join(", ")}`, value);
    }
  } else if ("list" in shape) {
    if (!Array.isArray(value)) throw wrong(at, "a list", value);
    value.forEach((item, index) => checkShape(item, shape.list, `${at}[${index}]`));
  } else {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw wrong(at, "an object", value);
    }
    const object = value as Record<string, unknown>;
    const shapes = "fields" in shape
      ? Object.entries(shape.fields)
      : Object.keys(object).map((key) => [key, shape.record] as const);
    for (const [key, inner] of shapes) {
      // Not what the object inherits: "constructor" of a record is no value.
      checkShape(Object.hasOwn(object, key) ? object[key] : undefined, inner, joinPath(at, key));
    }
  }
}

function joinPath(at: string, key: string): string {
  const name = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  return at.endsWith(": ") ? `${at}${name}` : `${at}.${name}`;
}

function wrong(at: string, expected: string, value: unknown): ShapeError {
  const where = at.endsWith(": ") ? `${at}the whole` : at;
  return new ShapeError(`${where}: expected ${expected}, found ${describe(value)}`);
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
