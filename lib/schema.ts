// SPDX-License-Identifier: MIT
/**
 * What every schema of JSON from outside is made of. The message of a schema is what it expects, so that one
 * formatter can name file, JSON path, expected and found for all of them.
 *
 * @module
 */
import * as v from "valibot";

/** JSON from outside that is not what it must be: one line a mistake. */
export class SchemaError extends SyntaxError {
  /** The name of the class. */
  override name = "SchemaError";
}

/** How {@linkcode parseJson} tells of mistakes. */
interface ParseOptions {
  readonly file: string;
  /** The class of its errors; {@linkcode SchemaError} by default. */
  readonly error?: new (message: string) => Error;
}

/** A union's members as one type: what not all of them have is optional. */
export type Merged<Union> =
  & { readonly [Key in keyof Union]: Union[Key] }
  & { readonly [Key in Exclude<AnyKey<Union>, keyof Union>]?: ValueOf<Union, Key> };

type AnyKey<Union> = Union extends unknown ? keyof Union : never;
type ValueOf<Union, Key> = Union extends unknown ? Key extends keyof Union ? Union[Key] : never : never;

/** An object with these keys and no others. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.StrictObjectSchema<Entries, v.ErrorMessage<v.StrictObjectIssue>> {
  const schema = v.strictObject(entries, (issue: v.StrictObjectIssue) => {
    const last = issue.path?.at(-1);
    if (last?.origin !== "key") return "an object";
    const key = String(last.key);
    if (!Object.hasOwn(entries, key)) return `one of the keys ${Object.keys(entries).join(", ")}`;
    const { message } = entries[key] as { message?: unknown };
    return typeof message === "string" ? message : "a value";
  });
  return noList(schema);
}

/** An object whose keys are of one kind, and its values of another. */
export function record<const Value extends v.GenericSchema>(
  key: v.GenericSchema<string>,
  value: Value,
): v.GenericSchema<Readonly<Record<string, v.InferOutput<Value>>>> {
  return noList(v.record(key, value, "an object"));
}

/** To valibot a list is an object, too. */
function noList<Schema extends v.GenericSchema>(schema: Schema): Schema {
  return {
    ...schema,
    "~run"(dataset, config) {
      if (!Array.isArray(dataset.value)) return schema["~run"](dataset, config);
      v._addIssue(schema as never, "type", dataset, config);
      return dataset as never;
    },
  };
}

/** A key that may be absent, with a description, which an editor shows. */
export function optional<const Schema extends v.GenericSchema>(
  schema: Schema,
  description?: string,
): v.ExactOptionalSchema<Schema, undefined> {
  const told = description === undefined ? schema : described(description, schema);
  return v.exactOptional(told as unknown as Schema);
}

/** The same schema with a description, which an editor shows. */
export function described<const Schema extends v.GenericSchema>(
  description: string,
  schema: Schema,
): v.SchemaWithPipe<readonly [Schema, v.DescriptionAction<v.InferOutput<Schema>, string>]> {
  return v.pipe(schema, v.description(description));
}

/** One of some objects, told apart by the value of a key. */
export function variant<Output>(key: string, options: readonly v.GenericSchema[]): v.GenericSchema<Output> {
  const words = options.map((option) => {
    const { entries } = option as unknown as { entries: Record<string, { literal: string }> };
    return entries[key]!.literal;
  });
  const schema = v.variant(key, options as unknown as [v.StrictObjectSchema<never, undefined>], (issue) => {
    return issue.path?.at(-1)?.key === key ? `one of ${words.join(", ")}` : "an object";
  });
  return schema as unknown as v.GenericSchema<Output>;
}

/** One of some words or numbers. */
export function oneOf<const Options extends readonly (string | number)[]>(
  options: Options,
): v.PicklistSchema<Options, string> {
  return v.picklist(
    options,
    options.length === 1 ? JSON.stringify(options[0]) : `one of ${options.join(", ")}`,
  );
}

/** The keys of a table, as the list of words that {@linkcode oneOf} and {@linkcode wordSet} take. */
export function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): readonly Key[] {
  return Object.keys(table) as Key[];
}

/** A whole number within bounds. */
export function integer(least: number, most: number): v.GenericSchema<number> {
  return bounded(least, most, `a whole number from ${least} to ${most}`);
}

function bounded(least: number, most: number, expected: string): v.GenericSchema<number> {
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(least, expected),
    v.maxValue(most, expected),
  );
}

/** A string of a certain form. */
export function text(pattern: RegExp, expected: string): v.GenericSchema<string> {
  return v.pipe(v.string(expected), v.regex(pattern, expected));
}

/** A list of at least `least` items. */
export function list<const Item extends v.GenericSchema>(
  item: Item,
  least = 0,
): v.GenericSchema<readonly v.InferInput<Item>[], readonly v.InferOutput<Item>[]> {
  const expected = least === 0 ? "a list" : `a list of at least ${least}`;
  return v.pipe(v.array(item, expected), v.minLength(least, expected));
}

/** A list of words, each at most once. */
export function wordSet<const Options extends readonly string[]>(
  options: Options,
): v.GenericSchema<readonly Options[number][]> {
  const schema = v.array(oneOf(options), "a list of words");
  return v.pipe(schema, v.check((words) => new Set(words).size === words.length, "each word once"));
}

/**
 * A value that one of some schemas takes; `expected` is told where the kind of the value is wrong. If one of them alone
 * takes objects, it says what is wrong about an object.
 */
export function either<const Schemas extends readonly v.GenericSchema[]>(
  expected: string,
  ...schemas: Schemas
): v.UnionSchema<Schemas, string> {
  const union = v.union(schemas, expected);
  const [forObjects, ...more] = schemas.filter(({ type }) => type === "strict_object" || type === "variant");
  if (forObjects === undefined || more.length > 0) return union;
  const isObject = (value: unknown): boolean =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  return {
    ...union,
    "~run": (dataset, config) => {
      const schema = isObject(dataset.value) ? forObjects : union;
      return schema["~run"](dataset, config) as ReturnType<typeof union["~run"]>;
    },
  };
}

/** A whole number within bounds, or a string of a certain form. */
export function numberOrText(
  { least, most, pattern, expected }: { least: number; most: number; pattern: string; expected: string },
): v.GenericSchema<number | string> {
  return either(expected, bounded(least, most, expected), text(new RegExp(`^(?:${pattern})$`), expected));
}

/**
 * Checks a parsed JSON value.
 *
 * @throws {SchemaError} or the class asked for, with a line for each mistake: file, JSON path, expected, found
 */
export function parseJson<const Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  { file, error = SchemaError }: ParseOptions,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw new error(result.issues.map((issue) => `${file}: ${describeIssue(issue)}`).join("\n"));
}

/**
 * Parses JSON text and checks the value.
 *
 * @throws {SchemaError} or the class asked for, also where the text is not JSON
 */
export function parseJsonText<const Schema extends v.GenericSchema>(
  schema: Schema,
  source: string,
  options: ParseOptions,
): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    const { file, error: ErrorClass = SchemaError } = options;
    throw new ErrorClass(`${file}: $: expected JSON, found ${(error as SyntaxError).message}`);
  }
  return parseJson(schema, value, options);
}

/** Path (RFC 9535), what was expected and what was found. */
function describeIssue({ path, message, input }: v.BaseIssue<unknown>): string {
  const found = JSON.stringify(input) ?? "nothing";
  const shown = found.length > 200 ? `${found.slice(0, 200)} ...` : found;
  return `${jsonPath((path ?? []).map(({ key }) => key))}: expected ${message}, found ${shown}`;
}

/** Keys and indexes as a JSON path: `$.steps[2]["odd key"]`. */
export function jsonPath(keys: readonly unknown[]): string {
  const steps = keys.map((key) => {
    if (typeof key === "string" && /^[A-Za-z_]\w*$/.test(key)) return `.${key}`;
    return `[${JSON.stringify(key)}]`;
  });
  return `$${steps.join("")}`;
}
