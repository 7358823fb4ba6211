// SPDX-License-Identifier: MIT

/** The most bytes that files of /proc/PID may have: 65,530 mappings, a GiB of pages. */
const MAX_PROC_BYTES: Readonly<Record<string, number>> = { maps: 8 << 20, pages: 4 << 20 };
const MAX_OTHER_BYTES = 1 << 20;
/** How much longer smaps is than maps, at most. */
const SMAPS_RATIO = 24;

/**
 * Looks at the sizes of files of a process: what is larger is none, and its parts as objects would take many times as
 * much memory.
 *
 * @throws {SyntaxError} naming the file
 */
export function expectLikelySizes(blobs: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, { length }] of blobs) {
    const most = name === "smaps"
      ? SMAPS_RATIO * (blobs.get("maps")?.length ?? 0) + MAX_OTHER_BYTES
      : MAX_PROC_BYTES[name] ?? MAX_OTHER_BYTES;
    if (length > most) {
      throw new SyntaxError(`/proc/PID/${name}: expected at most ${most} bytes, found ${length}`);
    }
  }
}
