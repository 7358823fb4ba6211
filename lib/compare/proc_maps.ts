// SPDX-License-Identifier: MIT
import { byteText, shownByteText } from "../printable.ts";

/** One line of /proc/PID/maps (fs/proc/task_mmu.c show_map_vma). Addresses in bytes, `offset` in bytes. */
export interface MapsEntry {
  /** First address. */
  readonly start: bigint;
  /** First address after it. */
  readonly end: bigint;
  /** Four letters, such as rw-p. */
  readonly perms: string;
  /** Offset in the file, in bytes. */
  readonly offset: bigint;
  /** Major and minor number, in hexadecimal. */
  readonly device: string;
  /** 0 for anonymous memory. */
  readonly inode: bigint;
  /** The name as raw bytes, unescaped; empty for anonymous memory. May be `[stack]` and the like. */
  readonly name: Uint8Array;
}

/** One VMA of /proc/PID/smaps: the maps line, its sizes in kB by name, and the VmFlags codes. */
export interface SmapsEntry extends MapsEntry {
  /** Sizes in kB by name. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Codes of the VmFlags line. */
  readonly vmFlags: readonly string[];
}

const MAPS_LINE =
  /^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)(?: +([^]*))?$/;

/** Parses /proc/PID/maps. @throws {SyntaxError} naming the line that is not one */
export function parseMaps(bytes: Uint8Array): MapsEntry[] {
  return lines(bytes).map(parseMapsLine);
}

/** Parses /proc/PID/smaps. @throws {SyntaxError} naming the line that is not one */
export function parseSmaps(bytes: Uint8Array): SmapsEntry[] {
  const entries: (MapsEntry & { sizes: Map<string, number>; vmFlags: string[] })[] = [];
  for (const line of lines(bytes)) {
    const field = /^([A-Za-z_]+):\s+(.*)$/.exec(line);
    if (!field) {
      entries.push({ ...parseMapsLine(line), sizes: new Map(), vmFlags: [] });
      continue;
    }
    const entry = entries.at(-1);
    if (!entry) throw new SyntaxError(`smaps must begin with a mapping: found "${shownByteText(line)}"`);
    if (field[1] === "VmFlags") entry.vmFlags.push(...field[2]!.trim().split(/\s+/).filter(Boolean));
    else entry.sizes.set(field[1]!, Number.parseInt(field[2]!));
  }
  return entries;
}

function lines(bytes: Uint8Array): string[] {
  return byteText(bytes).split("\n").filter((line) => line !== "");
}

function parseMapsLine(line: string): MapsEntry {
  const match = MAPS_LINE.exec(line);
  if (!match) {
    throw new SyntaxError(
      `A line of maps must look like "start-end perms offset dev inode name": found "${shownByteText(line)}"`,
    );
  }
  const [, start, end, perms, offset, device, inode, name] = match;
  return {
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    perms: perms!,
    offset: BigInt(`0x${offset}`),
    device: device!,
    inode: BigInt(inode!),
    // seq_path escapes newlines alone: other backslashes are the name's own.
    name: Uint8Array.from((name ?? "").replaceAll("\\012", "\n"), (character) => character.charCodeAt(0)),
  };
}

/** The name as text, one character a byte. */
export function nameOf({ name }: MapsEntry): string {
  return byteText(name);
}

/**
 * Where a mapping that no step made starts: the vdso, or the executable one of the target's own program.
 *
 * @returns undefined where the target has none
 */
export function placeOf(place: "vdso" | "text", maps: readonly MapsEntry[]): bigint | undefined {
  const entry = place === "vdso"
    ? maps.find((candidate) => nameOf(candidate) === "[vdso]")
    : maps.find(({ inode, perms }) => inode !== 0n && perms.includes("x"));
  return entry?.start;
}
