// SPDX-License-Identifier: MIT

import { UsageError } from "./errors.ts";
import { baseEnvironment } from "./run_command.ts";

/** git ended with a status other than 0. */
export class GitError extends UsageError {
  override readonly name = "GitError";
}

/** No setting of the user's or the machine's changes what git does. */
const SETTINGS = ["safe.directory=*", "core.autocrlf=false", "core.quotePath=false", "gc.auto=0"]
  .flatMap((setting) => ["-c", setting]);

/** Whether a repository is named by a URL, such as `https://host/path` or `user@host:path`; else it is a path. */
export function isGitUrl(repository: string): boolean {
  return /^[a-z+]+:\/\/|^[\w.-]+@[\w.-]+:/.test(repository);
}

/**
 * An environment in which one person makes all commits, and no setting of the user's or the machine's counts.
 *
 * @param date seconds since the epoch behind an at sign, a blank, the zone as `+hhmm`
 */
export function commitEnvironment(
  { name, email, date }: { name: string; email: string; date: string },
): Record<string, string> {
  const person = (role: string) => ({
    ...{ [`GIT_${role}_NAME`]: name, [`GIT_${role}_EMAIL`]: email, [`GIT_${role}_DATE`]: date },
  });
  const noSettings = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
  return { ...noSettings, ...person("AUTHOR"), ...person("COMMITTER") };
}

/** git with its arguments, in an environment where it asks nobody for anything. */
export function gitCommand(
  args: readonly string[],
  { env = {}, cwd, ...pipes }: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr" | "detached"> & {
    env?: Record<string, string>;
    cwd?: string | undefined;
  } = {},
): Deno.Command {
  return new Deno.Command("git", {
    args: [...SETTINGS, ...args],
    clearEnv: true,
    env: { ...baseEnvironment(), GIT_TERMINAL_PROMPT: "0", ...env },
    stdin: "null",
    ...pipes,
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Runs git and gives what it prints. @throws {GitError} with what it said */
export async function runGit(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<string> {
  const { code, stdout, stderr } = await gitCommand(args, options).output();
  const decoder = new TextDecoder();
  if (code === 0) return decoder.decode(stdout);
  const said = (decoder.decode(stderr).trim() || decoder.decode(stdout).trim()).split("\n").slice(-5);
  const [name] = args.filter((arg, index) =>
    !arg.startsWith("-") && !/^(-C|--git-dir)$/.test(args[index - 1] ?? "")
  );
  throw new GitError(`git ${name}: ${said.join("\n  ") || `status ${code}`}`);
}
