// SPDX-License-Identifier: MIT

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "./exit_status.ts";

/** Which options a command takes. */
export interface OptionNames {
  /** Options with a value. */
  readonly string?: readonly string[];
  /** Options with a value that may be given more than once. */
  readonly collect?: readonly string[];
  readonly boolean?: readonly string[];
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
    string: strings,
    collect: [...names.collect ?? []],
    boolean: [...names.boolean ?? []],
    "--": names.rest ?? false,
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`unknown option ${arg.split("=")[0]}`);
    },
  }) as Record<string, unknown>;
  for (const name of strings) {
    const value = parsed[name];
    const values = Array.isArray(value) ? value : value === undefined ? [] : [value];
    if (values.includes("")) throw new UsageError(`option --${name} needs a value`);
    if (Array.isArray(value) && names.string?.includes(name)) {
      throw new UsageError(`option --${name} may be given once`);
    }
  }
  const string = (name: string): string | undefined => parsed[name] as string | undefined;
  return {
    words: (parsed._ as unknown[]).map(String),
    rest: (parsed["--"] as string[] | undefined) ?? [],
    string,
    list: (name) => (parsed[name] as string[] | undefined) ?? [],
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
