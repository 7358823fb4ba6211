// SPDX-License-Identifier: MIT
/**
 * Stands in for `jsr:@std/fs` where only the npm registry can be reached: the asynchronous functions that
 * this project uses, under the same names and signatures, over Node's built-ins.
 *
 * @module
 */
export * from "./copy.ts";
export * from "./empty_dir.ts";
export * from "./ensure_dir.ts";
export * from "./exists.ts";
export * from "./move.ts";
export * from "./walk.ts";
