// SPDX-License-Identifier: MIT

/**
 * Linux system call numbers that scenarios and the harness may use, as [x86-64, i386]; `undefined` where the
 * architecture has none; then the release that brought it, where it is younger than Linux 2.6.27. Source:
 * arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl (the numbers never change).
 */
const SYSCALL_NUMBERS = {
  read: [0, 3],
  write: [1, 4],
  open: [2, 5],
  close: [3, 6],
  mmap: [9, undefined],
  mmap2: [undefined, 192],
  mprotect: [10, 125],
  munmap: [11, 91],
  dup: [32, 41],
  brk: [12, 45],
  madvise: [28, 219],
  mremap: [25, 163],
  getpid: [39, 20],
  kill: [62, 37],
  modify_ldt: [154, 123],
  set_thread_area: [205, 243],
  get_thread_area: [211, 244],
  prctl: [157, 172],
  arch_prctl: [158, 384],
  ftruncate: [77, 93],
  ftruncate64: [undefined, 194],
  unlink: [87, 10],
  rename: [82, 38],
  link: [86, 9],
  symlink: [88, 83],
  chmod: [90, 15],
  mknod: [133, 14],
  mlock: [149, 150],
  mlock2: [325, 376, "4.4"],
  munlock: [150, 151],
  memfd_create: [319, 356, "3.17"],
  userfaultfd: [323, 374, "4.3"],
  ioctl: [16, 54],
  chroot: [161, 61],
  chdir: [80, 12],
  mkdir: [83, 39],
  shmget: [29, 395],
  shmat: [30, 397],
  shmdt: [67, 398],
  shmctl: [31, 396],
  mlockall: [151, 152],
  munlockall: [152, 153],
  fsync: [74, 118],
  setrlimit: [160, 75],
  personality: [135, 136],
  lseek: [8, 19],
  _llseek: [undefined, 140],
  mount: [165, 21],
  umount2: [166, 52],
  pkey_mprotect: [329, 380, "4.9"],
  pkey_alloc: [330, 381, "4.9"],
  mseal: [462, 462, "6.10"],
  unshare: [272, 310],
  setresuid: [117, 208],
  setresgid: [119, 210],
  pipe2: [293, 331],
  socketpair: [53, 360],
  setsockopt: [54, 366],
  fcntl: [72, 55],
  epoll_create1: [291, 329],
  eventfd2: [290, 328],
  signalfd4: [289, 327],
  pread64: [17, 180],
  readlink: [89, 85],
  sigaltstack: [131, 186],
  clock_settime: [227, 404, "5.1"],
  get_robust_list: [274, 312],
  rt_sigaction: [13, 174],
  rt_sigprocmask: [14, 175],
  timer_gettime: [224, 261],
  pwrite64: [18, 181],
  ptrace: [101, 26],
  swapon: [167, 87],
  swapoff: [168, 115],
  pidfd_open: [434, 434, "5.3"],
  pidfd_getfd: [438, 438, "5.6"],
  process_madvise: [440, 440, "5.10"],
  readv: [19, 145],
  process_vm_readv: [310, 347, "3.2"],
  socket: [41, 359, "4.3"],
  io_setup: [206, 245],
  iopl: [172, 110],
  ioperm: [173, 101],
  checkpoint: [390, 390],
} as const satisfies Record<string, readonly [number | undefined, number | undefined, since?: string]>;

/** A system call that {@linkcode syscallNumber} knows. */
export type SyscallName = keyof typeof SYSCALL_NUMBERS;

/** The releases that brought them, of those that are younger than Linux 2.6.27. */
export const SINCE_SYSCALL = Object.fromEntries(
  Object.entries(SYSCALL_NUMBERS).flatMap(([name, [, , since]]) =>
    since === undefined ? [] : [[name, since]]
  ),
);

/** Every {@linkcode SyscallName}. */
export const SYSCALL_NAMES = Object.keys(SYSCALL_NUMBERS) as readonly SyscallName[];

/**
 * The number of a system call.
 *
 * @throws {RangeError} when the architecture has no such call
 */
export function syscallNumber(name: SyscallName, wordSize: 4 | 8): number {
  const number = SYSCALL_NUMBERS[name][wordSize === 8 ? 0 : 1];
  if (number === undefined) throw new RangeError(`No system call "${name}" with ${wordSize * 8}-bit words`);
  return number;
}
