// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { cacheDirectory, markAsUsed, pruneDirectory } from "../host/own_directories.ts";
import { joinBytes } from "../../lib/bytes.ts";
import { writeWhole } from "../host/write_whole.ts";

/** A file of an initial RAM file system, or without `data` a directory. */
export interface InitramfsEntry {
  /** Path from the root, with or without a leading slash. */
  path: string;
  /** Permission bits; 0755 by default. */
  mode?: number;
  data?: Uint8Array;
}

const TYPE_BITS = { file: 0o100000, directory: 0o040000 };
const HEADER_LENGTH = 110;
const TRAILER = "TRAILER!!!";

/**
 * Writes a cpio archive in the `newc` form that the kernel unpacks (Documentation/driver-api/early-userspace), with
 * the directories that lead to the entries. Owner root, all times zero, inodes in order: the same entries always give
 * the same bytes. Pure.
 *
 * @throws {TypeError} for a path that is empty, given twice, or leads through a file.
 * @throws {RangeError} for a file of 4 GiB or more.
 */
export function writeCpio(entries: readonly InitramfsEntry[]): Uint8Array<ArrayBuffer> {
  const blocks = [...withParents(entries)].map(([name, entry], index) =>
    encodeRecord(name, index + 1, entry)
  );
  return joinBytes([...blocks, encodeRecord(TRAILER, 0)]);
}

/** The entries and the directories that lead to them, each before what is in it, by their paths. */
function withParents(entries: readonly InitramfsEntry[]): Map<string, InitramfsEntry> {
  const all = new Map<string, InitramfsEntry>();
  for (const entry of entries) {
    const name = entry.path.replace(/^\/+/, "").replace(/\/+$/, "");
    if (name === "" || name === TRAILER || /[\0]|(^|\/)\.{0,2}(\/|$)/.test(name)) {
      throw new TypeError(`initramfs: not a usable path: ${JSON.stringify(entry.path)}`);
    }
    for (let end = name.indexOf("/"); end >= 0; end = name.indexOf("/", end + 1)) {
      const path = name.slice(0, end);
      if (!all.has(path)) all.set(path, { path });
      if (all.get(path)?.data) throw new TypeError(`initramfs: ${entry.path} leads through the file ${path}`);
    }
    const earlier = all.get(name);
    if (earlier && (earlier.data || entry.data)) {
      throw new TypeError(`initramfs: ${entry.path} is given twice`);
    }
    all.set(name, entry);
  }
  return all;
}

/**
 * Writes an archive into the cache under the digest of its contents, once.
 *
 * @returns the file's path.
 */
export async function cachedInitramfs(
  entries: readonly InitramfsEntry[],
  { cacheDir = cacheDirectory() }: { cacheDir?: string } = {},
): Promise<string> {
  const archive = writeCpio(entries);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", archive)).toHex().slice(0, 32);
  const directory = join(cacheDir, "initramfs");
  const path = join(directory, `${digest}.cpio`);
  const present = await Deno.stat(path).catch(() => undefined);
  if (present?.size === archive.length) {
    await markAsUsed(path);
    return path;
  }
  await Deno.mkdir(directory, { recursive: true });
  await writeWhole(path, archive);
  await pruneDirectory(directory, { keep: KEEP, counts: (name) => name.endsWith(".cpio") });
  return path;
}

/** Archives that are kept; beyond that the least recently used goes. */
const KEEP = 32;

/**
 * One record: 6 bytes of magic and 13 numbers of 8 hex digits, the name, the data, each padded to 4 bytes. Without an
 * entry, the trailer.
 */
function encodeRecord(name: string, inode: number, entry?: InitramfsEntry): Uint8Array {
  const { data, mode = 0o755 } = entry ?? {};
  const { length } = data ?? [];
  if (length >= 2 ** 32) throw new RangeError(`initramfs: ${name} has ${length} bytes, 4 GiB is too much`);
  const encodedName = new TextEncoder().encode(`${name}\0`);
  const typeAndMode = entry && (mode | TYPE_BITS[data ? "file" : "directory"]);
  const [uid, gid, time, check] = [0, 0, 0, 0];
  const devices = [0, 0, 0, 0]; // the one that it lies on, and the one that it is
  const fields = [
    ...[inode, typeAndMode ?? 0, uid, gid, entry && !data ? 2 : 1, time, length],
    ...[...devices, encodedName.length, check],
  ];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const dataAt = align4(HEADER_LENGTH + encodedName.length);
  const record = new Uint8Array(align4(dataAt + length));
  record.set(new TextEncoder().encode(header));
  record.set(encodedName, HEADER_LENGTH);
  record.set(data ?? [], dataAt);
  return record;
}

function align4(length: number): number {
  return (length + 3) & ~3;
}
