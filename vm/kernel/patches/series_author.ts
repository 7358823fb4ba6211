// SPDX-License-Identifier: MIT
import { UsageError } from "../../host/errors.ts";
import { join } from "@std/path";
import { runGit } from "../../host/run_git.ts";

/** Who sends a series, and when. */
export interface SeriesAuthor {
  name: string;
  email: string;
  /** As git keeps it: seconds since the epoch, a blank, the zone as `+hhmm`. */
  date: string;
}

/** Settings of {@linkcode readSeriesAuthor}. */
export interface SeriesAuthorOptions {
  /** `NAME <EMAIL>`; that of `git config` by default. */
  author?: string | undefined;
  /** ISO 8601 with zone; the time of the newest commit that touched the kernel code by default. */
  date?: string | undefined;
  /** Directory whose git settings and history are asked; the project's by default. */
  directory?: string;
}

/**
 * Finds out who sends a series, and when.
 *
 * @throws {UsageError} naming the option that would tell.
 */
export async function readSeriesAuthor(options: SeriesAuthorOptions = {}): Promise<SeriesAuthor> {
  const { author, date, directory = PROJECT } = options;
  const person = author === undefined ? await configuredPerson(directory) : parsePerson(author);
  return { ...person, date: date === undefined ? await newestChange(directory) : parseDate(date) };
}

const PROJECT = join(import.meta.dirname ?? ".", "..", "..", "..");
const KERNEL_CODE = ["vm/kernel/overlay", "vm/kernel/hooks", "vm/kernel/patches"];

function parsePerson(text: string): { name: string; email: string } {
  const [, name, email] = /^([^<>\n]*[^<>\s])\s*<([^<>\s]+@[^<>\s]+)>$/.exec(text.trim()) ?? [];
  if (name !== undefined && email !== undefined) return { name, email };
  throw new UsageError(`option --author: expected "NAME <EMAIL>", found "${text}"`);
}

async function configuredPerson(directory: string): Promise<{ name: string; email: string }> {
  const ask = async (key: string) => {
    const value = (await runGit(["config", key], { cwd: directory }).catch(() => "")).trim();
    if (value !== "") return value;
    throw new UsageError(`git has no ${key}: set it, or give option --author "NAME <EMAIL>"`);
  };
  return parsePerson(`${await ask("user.name")} <${await ask("user.email")}>`);
}

async function newestChange(directory: string): Promise<string> {
  const args = ["log", "-1", "--date=raw", "--format=%ad", "--", ...KERNEL_CODE];
  const date = (await runGit(args, { cwd: directory }).catch(() => "")).trim();
  if (/^\d+ [+-]\d{4}$/.test(date)) return date;
  throw new UsageError(
    `git knows no commit of ${KERNEL_CODE[0]} in ${directory}: give option --date`,
  );
}

function parseDate(text: string): string {
  const [, sign, hours, minutes] = /T\d\d:\d\d(?::\d\d)?(?:Z|([+-])(\d\d):?(\d\d))$/.exec(text) ?? [];
  const time = Date.parse(text);
  if (!/T.*(Z|[+-]\d\d:?\d\d)$/.test(text) || Number.isNaN(time)) {
    throw new UsageError(
      `option --date: expected a time with zone, as 2026-01-31T12:00:00Z, found "${text}"`,
    );
  }
  return `${Math.floor(time / 1000)} ${sign ?? "+"}${hours ?? "00"}${minutes ?? "00"}`;
}
