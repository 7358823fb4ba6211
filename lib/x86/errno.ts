// SPDX-License-Identifier: MIT

/** The error numbers that the modelled system calls return, as Linux defines them on x86. */
export const ERRNO = {
  ESRCH: 3,
  EIO: 5,
  EFAULT: 14,
  EINVAL: 22,
  ENOSYS: 38,
} as const;

/** Memory that a program hands to a system call: its bytes, or an address that cannot be accessed. */
export type UserMemory = Uint8Array | "fault";
