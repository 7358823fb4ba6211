// SPDX-License-Identifier: MIT

import {
  argument,
  extractArgumentMetavars,
  extractOptionNames,
  formatMessage,
  map,
  type Message,
  message,
  multiple,
  object,
  option,
  optional,
  or,
  parse,
  type Parser,
  text,
  type ValueParser,
} from "@optique/core";
import { resolve } from "@std/path";
import { didYouMean } from "../../vm/host/did_you_mean.ts";
import { type ExitStatus, UsageError } from "../../vm/host/errors.ts";
import type { Terminal } from "../report/terminal.ts";
import type { CommandReport } from "../run/command_outcome.ts";
import { parseBytes, parseSeconds } from "../run/quantity.ts";

type OptionName = `--${string}`;

/** An option or word of a command, for the name that a table gives it. */
type Option<T> = (name: OptionName) => Parser<"sync", T, unknown>;

/** Options by their names in camel case, in the order of the help. */
type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** What a command line gives for a table of options. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: ReturnType<T[K]> extends Parser<"sync", infer V, unknown> ? V : never;
};

/** What a command has beside its options. */
export interface CommandContext {
  /** The command line as it was, up to `--`. */
  readonly args: readonly string[];
  /** The words behind `--`. */
  readonly program: readonly string[];
  readonly terminal: Terminal;
  /** For what ends in good order: from the first look at it on, signals no longer end the process at once. */
  readonly signal: AbortSignal;
}

type Carry = (context: CommandContext) => Promise<Done>;

/** An exit status, with what there is to tell beside it, or that of a program which was run for the user. */
type Done = ExitStatus | CommandReport | { readonly programStatus: number };

/** One command. */
export interface Command {
  /** What it does, in a line. */
  readonly about: string;
  readonly parser: Parser<"sync", Carry, unknown>;
  /** Whether `--` ends the options and a program follows. */
  readonly takesProgram: boolean;
}

/** Makes a command of its options and what it does with their values. */
export function defineCommand<T extends OptionTable>(
  options: T,
  { about, takesProgram = false, run }: {
    about: string;
    takesProgram?: boolean;
    run(options: OptionValues<T>, context: CommandContext): Promise<Done>;
  },
): Command {
  const parser = map(optionsParser(options), (values): Carry => (context) => {
    context.terminal.isQuiet = "quiet" in values && values.quiet === true;
    return run(values, context);
  });
  return { about, parser, takesProgram };
}

/** The parser of a table of options. */
export function optionsParser<T extends OptionTable>(table: T): Parser<"sync", OptionValues<T>, unknown> {
  const parsers = Object.entries(table).map(([key, option]) => [key, option(optionName(key))] as const);
  const names = parsers.flatMap(([_, { usage }]) => [...extractOptionNames(usage)]);
  const needed = parsers.flatMap(([_, { usage }]) =>
    usage.some((term) => term.type === "optional" || (term.type === "multiple" && term.min === 0))
      ? []
      : [...extractOptionNames(usage), ...extractArgumentMetavars(usage)]
  );
  const errors = {
    unexpectedInput: (word: string) => unexpected(word, names),
    endOfInput: missing(...needed),
  };
  return object(Object.fromEntries(parsers), { errors }) as Parser<"sync", OptionValues<T>, unknown>;
}

function optionName(key: string): OptionName {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function unexpected(word: string, names: readonly string[]): Message {
  if (!word.startsWith("-")) return message`${text(`unexpected word "${word}"`)}`;
  const name = word.split("=", 1)[0]!;
  return message`${text(`unknown option ${name}${didYouMean(name, names)}`)}`;
}

/** Parses a command line. @throws {UsageError} naming what it cannot be */
export function parseArguments<T>(parser: Parser<"sync", T, unknown>, args: readonly string[]): T {
  const parsed = parse(parser, args);
  if (parsed.success) return parsed.value;
  throw usageError(parsed.error);
}

/** The error of a command line that cannot be parsed. */
export function usageError(error: Message): UsageError {
  return new UsageError(formatMessage(error, { quotes: false }).replace(/\.$/, ""));
}

/** What an option takes; or only what stands for it in the help: any text, of FILE and DIR as a whole path. */
type Kind = ValueParser<"sync", unknown> | Uppercase<string>;
type ValueOf<K extends Kind> = K extends { readonly placeholder: infer T } ? T : string;

/** An option without a value. */
export function flag(help: string): Option<boolean> {
  return (name) => option(name, described(name, help));
}

/** An option with a value, which need not be given; it may have more names. */
export function value<K extends Kind>(
  kind: K,
  help: string,
  ...names: OptionName[]
): Option<ValueOf<K> | undefined> {
  return (name) => optional(option(name, ...names, parserOf(kind), described(name, help)));
}

/** An option with a value, which must be given. */
export function required<K extends Kind>(kind: K, help: string): Option<ValueOf<K>> {
  return (name) => option(name, parserOf(kind), described(name, help));
}

/** An option that may be given more than once. */
export function values<K extends Kind>(kind: K, help: string): Option<readonly ValueOf<K>[]> {
  return (name) => multiple(option(name, parserOf(kind), described(name, help)));
}

/** The same, whose values may also stand alone. */
export function valuesOrWords<K extends Kind>(kind: K, help: string): Option<readonly ValueOf<K>[]> {
  return (name) => multiple(or(required(kind, help)(name), word(kind, help)(name)));
}

/** A word that must be there. */
export function word<K extends Kind>(kind: K, help: string): Option<ValueOf<K>> {
  const parser = parserOf(kind);
  return () => argument(parser, described(parser.metavar, help));
}

/** A word that need not be there. */
export function optionalWord<K extends Kind>(kind: K, help: string): Option<ValueOf<K> | undefined> {
  return (name) => optional(word(kind, help)(name));
}

/** Words, of which there must be at least one. */
export function words<K extends Kind>(kind: K, help: string): Option<readonly ValueOf<K>[]> {
  const errors = { tooFew: missing(parserOf(kind).metavar) };
  return (name) => multiple(word(kind, help)(name), { min: 1, errors });
}

function described(name: string, help: string) {
  const isOption = name.startsWith("--");
  const invalidValue = (
    error: Message,
  ): Message => [text(isOption ? `option ${name} ` : `${name} `), ...error];
  const absent = isOption ? { missing: missing(name) } : { endOfInput: missing(name) };
  return { description: message`${text(help)}`, errors: { invalidValue, ...absent } };
}

function missing(...names: string[]): Message {
  return message`${text(`missing: ${names.join(" and ")}`)}`;
}

function parserOf<K extends Kind>(kind: K): ValueParser<"sync", ValueOf<K>> {
  const parser: ValueParser<"sync", unknown> = typeof kind === "string" ? textKind(kind) : kind;
  return parser as ValueParser<"sync", ValueOf<K>>;
}

/** A path at which something is there already, as `isIt` finds; what it throws is a no. */
export function existing(
  metavar: "FILE" | "DIR",
  what: string,
  isIt: (path: string) => boolean,
): ValueParser<"sync", string> {
  const parse = (text: string): string | undefined => {
    try {
      return isIt(resolve(text)) ? resolve(text) : undefined;
    } catch {
      return undefined;
    }
  };
  return { ...textKind(metavar), parse: kindOf({ metavar, what, parse }).parse };
}

function textKind(metavar: string): ValueParser<"sync", string> {
  const type = metavar === "DIR"
    ? "directory"
    : metavar === "FILE" || metavar === "IMAGE"
    ? "file"
    : undefined;
  const parse = (text: string): string => metavar === "DIR" || metavar === "FILE" ? resolve(text) : text;
  return {
    ...kindOf({ metavar, what: "a text", parse }),
    *suggest(pattern) {
      if (type !== undefined) yield { kind: "file", type, pattern };
    },
  };
}

/** What an option takes: what stands for it in the help, what is said of a wrong text, and what a right one means. */
export function kindOf<T>(
  { metavar, what, parse, choices }: {
    metavar: string;
    what: string;
    /** Undefined for a wrong one. */
    parse(text: string): T | undefined;
    /** All values, where they are few. */
    choices?: readonly (T & string)[];
  },
): ValueParser<"sync", T> {
  return {
    ...{ mode: "sync", metavar: metavar as "X", placeholder: "" as T, format: String },
    ...choices && { choices },
    parse(input) {
      if (input === "") return { success: false, error: message`needs a value` };
      const value = parse(input);
      if (value !== undefined) return { success: true, value };
      const error = `takes ${what}: found "${input}"${didYouMean(input, choices ?? [])}`;
      return { success: false, error: [text(error)] };
    },
    *suggest(prefix) {
      for (const choice of choices ?? []) {
        if (choice.startsWith(prefix)) yield { kind: "literal", text: choice };
      }
    },
  };
}

/** One of a few words. */
export function oneOf<const T extends string>(choices: readonly T[]): ValueParser<"sync", T> {
  const parse = (text: string): T | undefined => choices.find((choice) => choice === text);
  return kindOf({ metavar: "NAME", what: choices.join(", "), parse, choices });
}

/** A whole number in a range. */
export function wholeNumber(min: number, max: number): ValueParser<"sync", number> {
  const isInRange = (text: string): boolean => /^\d+$/.test(text) && +text >= min && +text <= max;
  const parse = (text: string): number | undefined => isInRange(text) ? Number(text) : undefined;
  return kindOf({ metavar: "N", what: `a whole number from ${min} to ${max}`, parse });
}

/** A duration, in seconds. */
export const TIME: ValueParser<"sync", number> = kindOf({
  ...{ metavar: "TIME", what: "a time such as 90min or 2h" },
  parse: (text) => parseSeconds(text) || undefined,
});

/** A number of bytes. */
export const SIZE: ValueParser<"sync", number> = kindOf({
  ...{ metavar: "SIZE", what: "a size such as 500M or 20G" },
  parse: parseBytes,
});

/** The options of a table that were given, for another command line. */
export function optionArgs(values: Readonly<Record<string, unknown>>, table: OptionTable): string[] {
  return Object.keys(table).flatMap((key) => {
    const value = values[key];
    const given = value === undefined || value === false ? [] : Array.isArray(value) ? value : [value];
    return given.flatMap((one) => one === true ? [optionName(key)] : [optionName(key), String(one)]);
  });
}
