// SPDX-License-Identifier: MIT

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../../vm/host/errors.ts";

/** Which options a command takes. */
export interface OptionNames {
  /** Options with a value. */
  readonly string?: readonly string[];
  /** Options with a value that may be given more than once. */
  readonly collect?: readonly string[];
  readonly boolean?: readonly string[];
  /** False for a command that takes options alone. */
  readonly words?: boolean;
  /** Whether `--` ends the options and the words after it are kept. */
  readonly rest?: boolean;
}

/** A command line taken apart. */
export interface ParsedOptions {
  readonly words: string[];
  readonly rest: string[];
  string(name: string): string | undefined;
  list(name: string): string[];
  flag(name: string): boolean;
  /** A whole number in a range. */
  number(name: string, range: { min: number; max: number }): number | undefined;
}

/**
 * Takes a command line apart.
 *
 * @throws {UsageError} naming an option that the command does not have, or that lacks its value
 */
export function parseOptions(args: readonly string[], names: OptionNames): ParsedOptions {
  const strings = [...names.string ?? [], ...names.collect ?? []];
  const parsed = parseArgs([...args], {
    // "_" are the words: one that looks like a number stays as it is.
    string: [...strings, "_"],
    collect: strings,
    boolean: [...names.boolean ?? []],
    "--": names.rest ?? false,
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`unknown option ${arg.split("=")[0]}`);
    },
  }) as Record<string, unknown>;
  const words = (parsed._ as unknown[]).map(String);
  if (names.words === false && words.length > 0) throw new UsageError(`unexpected word "${words[0]}"`);
  const list = (name: string): string[] => (parsed[name] as string[] | undefined) ?? [];
  for (const name of strings) {
    if (list(name).includes("")) throw new UsageError(`option --${name} needs a value`);
    if (list(name).length > 1 && names.string?.includes(name)) {
      throw new UsageError(`option --${name} may be given once`);
    }
  }
  const string = (name: string): string | undefined => list(name)[0];
  return {
    words,
    rest: (parsed["--"] as string[] | undefined) ?? [],
    string,
    list,
    flag: (name) => parsed[name] === true,
    number: (name, { min, max }) => {
      const text = string(name);
      if (text === undefined) return undefined;
      const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
      if (!(value >= min && value <= max)) {
        throw new UsageError(
          `option --${name} must be a whole number from ${min} to ${max}: found "${text}"`,
        );
      }
      return value;
    },
  };
}
