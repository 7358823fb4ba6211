// SPDX-License-Identifier: MIT

/** Error numbers of x86 from 1 on (include/uapi/asm-generic/errno*.h); 41 and 58 are other names of 11 and 35. */
const ROWS = [
  ["EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN"],
  ["ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR"],
  ["EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK"],
  ["EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP", ""],
  ["ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT"],
  ["EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC", "EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME"],
  ["ENOSR", "ENONET", "ENOPKG", "EREMOTE", "ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP"],
  ["EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG", "ELIBACC", "ELIBBAD", "ELIBSCN"],
  ["ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK", "EDESTADDRREQ"],
  ["EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP"],
  ["EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET"],
  ["ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN", "ETOOMANYREFS"],
  ["ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE"],
  ["EUCLEAN", "ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE"],
  ["ECANCELED", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE"],
  ["ERFKILL", "EHWPOISON"],
] as const;
/** The kernel's own ones (include/linux/errno.h), which a stopped task's `ax` may hold. */
const OWN = {
  ERESTARTSYS: 512,
  ERESTARTNOINTR: 513,
  ERESTARTNOHAND: 514,
  ERESTART_RESTARTBLOCK: 516,
} as const;

/** The name of an error. */
export type ErrnoName = Exclude<(typeof ROWS)[number][number], ""> | keyof typeof OWN;

/** All errors by their names. */
export const ERRNO: Readonly<Record<ErrnoName, number>> = {
  ...Object.fromEntries(ROWS.flat().flatMap((name, i) => name === "" ? [] : [[name, i + 1]])) as Record<
    Exclude<(typeof ROWS)[number][number], "">,
    number
  >,
  ...OWN,
};

/** `MAX_ERRNO` (include/linux/err.h): results from -4095 to -1 are errors. */
export const MAX_ERRNO = 4095;

const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, number]) => [number, name]));

/** The name of an error number, given as either 22 or -22; `errno 999` for one that has no name. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  return NAMES.get(number) ?? `errno ${number}`;
}

/**
 * The number that a name such as "EINVAL" stands for.
 *
 * @throws {RangeError} when no error has this name.
 */
export function errnoNumber(name: string): number {
  if (Object.hasOwn(ERRNO, name)) return ERRNO[name as ErrnoName];
  throw new RangeError(`no error is called ${name}: expected a name such as EINVAL`);
}
