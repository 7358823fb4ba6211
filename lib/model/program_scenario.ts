// SPDX-License-Identifier: MIT

/** A real program: its arguments, what it needs, and what the call must do to it. */
export interface ProgramScenario {
  /** The program's path on the host and in the guest, and its arguments. */
  readonly argv: readonly string[];
  /** The Debian package that holds it. */
  readonly package?: string;
  /**
   * Files and directories of the host that it opens by itself (modules, scripts), packed at the same path.
   * `*` in the last but one or any other component stands for any part of a name, so that a version need not
   * be named.
   */
  readonly files?: readonly string[];
  /** Environment variables besides PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Name of the errno that the call must refuse it with, before it writes a byte. */
  readonly refused?: string;
}

const KEYS = ["argv", "package", "files", "env", "refused"];

/**
 * Checks the value of `"program"`.
 *
 * @returns what is wrong: where, what it must be and what was found; undefined when nothing is
 */
export function programProblem(value: unknown): readonly [string, string, unknown] | undefined {
  if (!isRecord(value)) return [`"program"`, `an object with "argv", a list of words`, value];
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) return [`"program"`, `made of ${KEYS.join(", ")}`, unknown];
  const { argv, package: name, files, env, refused } = value;
  if (!isStrings(argv) || !argv[0]?.startsWith("/")) {
    return [`"program": "argv"`, "a list of words, the first of them an absolute path", argv];
  }
  if (name !== undefined && typeof name !== "string") return [`"program": "package"`, "a string", name];
  if (files !== undefined && !(isStrings(files) && files.every((path) => path.startsWith("/")))) {
    return [`"program": "files"`, "a list of absolute paths", files];
  }
  if (env !== undefined && !(isRecord(env) && isStrings(Object.values(env)))) {
    return [`"program": "env"`, "an object of strings", env];
  }
  if (refused !== undefined && !(typeof refused === "string" && /^E[A-Z0-9]+$/.test(refused))) {
    return [`"program": "refused"`, `the name of an errno, such as "EOPNOTSUPP"`, refused];
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
