// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/cli` and its module `parse-args` where only the npm registry can be reached: the same code
 * as packed for npm, with the declaration that the package lacks.
 *
 * @module
 */
// @ts-types="./types.d.ts"
export * from "npm:deno-std@1.4.0/cli/parse_args.js";
