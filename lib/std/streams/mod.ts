// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/streams` where only the npm registry can be reached: the same code as packed for
 * npm, with the declarations that the package lacks.
 *
 * @module
 */
// @ts-types="./types.d.ts"
export * from "npm:deno-std@1.4.0/streams/mod.js";
