// SPDX-License-Identifier: MIT

import { requireTools } from "../../vm/host/find_tool.ts";
import { runCommand } from "../../vm/host/run_command.ts";
import type { Splat, StackFrame } from "./splat.ts";

/** Where a stack entry is in the source. */
interface FramePlace {
  /** `foo at fs/x.c:12`, the innermost inlined function first; empty where nothing is known. */
  readonly places: readonly string[];
}

/** Decoded entries, in the order of the frames, and why some are not. */
export interface DecodedFrames {
  readonly frames: readonly FramePlace[];
  /** One line for the user when there is no debug information for any of them. */
  readonly note: string | undefined;
}

interface Symbol {
  readonly address: bigint;
  /** Bytes to the next symbol: what the kernel prints as the size. */
  readonly size: number;
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
    return { frames: frames.map(() => ({ places: [] })), note: `stack not decoded: ${symbols}` };
  }
  const addresses = frames.map((frame) => addressOf(frame, symbols.get(frame.function) ?? []));
  const known = [...new Set(addresses.filter((address) => address !== undefined))];
  const places = await askAddr2line(vmlinux, known);
  const decoded = addresses.map((address) => ({
    places: address === undefined ? [] : places.get(address) ?? [],
  }));
  const isBare = decoded.every((frame) => frame.places.length === 0);
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
  const found: { name: string; address: bigint }[] = [];
  const starts: bigint[] = [];
  const { code, lines } = await runCommand(["nm", "--numeric-sort", "--", vmlinux], {
    keepLines: 3,
    onLine: (line) => {
      const match = /^([0-9a-f]+) [tTwW] (\S+)$/.exec(line);
      if (!match) return;
      const address = BigInt(`0x${match[1]}`);
      starts.push(address);
      if (wanted.has(match[2]!)) found.push({ name: match[2]!, address });
    },
  });
  if (code !== 0) return lines.at(-1) ?? `nm ended with exit status ${code}`;
  if (starts.length === 0) return `${vmlinux} has no symbols`;
  const byName = new Map<string, Symbol[]>();
  for (const { name, address } of found) {
    const next = starts[firstAbove(starts, address)] ?? address;
    const symbol = { address, size: Number(next - address) };
    byName.set(name, [...byName.get(name) ?? [], symbol]);
  }
  return byName;
}

/** Index of the first number above one, in an ascending list. */
function firstAbove(list: readonly bigint[], value: bigint): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
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
  addresses: readonly bigint[],
): Promise<Map<bigint, string[]>> {
  const places = new Map<bigint, string[]>();
  if (addresses.length === 0) return places;
  let current: string[] | undefined;
  let name = "";
  await runCommand(
    [
      "addr2line",
      "-a",
      "-i",
      "-f",
      "-e",
      vmlinux,
      ...addresses.map((address) => `0x${address.toString(16)}`),
    ],
    {
      onLine: (line) => {
        const address = /^0x[0-9a-f]+$/.test(line) ? BigInt(line) : undefined;
        if (address !== undefined) {
          places.set(address, current = []);
          name = "";
        } else if (name === "") {
          name = line;
        } else {
          const place = placeOf(line);
          if (place !== undefined) current?.push(`${name} at ${place}`);
          name = "";
        }
      },
    },
  );
  return places;
}

/** `/any/where/trees/NAME/./fs/x.c:12 (discriminator 3)` is `fs/x.c:12`; undefined where nothing is known. */
function placeOf(line: string): string | undefined {
  if (line.startsWith("??") || line.endsWith(":?") || line.endsWith(":0")) return undefined;
  return line.replace(/ \(discriminator \d+\)$/, "").replace(/^.*\/(?:trees|build)\/[^/]+\//, "").replace(
    /^(\.\/)+/,
    "",
  )
    .replaceAll("/./", "/");
}

/** Frames that are decoded of a stack: the report shows fewer. */
const MAX_FRAMES = 32;

/**
 * Makes the function that finds the source lines of splats of one kernel. A stack that was decoded once is
 * not decoded again: a splat may come with every scenario.
 */
export function splatDecoder(vmlinux: string): (splat: Splat) => Promise<DecodedFrames> {
  const known = new Map<string, Promise<DecodedFrames>>();
  return (splat) => {
    const frames = splat.frames.slice(0, MAX_FRAMES);
    const key = frames.map(({ function: name, offset, exact }) => `${name}+${offset}${exact}`).join(" ");
    const decoded = known.get(key) ?? decodeFrames(vmlinux, frames);
    known.set(key, decoded);
    return decoded;
  };
}
