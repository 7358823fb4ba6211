// SPDX-License-Identifier: MIT

import { runCommand } from "../host/run_command.ts";

/** Where a processor is, as QEMU's monitor tells it by `info registers`. */
interface Processor {
  readonly number: number;
  readonly address: bigint;
  readonly isUser: boolean;
  readonly isHalted: boolean;
}

/** Reads `info registers -a`. */
export function parseProcessors(text: string): Processor[] {
  return text.split(/^(?=CPU#\d)/m).flatMap((part) => {
    const [, number] = /^CPU#(\d+)/.exec(part) ?? [];
    const [, address, level] = /^[RE]IP=([\da-f]{8,16}) .*\bCPL=([0-3])\b/m.exec(part) ?? [];
    if (number === undefined || address === undefined) return [];
    const isHalted = /\bHLT=1\b/.test(part);
    return [{ number: Number(number), address: BigInt(`0x${address}`), isUser: level === "3", isHalted }];
  });
}

/** Functions of a kernel by their addresses, ascending, as `nm --numeric-sort` lists them. */
type Symbols = readonly { readonly address: bigint; readonly name: string }[];

/** Reads what nm prints of a kernel. */
export function parseSymbols(lines: readonly string[]): Symbols {
  return lines.flatMap((line) => {
    const [, address, name] = /^([\da-f]{8,16}) [tTwW] (\S+)$/.exec(line) ?? [];
    return name === undefined ? [] : [{ address: BigInt(`0x${address}`), name }];
  });
}

/** Says where each processor is, a line each. */
export function describeProcessors(processors: readonly Processor[], symbols: Symbols): string[] {
  return processors.map(({ number, address, isUser, isHalted }) => {
    const hex = `0x${address.toString(16)}`;
    const symbol = isUser ? undefined : symbols.findLast((one) => one.address <= address);
    const place = symbol ? `${symbol.name}+0x${(address - symbol.address).toString(16)}` : hex;
    const how = isUser ? "runs a program at" : isHalted ? "is idle in" : "runs in";
    return `processor ${number} ${how} ${place}`;
  });
}

/** The functions of a kernel; none of a file that has no symbols. */
export async function kernelSymbols(vmlinux: string | undefined): Promise<Symbols> {
  if (vmlinux === undefined) return [];
  const { lines } = await runCommand(["nm", "--numeric-sort", "--", vmlinux], { keepLines: 1 << 20 });
  return parseSymbols(lines);
}
