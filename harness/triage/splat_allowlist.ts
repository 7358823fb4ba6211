// SPDX-License-Identifier: MIT

import { fromFileUrl } from "@std/path";
import * as v from "valibot";
import { described, list, object, optional, text } from "../../lib/schema.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import { readJson } from "../../vm/host/read_json.ts";
import type { Splat } from "./splat.ts";

const SOME_TEXT = text(/\S/, "a text");
const DATE = "a date as YYYY-MM-DD";

const ALLOWED_ON = object({
  arch: optional(SOME_TEXT, "As --arch names it: x86_64, i386, i386-pae, compat."),
  flavour: optional(SOME_TEXT, "The configuration: plain, debug."),
  series: optional(SOME_TEXT, "The kernel's series, such as 6.1."),
});

const ALLOWED_SPLAT = v.pipe(
  object({
    title: optional(SOME_TEXT, "The whole title; either this or the fingerprint is there."),
    fingerprint: optional(text(/^[0-9a-f]{16}$/, "16 hexadecimal digits")),
    reason: SOME_TEXT,
    expires: described(
      "The last day on which it counts, in UTC.",
      v.pipe(text(/^\d{4}-\d{2}-\d{2}$/, DATE), v.check(isDate, DATE)),
    ),
    needs: optional(ALLOWED_ON, "Kernels that it is for; each that is given must be equal."),
  }),
  v.check(
    ({ title, fingerprint }) => (title === undefined) !== (fingerprint === undefined),
    `either "title" or "fingerprint"`,
  ),
);

/** The list of allowed splats: complaints that fail no scenario for the time being. */
export const SPLAT_ALLOWLIST = v.pipe(
  list(ALLOWED_SPLAT),
  v.check(
    (entries) =>
      new Set(entries.map(({ title, fingerprint, needs }) => JSON.stringify([title, fingerprint, needs])))
        .size ===
        entries.length,
    "entries that differ in title, fingerprint or needs",
  ),
);

/** Kernels that an entry is for. */
export type AllowedOn = { readonly [K in keyof v.InferOutput<typeof ALLOWED_ON>]: string | undefined };

/** A complaint that fails no scenario for the time being: it is known, and not ours to mend now. */
export type AllowedSplat = v.InferOutput<typeof ALLOWED_SPLAT>;

const ALLOWLIST_FILE = fromFileUrl(new URL("../../fixtures/splat_allowlist.json", import.meta.url));

/**
 * Reads a list of allowed splats.
 *
 * @param today YYYY-MM-DD in UTC
 * @throws {ExpectedError} naming the file, the place and what is wrong with it; an expired entry is wrong
 */
export async function readSplatAllowlist(
  today: string = new Date().toISOString().slice(0, 10),
  file: string = ALLOWLIST_FILE,
): Promise<readonly AllowedSplat[]> {
  const entries = await readJson(file, SPLAT_ALLOWLIST);
  const expired = entries.find(({ expires }) => expires < today);
  if (!expired) return entries;
  const name = expired.title ?? `fingerprint ${expired.fingerprint}`;
  throw new ExpectedError(
    `${file}: the entry for "${name}" expired on ${expired.expires} (today is ${today}): ` +
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
    (["arch", "flavour", "series"] as const).every((key) => (needs[key] ?? kernel[key]) === kernel[key])
  );
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
