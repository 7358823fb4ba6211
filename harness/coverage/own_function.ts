// SPDX-License-Identifier: MIT

/** Functions of the patch: its own names, and the system call's entries as SYSCALL_DEFINE makes them. */
const OWN = /^(cr_|do_checkpoint\b|(__\w+_)?sys_checkpoint\b)/;

/** Whether a function of the kernel, with or without an offset behind it, is one of the patch. */
export function isOwnFunction(name: string): boolean {
  return OWN.test(name);
}
