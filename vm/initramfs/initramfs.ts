// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { cacheDirectory, markAsUsed, pruneDirectory } from "../host/cache_directory.ts";
import { concatBytes } from "../host/digest.ts";
import { writeWhole } from "../host/write_whole.ts";

/**
 * Something in an initial RAM file system. Directories that lead to it must be entries of their own, before
 * it.
 */
export type InitramfsEntry =
  & {
    /** Path from the root, with or without a leading slash. */
    path: string;
    /** Permission bits; 0755 for files and directories, 0600 for devices by default. */
    mode?: number;
  }
  & (
    | { kind: "file"; data: Uint8Array }
    | { kind: "directory" }
    | { kind: "symlink"; target: string }
    | { kind: "device"; type: "char" | "block"; major: number; minor: number }
  );

/** File type bits of st_mode. */
const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, char: 0o020000, block: 0o060000 };
const HEADER_LENGTH = 110;
const TRAILER = "TRAILER!!!";

/**
 * Writes a cpio archive in the `newc` form that the kernel unpacks
 * (Documentation/driver-api/early-userspace). Owner root, all times zero, inodes in order: the same entries
 * always give the same bytes. Pure.
 *
 * @throws {TypeError} for a path that is empty, given twice, or whose directory is not there yet.
 * @throws {RangeError} for a file of 4 GiB or more.
 */
export function writeCpio(entries: readonly InitramfsEntry[]): Uint8Array<ArrayBuffer> {
  checkPaths(entries);
  const blocks = entries.map((entry, index) => encodeEntry(entry, index + 1));
  blocks.push(encodeRecord({ name: TRAILER, mode: 0, inode: 0, links: 1, data: new Uint8Array() }));
  return concatBytes(blocks);
}

/**
 * Adds the directories that lead to entries and are not among them, with mode 0755, each before it is needed.
 * Pure.
 */
export function withParents(entries: readonly InitramfsEntry[]): InitramfsEntry[] {
  const present = new Set<string>(entries.filter(({ kind }) => kind === "directory").map(nameOf));
  const made = new Set<string>();
  const all: InitramfsEntry[] = [];
  for (const entry of entries) {
    const parts = nameOf(entry).split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join("/");
      if (!present.has(path) && !made.has(path)) all.push({ kind: "directory", path });
      made.add(path);
    }
    all.push(entry);
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

function nameOf({ path }: InitramfsEntry): string {
  return path.replace(/^\/+/, "").replace(/\/+$/, "");
}

function checkPaths(entries: readonly InitramfsEntry[]): void {
  const seen = new Map<string, InitramfsEntry["kind"]>([["", "directory"]]);
  for (const entry of entries) {
    const name = nameOf(entry);
    if (name === "" || name === TRAILER || /[\0]|(^|\/)\.{0,2}(\/|$)/.test(name)) {
      throw new TypeError(`initramfs: not a usable path: ${JSON.stringify(entry.path)}`);
    }
    if (seen.has(name)) throw new TypeError(`initramfs: ${entry.path} is given twice`);
    const parent = name.split("/").slice(0, -1).join("/");
    if (seen.get(parent) !== "directory") {
      throw new TypeError(`initramfs: ${entry.path} comes before its directory ${parent}`);
    }
    seen.set(name, entry.kind);
  }
}

function encodeEntry(entry: InitramfsEntry, inode: number): Uint8Array {
  const { kind, mode = kind === "device" ? 0o600 : 0o755 } = entry;
  const record = { name: nameOf(entry), inode, links: 1, data: new Uint8Array() };
  switch (kind) {
    case "file":
      return encodeRecord({ ...record, mode: TYPE_BITS.file | mode, data: entry.data });
    case "directory":
      return encodeRecord({ ...record, mode: TYPE_BITS.directory | mode, links: 2 });
    case "symlink":
      return encodeRecord({
        ...record,
        mode: TYPE_BITS.symlink | 0o777,
        data: new TextEncoder().encode(entry.target),
      });
    case "device":
      return encodeRecord({
        ...record,
        mode: TYPE_BITS[entry.type] | mode,
        device: [entry.major, entry.minor],
      });
  }
}

interface CpioRecord {
  name: string;
  mode: number;
  inode: number;
  links: number;
  data: Uint8Array;
  device?: readonly [number, number];
}

/**
 * One record: 6 bytes of magic and 13 numbers of 8 hex digits, the name, the data, each padded to 4 bytes.
 */
function encodeRecord({ name, mode, inode, links, data, device = [0, 0] }: CpioRecord): Uint8Array {
  if (data.length >= 2 ** 32) {
    throw new RangeError(`initramfs: ${name} has ${data.length} bytes, 4 GiB is too much`);
  }
  const encodedName = new TextEncoder().encode(`${name}\0`);
  const [uid, gid, time, check] = [0, 0, 0, 0];
  const home = [0, 0]; // the device that it lies on
  const fields = [
    ...[inode, mode, uid, gid, links, time, data.length],
    ...[...home, ...device, encodedName.length, check],
  ];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const dataAt = align4(HEADER_LENGTH + encodedName.length);
  const record = new Uint8Array(align4(dataAt + data.length));
  record.set(new TextEncoder().encode(header));
  record.set(encodedName, HEADER_LENGTH);
  record.set(data, dataAt);
  return record;
}

function align4(length: number): number {
  return (length + 3) & ~3;
}
