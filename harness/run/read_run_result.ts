// SPDX-License-Identifier: MIT

import { RUN_RESULT_SCHEMA, type RunResult } from "./run_result.ts";

/** Reads a `results.json`; gives a sentence on what is wrong with it when it is none. */
export async function readRunResult(path: string): Promise<RunResult | string> {
  let value: Partial<RunResult>;
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    return error instanceof Deno.errors.NotFound
      ? `${path} was not written`
      : `${path} cannot be read: ${(error as Error).message}`;
  }
  if (value?.schema !== RUN_RESULT_SCHEMA) {
    return `${path}: expected a result of schema ${RUN_RESULT_SCHEMA}, found ${value?.schema ?? "none"}`;
  }
  const { counts, bytes, results, kernels } = value;
  if (!counts || !bytes || !Array.isArray(results) || !Array.isArray(kernels)) {
    return `${path}: expected counts, bytes, kernels and results`;
  }
  return value as RunResult;
}
