// SPDX-License-Identifier: MIT

/** What the file of the target program tells of a process that runs it (load_elf_binary, fs/binfmt_elf.c). */
export interface ProgramFacts {
  /** Start of the last loaded segment: mm->start_data. */
  readonly startData: bigint;
  /** End of its bytes in the file: mm->end_data. */
  readonly endData: bigint;
  /** End of all that is loaded, .bss included, page aligned: mm->start_brk where addresses are not randomised. */
  readonly startBrk: bigint;
  /** Addresses right behind the instructions that make system calls. */
  readonly syscallReturns: ReadonlySet<bigint>;
}
