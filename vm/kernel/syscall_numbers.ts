// SPDX-License-Identifier: MIT
import { join } from "@std/path";

/** Numbers of the checkpoint system call, in the tables of 64-bit and of 32-bit programs. */
export interface SyscallNumbers {
  readonly x86_64: number;
  readonly i386: number;
}

/** The numbers that the project's own patch gives it. */
export const PORT_NUMBERS: SyscallNumbers = { x86_64: 390, i386: 390 };

/**
 * Numbers that no kernel of 5.10 to 6.12 has given away on either architecture. Nothing else is called in search of
 * the system call: any other number may do something.
 */
export const FREE_NUMBERS: readonly number[] = [390, 387, 388, 389, 391, 392];

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
