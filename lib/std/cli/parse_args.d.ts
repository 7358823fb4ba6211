// SPDX-License-Identifier: MIT

// A plainer typing than the one on JSR: flags are named in string, boolean, collect and negatable lists,
// without dots or aliases in the result's type. What checks against this checks against JSR's too.

type Flags<Boolean extends string, String extends string, Collect extends string, Negatable extends string> =
  & { [Name in Exclude<Boolean, Collect>]: boolean }
  & { [Name in Extract<Boolean, Collect>]: boolean[] }
  & { [Name in Exclude<String, Collect>]?: Name extends Negatable ? string | false : string }
  & { [Name in Extract<String, Collect>]: Name extends Negatable ? string[] | false : string[] }
  & { [Name in Exclude<Collect, Boolean | String>]: unknown[] };

type WithDefaults<Values, Defaults> =
  & Omit<Values, keyof Defaults>
  & {
    [Name in keyof Defaults]: Name extends keyof Values ? Widened<Defaults[Name]> | NonNullable<Values[Name]>
      : unknown;
  };

type Widened<Value> = Value extends boolean ? boolean : Value extends string ? string : Value;

/** What {@linkcode parseArgs} returns: the flags by name, and in `_` all that is not a flag. */
export type Args<
  Values = Record<string, unknown>,
  DoubleDash extends boolean = false,
> =
  & { [Name in keyof Values]: Values[Name] }
  & { _: Array<string | number> }
  & (DoubleDash extends true ? { "--": string[] } : unknown)
  & { [name: string]: unknown };

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<
  Boolean extends string = string,
  String extends string = string,
  Collect extends string = string,
  Negatable extends string = string,
  Defaults extends Record<string, unknown> = Record<string, unknown>,
  DoubleDash extends boolean = boolean,
> {
  /** Whether arguments after `--` go to `result["--"]` in place of `result._`. */
  "--"?: DoubleDash;
  /** Other names for a flag. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Flags that take no value; absent ones are `false`. */
  boolean?: readonly Boolean[];
  /** Values of flags that are not given. */
  default?: Defaults;
  /** Whether the first argument that is no flag ends the parsing. */
  stopEarly?: boolean;
  /** Flags whose value stays a string; `_` keeps the other arguments strings as well. */
  string?: readonly String[];
  /** Flags that may be repeated; their values come as an array, empty when absent. */
  collect?: readonly Collect[];
  /** Flags that `--no-NAME` sets to `false`. */
  negatable?: readonly Negatable[];
  /** Called for each argument that no other option names; `false` drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Splits command line arguments into flags and the rest. */
export declare function parseArgs<
  const Boolean extends string = never,
  const String extends string = never,
  const Collect extends string = never,
  const Negatable extends string = never,
  Defaults extends Record<string, unknown> = Record<never, never>,
  const DoubleDash extends boolean = false,
>(
  args: string[],
  options?: ParseOptions<Boolean, String, Collect, Negatable, Defaults, DoubleDash>,
): Args<WithDefaults<Flags<Boolean, String, Collect, Negatable>, Defaults>, DoubleDash>;
