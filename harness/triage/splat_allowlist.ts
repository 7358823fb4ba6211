// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { Splat } from "./splat.ts";

/** Kernels that an entry is for; each that is given must be equal. */
export interface AllowedOn {
  /** As `--arch` names it: x86_64, i386, i386-pae, compat. */
  readonly arch?: string;
  /** The configuration: plain, debug. */
  readonly flavour?: string;
  /** The kernel's series, such as 6.1. */
  readonly series?: string;
}

/** A complaint that fails no scenario for the time being: it is known, and not ours to mend now. */
export interface AllowedSplat {
  /** The whole title; one of the two is there. */
  readonly title?: string;
  readonly fingerprint?: string;
  readonly reason: string;
  /** The last day on which it counts, YYYY-MM-DD in UTC. */
  readonly expires: string;
  readonly needs?: AllowedOn;
}

/** Where the project's list is. */
export const ALLOWLIST_FILE = join(
  import.meta.dirname ?? ".",
  "..",
  "..",
  "fixtures",
  "splat_allowlist.json",
);

const KEYS = ["title", "fingerprint", "reason", "expires", "needs"];
const NEEDS = ["arch", "flavour", "series"];

/**
 * Reads a list of allowed splats.
 *
 * @param today YYYY-MM-DD in UTC
 * @throws {UsageError} naming the file, the entry and what is wrong with it; an expired entry is wrong
 */
export async function readSplatAllowlist(
  today: string = new Date().toISOString().slice(0, 10),
  file: string = ALLOWLIST_FILE,
): Promise<AllowedSplat[]> {
  const text = await Deno.readTextFile(file).catch((error) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`);
  });
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is no JSON: ${(error as Error).message}`);
  }
  return parseSplatAllowlist(list, { file, today });
}

/** As {@linkcode readSplatAllowlist}, of a parsed file. */
export function parseSplatAllowlist(
  list: unknown,
  { file, today }: { file: string; today: string },
): AllowedSplat[] {
  if (!Array.isArray(list)) {
    throw new UsageError(`${file}: expected a list of entries, found ${typeName(list)}`);
  }
  const entries = list.map((entry, index) => parseEntry(entry, `${file}: entry ${index}`));
  const names = entries.map(({ title, fingerprint, needs }) => JSON.stringify([title, fingerprint, needs]));
  names.forEach((name, index) => {
    const first = names.indexOf(name);
    if (first < index) throw new UsageError(`${file}: entry ${index} is the same as entry ${first}`);
  });
  const expired = entries.find(({ expires }) => expires < today);
  if (!expired) return entries;
  throw new UsageError(
    `${file}: the entry for "${nameOf(expired)}" expired on ${expired.expires} (today is ${today}): ` +
      `mend what it is about, or look at it again and give it a new date. Its reason: ${expired.reason}`,
  );
}

/** The entry that a splat falls under, if one does. */
export function allowedBy(
  splat: Splat,
  entries: readonly AllowedSplat[],
  kernel: AllowedOn,
): AllowedSplat | undefined {
  return entries.find(({ title, fingerprint, needs = {} }) =>
    (title ?? splat.title) === splat.title && (fingerprint ?? splat.fingerprint) === splat.fingerprint &&
    NEEDS.every((key) => {
      const wanted = needs[key as keyof AllowedOn];
      return wanted === undefined || wanted === kernel[key as keyof AllowedOn];
    })
  );
}

/** How an entry is called in messages. */
export function nameOf({ title, fingerprint }: AllowedSplat): string {
  return title ?? `fingerprint ${fingerprint}`;
}

function parseEntry(value: unknown, where: string): AllowedSplat {
  const entry = parseObject(value, { where, keys: KEYS });
  const text = (key: string): string | undefined => {
    const found = entry[key];
    if (found === undefined) return undefined;
    if (typeof found === "string" && found.trim() !== "") return found;
    throw new UsageError(`${where}: expected "${key}" to be a text, found ${typeName(found)}`);
  };
  const [title, fingerprint, reason, expires] = ["title", "fingerprint", "reason", "expires"].map(text);
  if ((title === undefined) === (fingerprint === undefined)) {
    throw new UsageError(`${where}: expected either "title" or "fingerprint"`);
  }
  if (fingerprint !== undefined && !/^[0-9a-f]{16}$/.test(fingerprint)) {
    throw new UsageError(
      `${where}: expected a "fingerprint" of 16 hexadecimal digits, found "${fingerprint}"`,
    );
  }
  if (reason === undefined) throw new UsageError(`${where}: expected a "reason"`);
  if (expires === undefined) throw new UsageError(`${where}: expected a date "expires"`);
  if (!isDate(expires)) {
    throw new UsageError(`${where}: expected "expires" as YYYY-MM-DD, found "${expires}"`);
  }
  const needs = entry.needs === undefined ? undefined : parseNeeds(entry.needs, where);
  return {
    ...(title === undefined ? {} : { title }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    reason,
    expires,
    ...(needs === undefined ? {} : { needs }),
  };
}

function parseNeeds(value: unknown, where: string): AllowedOn {
  const needs = parseObject(value, { where: `${where}: needs`, keys: NEEDS });
  for (const [key, found] of Object.entries(needs)) {
    if (typeof found === "string" && found !== "") continue;
    throw new UsageError(`${where}: needs: expected "${key}" to be a text, found ${typeName(found)}`);
  }
  return needs as AllowedOn;
}

function parseObject(
  value: unknown,
  { where, keys }: { where: string; keys: readonly string[] },
): Record<string, unknown> {
  if (typeName(value) !== "object") {
    throw new UsageError(`${where}: expected an object, found ${typeName(value)}`);
  }
  const unknown = Object.keys(value as object).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw new UsageError(`${where}: unknown key "${unknown}": expected ${keys.join(", ")}`);
  }
  return value as Record<string, unknown>;
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function typeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
}
