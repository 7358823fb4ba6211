// SPDX-License-Identifier: MIT

// A plainer typing than the one on JSR: what checks against this checks against JSR's too.

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions {
  /** Whether arguments after `--` go to `result["--"]` in place of `result._`. */
  "--"?: boolean;
  /** Flags that take no value; absent ones are `false`. */
  boolean?: readonly string[];
  /** Flags whose value stays a string; `_` keeps the other arguments strings as well. */
  string?: readonly string[];
  /** Flags that may be repeated; their values come as an array, empty when absent. */
  collect?: readonly string[];
  /** Called for each argument that no other option names; `false` drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Splits command line arguments into flags by name and the rest in `_`. */
export declare function parseArgs(args: string[], options?: ParseOptions): Record<string, unknown>;
