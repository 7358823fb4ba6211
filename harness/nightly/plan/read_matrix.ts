// SPDX-License-Identifier: MIT

import { basename, dirname, isAbsolute, join, resolve } from "@std/path";
import { PLATFORM_NAMES } from "../../../lib/abi/arch.ts";
import { PORTED_SERIES } from "../../../lib/abi/series.ts";
import { KERNEL_FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { FieldReader } from "./field_reader.ts";
import {
  type Matrix,
  type MatrixExclude,
  type MatrixKernel,
  type MatrixProduct,
  type MatrixSuite,
  SUITES,
} from "./matrix.ts";
import { parseJsonc } from "./parse_jsonc.ts";
import { parseSeconds } from "./parse_quantity.ts";

/** The project's own matrix. */
export const DEFAULT_MATRIX: string = join(
  import.meta.dirname ?? ".",
  "..",
  "..",
  "..",
  "fixtures",
  "nightly.json",
);

/** Seconds after which a job is ended, unless the matrix says otherwise. */
const DEADLINE = 4 * 3600;
const MAX = 0x7fff_ffff;

/**
 * Reads a matrix file: JSON with comments.
 *
 * @throws {UsageError} naming the file, the place in it, what was expected and what was found
 */
export async function readMatrix(path: string): Promise<Matrix> {
  const text = await Deno.readTextFile(path).catch((error: Error) => {
    throw new UsageError(`${path}: the matrix cannot be read: ${error.message}`);
  });
  return await parseMatrix(text, path);
}

/** What {@linkcode readMatrix} makes of a text; paths in it begin at the directory of `path`. */
export async function parseMatrix(text: string, path: string): Promise<Matrix> {
  let value: unknown;
  try {
    value = parseJsonc(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${path}: ${error.message}`);
    throw error;
  }
  const root = new FieldReader(value, `${path}: `).object(["about", "deadline", "jobs", "exclude"]);
  const deadline = root.at("deadline");
  const products = root.at("jobs").list().map((item) => readProduct(item, dirname(path), deadline));
  const exclude = root.at("exclude").value === undefined
    ? []
    : root.at("exclude").list({ mayBeEmpty: true }).map(readExclude);
  const digest = (await digestOf([JSON.stringify(value)])).slice(0, 32);
  return { path, digest, products, exclude };
}

function readProduct(item: FieldReader, directory: string, deadline: FieldReader): MatrixProduct {
  item.object(["about", "kernels", "platforms", "flavours", "suites", "deadline"]);
  const own = item.at("deadline");
  const { value } = own.value === undefined ? deadline : own;
  const deadlineSeconds = value === undefined
    ? DEADLINE
    : typeof value === "string"
    ? parseSeconds(value)
    : 0;
  if (!deadlineSeconds) return (own.value === undefined ? deadline : own).fail("a time such as 30min or 4h");
  const flavours = item.at("flavours");
  return {
    kernels: item.at("kernels").list().map((kernel) => readKernel(kernel, directory)),
    platforms: item.at("platforms").list().map((platform) => platform.oneOf(PLATFORM_NAMES)),
    flavours: flavours.value === undefined
      ? ["plain"]
      : flavours.list().map((flavour) => flavour.oneOf(KERNEL_FLAVOURS)),
    suites: item.at("suites").list().map(readSuite),
    deadlineSeconds,
  };
}

const KERNEL_KINDS = ["debian", "git", "directory", "file"] as const;

function readKernel(item: FieldReader, directory: string): MatrixKernel {
  item.object([...KERNEL_KINDS, "ref", "name"]);
  const kinds = KERNEL_KINDS.filter((kind) => item.at(kind).value !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) item.fail(`one of ${KERNEL_KINDS.join(", ")}`);
  const ref = item.at("ref");
  if (kind !== "git" && ref.value !== undefined) ref.fail(`no ref beside "${kind}"`);
  const name = (fallback: string): string => nameOf(item.at("name"), fallback);
  const path = (text: string): string => isAbsolute(text) ? text : resolve(directory, text);
  if (kind === "debian") {
    const series = item.at(kind).oneOf(PORTED_SERIES);
    return { kind, series, name: name(series) };
  }
  const text = item.at(kind).string("a path");
  if (kind === "git") {
    const isUrl = /^[a-z+]+:\/\/|^[\w.-]+@[\w.-]+:/.test(text);
    const commit = ref.string("a branch, a tag or a commit");
    if (commit.startsWith("-")) ref.fail("a branch, a tag or a commit");
    return { kind, repository: isUrl ? text : path(text), ref: commit, name: name(commit) };
  }
  return { kind, path: path(text), name: name(basename(text)) };
}

/** A name that can be part of a job's name, and so of a path. */
function nameOf(field: FieldReader, fallback: string): string {
  if (field.value === undefined) {
    return fallback.replaceAll(/[^\w.+-]/g, "-").replace(/^[.-]+/, "") || "kernel";
  }
  const name = field.string();
  return /^\w[\w.+-]*$/.test(name) ? name : field.fail("letters, digits, dots, plus and hyphens");
}

function readSuite(item: FieldReader): MatrixSuite {
  if (typeof item.value === "string") return suiteOf(new FieldReader({}, ""), item.oneOf(SUITES));
  item.object(["suite", "filter", "count", "seed"]);
  return suiteOf(item, item.at("suite").oneOf(SUITES));
}

function suiteOf(item: FieldReader, kind: typeof SUITES[number]): MatrixSuite {
  const takes = kind === "fuzz"
    ? ["count", "seed"]
    : kind === "catalogue" || kind === "faults"
    ? ["filter"]
    : [];
  item.object(["suite", ...takes]);
  if (kind === "mutants" || kind === "corruptions") return { kind };
  if (kind === "fuzz") {
    const number = (name: string, min: number, fallback: number): number =>
      item.at(name).value === undefined ? fallback : item.at(name).integer(min, MAX);
    return { kind, count: number("count", 1, 1000), seed: number("seed", 0, 1) };
  }
  const filter = item.at("filter");
  return { kind, filter: filter.value === undefined ? [] : filter.list().map((text) => text.string()) };
}

function readExclude(item: FieldReader): MatrixExclude {
  const names = ["kernel", "platform", "flavour", "suite"] as const;
  item.object(names);
  const given = names.filter((name) => item.at(name).value !== undefined);
  if (given.length === 0) item.fail(`at least one of ${names.join(", ")}`);
  return Object.fromEntries(given.map((name) => [name, item.at(name).string()]));
}
