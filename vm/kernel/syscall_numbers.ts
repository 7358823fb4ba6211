// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { isOlder } from "../../lib/abi/series.ts";

/** Numbers of the checkpoint system call, in the tables of 64-bit and of 32-bit programs. */
export interface SyscallNumbers {
  readonly x86_64: number;
  readonly i386: number;
}

/** The numbers that the project's own patch gives it. */
export const PORT_NUMBERS: SyscallNumbers = { x86_64: 390, i386: 390 };

/**
 * Numbers that no kernel of 5.10 to 6.12 has given away on either architecture. Nothing else is called there in search
 * of the system call: any other number may do something.
 */
const FREE_NUMBERS: readonly number[] = [390, 387, 388, 389, 391, 392];

/** The number in the i386 code of 2008, which Linux 2.6.30 gave to another call. */
const NUMBER_OF_2008 = 333;

/** The numbers to try on a kernel, the likeliest first. */
export function candidateNumbers(release: string, arch: keyof SyscallNumbers): readonly number[] {
  return arch === "i386" && isOlder(release, "2.6.30") ? [NUMBER_OF_2008, ...FREE_NUMBERS] : FREE_NUMBERS;
}

const TABLES = { x86_64: "syscall_64.tbl", i386: "syscall_32.tbl" } as const;

/** The numbers in the tables of a kernel tree; undefined where they do not have the call. */
export async function syscallNumbersOf(tree: string): Promise<SyscallNumbers | undefined> {
  const numbers = await Promise.all(
    Object.entries(TABLES).map(async ([arch, name]) => {
      const text = await Deno.readTextFile(join(tree, "arch/x86/entry/syscalls", name)).catch(() => "");
      const number = /^(\d+)\s+\w+\s+checkpoint\s/m.exec(text)?.[1];
      return [arch, number === undefined ? undefined : Number(number)] as const;
    }),
  );
  const found = Object.fromEntries(numbers) as Record<keyof SyscallNumbers, number | undefined>;
  const { x86_64 = found.i386, i386 = found.x86_64 } = found;
  return x86_64 === undefined || i386 === undefined ? undefined : { x86_64, i386 };
}
