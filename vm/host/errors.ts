// SPDX-License-Identifier: MIT

/** Exit statuses of every command (docs/hacking.md lists them too). */
export const EXIT_STATUS = {
  pass: 0,
  testFailed: 1,
  usage: 2,
  buildFailed: 3,
  guestLost: 4,
  nothingRan: 5,
  /** An error that nobody foresaw, as EX_SOFTWARE of sysexits.h. */
  internalError: 70,
  /** 128 + SIGINT, as a shell has it. */
  interrupted: 130,
  /** 128 + SIGPIPE: whoever read standard output went away. */
  brokenPipe: 141,
} as const;

/** One of {@linkcode EXIT_STATUS}. */
export type ExitStatus = typeof EXIT_STATUS[keyof typeof EXIT_STATUS];

/**
 * An error that was foreseen: its message says to the user what to mend, and is shown without a stack trace.
 * Whatever is thrown and is none of these is a bug of ckptest.
 */
export class ExpectedError extends Error {
  override name = "ExpectedError";

  /** What a command ends with that cannot go on. */
  get status(): ExitStatus {
    return EXIT_STATUS.usage;
  }

  /** What the command shows. */
  get explanation(): string {
    return this.message;
  }
}

/** Whether a file or directory of the user's is not as it must be, in the words of the operating system. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.FilesystemLoop ||
    (error instanceof Error && error.message.includes("Read-only file system"));
}

/** The command line, or a file that it names, is not as it must be: the command's synopsis may help. */
export class UsageError extends ExpectedError {
  override name = "UsageError";
}

/** Somebody asked for the end: by a signal, or because nobody reads the output any more. */
export class InterruptedError extends ExpectedError {
  override name = "InterruptedError";

  /** @param reason the reason of the signal that was aborted */
  constructor(reason: unknown) {
    super(String(reason), { cause: reason });
  }

  override get status(): ExitStatus {
    return this.cause instanceof Deno.errors.BrokenPipe ? EXIT_STATUS.brokenPipe : EXIT_STATUS.interrupted;
  }
}

/** @throws {InterruptedError} saying why, once the signal has come */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new InterruptedError(signal.reason);
}

/**
 * Waits for work, but not longer than until the signal comes: the work then ends with this process.
 *
 * @throws {InterruptedError} saying why
 */
export async function untilInterrupted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return await work;
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new InterruptedError(signal.reason));
  promise.catch(() => {});
  work.catch(() => {});
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([promise, work]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
