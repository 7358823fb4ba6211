// SPDX-License-Identifier: MIT

import { requireTools } from "../../vm/host/find_tool.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import type { Splat, StackFrame } from "./splat.ts";

/** Decoded entries, in the order of the frames, and why some are not. */
export interface DecodedFrames {
  /** Of each entry `foo at fs/x.c:12`, the innermost inlined function first; empty where nothing is known. */
  readonly frames: readonly (readonly string[])[];
  /** One line for the user when there is no debug information for any of them. */
  readonly note: string | undefined;
  /** The lines of the report, with sources called as the user calls them. */
  readonly lines?: readonly string[];
}

interface Symbol {
  readonly address: bigint;
  /** Bytes to the next symbol: what the kernel prints as the size. */
  size: number;
}

/**
 * Decodes `function+offset` into lines of the source, without regard to the addresses of the log: a kernel
 * with KASLR moves them. nm and addr2line are asked once each for all frames: scripts/faddr2line, of which
 * this is the method, reads the symbols anew for each (0.6 s a frame on our smallest vmlinux, against 0.1 s
 * for all, and 0.4 s on one with all debug information), and decode_stacktrace.sh needs addresses that are
 * not moved.
 *
 * @param vmlinux the kernel as the linker left it
 * @throws {MissingToolError} without nm or addr2line
 */
export async function decodeFrames(vmlinux: string, frames: readonly StackFrame[]): Promise<DecodedFrames> {
  if (frames.length === 0) return { frames: [], note: undefined };
  await requireTools(["nm", "addr2line"]);
  const wanted = new Set(frames.map((frame) => frame.function));
  const symbols = await readSymbols(vmlinux, wanted);
  if (typeof symbols === "string") {
    return { frames: frames.map(() => []), note: `stack not decoded: ${symbols}` };
  }
  const addresses = frames.map((frame) => addressOf(frame, symbols.get(frame.function) ?? []));
  const places = await askAddr2line(vmlinux, new Set(addresses.filter((address) => address !== undefined)));
  const decoded = addresses.map((address) => places.get(address ?? -1n) ?? []);
  const isBare = decoded.every((places) => places.length === 0);
  return {
    frames: decoded,
    note: isBare ? `stack not decoded: ${vmlinux} has no debug information for these functions` : undefined,
  };
}

/** Symbols of code by name, those of the same name in one list; or what is wrong with the file. */
async function readSymbols(
  vmlinux: string,
  wanted: ReadonlySet<string>,
): Promise<Map<string, Symbol[]> | string> {
  const byName = new Map<string, Symbol[]>();
  // Those at the last address, whose end is not known yet.
  let last: Symbol[] = [];
  let at = -1n;
  const { code, lines } = await runCommand(["nm", "--numeric-sort", "--", vmlinux], {
    keepLines: 3,
    onLine: (line) => {
      const [, digits, name = ""] = /^([0-9a-f]+) [tTwW] (\S+)$/.exec(line) ?? [];
      if (digits === undefined) return;
      const address = BigInt(`0x${digits}`);
      if (address > at) {
        for (const symbol of last) symbol.size = Number(address - at);
        [last, at] = [[], address];
      }
      if (!wanted.has(name)) return;
      const symbol = { address, size: 0 };
      last.push(symbol);
      byName.set(name, [...byName.get(name) ?? [], symbol]);
    },
  });
  if (code !== 0) return lines.at(-1) ?? `nm ended with exit status ${code}`;
  return at < 0n ? `${vmlinux} has no symbols` : byName;
}

/**
 * Address to ask about: that of the call for a return address, which may be the first of the next line. Of
 * functions with the same name, the one of the printed size; none when that leaves a doubt.
 */
function addressOf({ offset, size, exact }: StackFrame, symbols: readonly Symbol[]): bigint | undefined {
  const fitting = symbols.length > 1 ? symbols.filter((symbol) => symbol.size === size) : symbols;
  if (fitting.length !== 1) return undefined;
  return fitting[0]!.address + BigInt(exact || offset === 0 ? offset : offset - 1);
}

async function askAddr2line(
  vmlinux: string,
  addresses: ReadonlySet<bigint>,
): Promise<Map<bigint, string[]>> {
  const places = new Map<bigint, string[]>();
  if (addresses.size === 0) return places;
  const hex = [...addresses].map((address) => `0x${address.toString(16)}`);
  let current: string[] = [];
  let name = "";
  await runCommand(["addr2line", "-a", "-i", "-f", "-e", vmlinux, ...hex], {
    onLine: (line) => {
      if (/^0x[0-9a-f]+$/.test(line)) {
        places.set(BigInt(line), current = []);
        name = "";
      } else if (name === "") {
        name = line;
      } else {
        const place = placeOf(line);
        if (place !== undefined) current.push(`${name} at ${place}`);
        name = "";
      }
    },
  });
  return places;
}

/** `/any/where/trees/NAME/./fs/x.c:12 (discriminator 3)` is `fs/x.c:12`; undefined where nothing is known. */
function placeOf(line: string): string | undefined {
  if (line.startsWith("??") || line.endsWith(":?") || line.endsWith(":0")) return undefined;
  const source = line.replace(/ \(discriminator \d+\)$/, "").replace(/^.*\/(?:trees|build)\/[^/]+\//, "");
  return source.replace(/^(\.\/)+/, "").replaceAll("/./", "/");
}

/** Frames that are decoded of a stack: the report shows fewer. */
const MAX_FRAMES = 32;

/**
 * Makes the function that finds the source lines of splats of one kernel. A stack that was decoded once is
 * not decoded again: a splat may come with every scenario.
 */
export function splatDecoder(
  vmlinux: string,
  nameSources: (line: string) => string = (line) => line,
): (splat: Splat) => Promise<DecodedFrames> {
  const known = new Map<string, Promise<DecodedFrames>>();
  return async (splat) => {
    const frames = splat.frames.slice(0, MAX_FRAMES);
    const key = frames.map(({ function: name, offset, exact }) => `${name}+${offset}${exact}`).join(" ");
    const decoded = known.get(key) ?? decodeFrames(vmlinux, frames);
    known.set(key, decoded);
    const { frames: all, note } = await decoded;
    return {
      frames: all.map((places) => places.map(nameSources)),
      note,
      lines: splat.lines.map(nameSources),
    };
  };
}
