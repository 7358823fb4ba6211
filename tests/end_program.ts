// SPDX-License-Identifier: MIT

/** 128 + SIGPIPE, as a shell has it. */
const BROKEN_PIPE = 141;

/**
 * Carries a program out and ends the process with its status. Where whoever read standard output went away, that is
 * 141, and nothing is said: no stack trace.
 *
 * @param stop ends what still runs then
 */
export async function endProgram(main: () => Promise<number | void>, stop = (): void => {}): Promise<never> {
  try {
    Deno.exit(await main() ?? 0);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    stop();
    Deno.exit(BROKEN_PIPE);
  }
}
