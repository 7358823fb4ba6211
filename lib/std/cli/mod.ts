// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/cli` where only the npm registry can be reached. Without unicodeWidth(): the table
 * that it needs is missing from the npm package.
 *
 * @module
 */
export * from "./parse_args.ts";
