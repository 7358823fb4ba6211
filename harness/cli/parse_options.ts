// SPDX-License-Identifier: MIT

import { parseArgs } from "@std/cli/parse-args";
import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";

/** An option of a command: its help, behind what stands for its value; a flag has none. */
type OptionSpec = string | readonly [value: string, help: string];

/**
 * Options by their names, without the hyphens, in the order of the help. One whose value ends with "..." may be given
 * more than once.
 */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What a command line may hold. */
export interface ArgumentSpecs {
  readonly options?: OptionSpecs;
  /** What a command takes beside options, and what that is; a command without it takes options alone. */
  readonly words?: Readonly<Record<string, string>>;
  /** Whether `--` ends the options and the words after it are kept. */
  readonly rest?: boolean;
}

/** A command line taken apart. */
export interface ParsedOptions {
  /** The command line as it was. */
  readonly args: readonly string[];
  readonly words: readonly string[];
  readonly rest: readonly string[];
  string(name: string): string | undefined;
  /** The value of an option that must be there. */
  required(name: string): string;
  list(name: string): readonly string[];
  flag(name: string): boolean;
  /** A whole number in a range. */
  number(name: string, range: { min: number; max: number }): number | undefined;
  /** One of a few words. */
  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined;
  /** What a function makes of a value, which is undefined for one that is not `what` the option takes. */
  parsed<T>(name: string, parse: (text: string) => T | undefined, what: string): T | undefined;
}

/**
 * Takes a command line apart.
 *
 * @throws {UsageError} naming an option that the command does not have, or that lacks its value
 */
export function parseOptions(args: readonly string[], specs: ArgumentSpecs): ParsedOptions {
  const options = Object.entries(specs.options ?? {});
  const valued = options.filter(([, spec]) => typeof spec !== "string").map(([name]) => name);
  const parsed = parseArgs([...args], {
    // "_" are the words: one that looks like a number stays as it is.
    string: [...valued, "_"],
    collect: valued,
    boolean: options.filter(([, spec]) => typeof spec === "string").map(([name]) => name),
    "--": specs.rest ?? false,
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`unknown option ${arg.split("=")[0]}`);
    },
  }) as Record<string, unknown>;
  const words = (parsed._ as unknown[]).map(String);
  if (!specs.words && words.length > 0) throw new UsageError(`unexpected word "${words[0]}"`);
  const list = (name: string): string[] => (parsed[name] as string[] | undefined) ?? [];
  for (const name of valued) {
    if (list(name).includes("")) throw new UsageError(`option --${name} needs a value`);
    if (list(name).length > 1 && !specs.options![name]![0]!.endsWith("...")) {
      throw new UsageError(`option --${name} may be given once`);
    }
  }
  const string = (name: string): string | undefined => list(name)[0];
  const parse = <T>(name: string, parse: (text: string) => T | undefined, what: string): T | undefined => {
    const text = string(name);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) throw new UsageError(`option --${name} ${what}: found "${text}"`);
    return value;
  };
  return {
    ...{ args, words, rest: (parsed["--"] as string[] | undefined) ?? [], string, list },
    required: (name) => {
      const text = string(name);
      if (text === undefined) throw new UsageError(`option --${name} is missing`);
      return text;
    },
    flag: (name) => parsed[name] === true,
    number: (name, { min, max }) => {
      const isInRange = (text: string): boolean => /^\d+$/.test(text) && +text >= min && +text <= max;
      const number = (text: string): number | undefined => isInRange(text) ? Number(text) : undefined;
      return parse(name, number, `must be a whole number from ${min} to ${max}`);
    },
    choice: (name, choices) =>
      parse(name, (text) => choices.find((choice) => choice === text), `takes ${choices.join(", ")}`),
    parsed: (name, make, what) => parse(name, make, `takes ${what}`),
  };
}

/** The help on words and options, a line each. */
export function optionsHelp({ options = {}, words = {} }: ArgumentSpecs): string[] {
  const lines = [
    ...Object.entries(words),
    ...Object.entries(options).map(([name, spec]) =>
      typeof spec === "string" ? [`--${name}`, spec] : [`--${name} ${spec[0]}`, spec[1]]
    ),
  ];
  const width = Math.max(0, ...lines.map(([what]) => what!.length));
  return lines.map(([what, help]) => `${what!.padEnd(width)}  ${help}`);
}

/** What an option with such a value names may be looked for from elsewhere. */
const PATHS: ReadonlySet<string> = new Set(["DIR", "FILE"]);

/** The options of a command line out of a table, with whole paths: for another command line. */
export function givenOptions(options: ParsedOptions, specs: OptionSpecs): string[] {
  return Object.entries(specs).flatMap(([name, spec]) => {
    if (typeof spec === "string") return options.flag(name) ? [`--${name}`] : [];
    const isPath = PATHS.has(spec[0].replace("...", ""));
    return options.list(name).flatMap((given) => [`--${name}`, isPath ? resolve(given) : given]);
  });
}
