// SPDX-License-Identifier: MIT
import { ExpectedError } from "./errors.ts";
import { join } from "@std/path";

/** Debian package of each tool that the harness runs on the host. */
const TOOL_PACKAGES: Readonly<Record<string, string>> = {
  "addr2line": "binutils",
  "bc": "bc",
  "bison": "bison",
  "ccache": "ccache",
  "flex": "flex",
  "gcc": "gcc",
  "gdb": "gdb",
  "ld": "binutils",
  "make": "make",
  "nice": "coreutils",
  "nm": "binutils",
  "objcopy": "binutils",
  "patch": "patch",
  "perl": "perl-base",
  "qemu-system-i386": "qemu-system-x86",
  "qemu-system-x86_64": "qemu-system-x86",
  "sbatch": "slurm-client",
  "setpriv": "util-linux",
  "sparse": "sparse",
  "stat": "coreutils",
  "tar": "tar",
  "xz": "xz-utils",
};

/** One or more host programs that are needed are not in PATH. */
export class MissingToolError extends ExpectedError {
  override readonly name = "MissingToolError";

  constructor(tools: readonly string[]) {
    const list = tools.map((tool) => {
      const debianPackage = TOOL_PACKAGES[tool];
      return debianPackage === undefined ? tool : `${tool} (Debian package ${debianPackage})`;
    });
    super(`not found in PATH: ${list.join(", ")}; run ./setup to install what is missing`);
  }
}

/** Looks a program up in PATH as a shell would; gives its path, or undefined. */
export async function findTool(
  name: string,
  path: string = Deno.env.get("PATH") ?? "",
): Promise<string | undefined> {
  const candidates = name.includes("/")
    ? [name]
    : path.split(":").filter((d) => d !== "").map((d) => join(d, name));
  for (const candidate of candidates) {
    try {
      const { isFile, mode } = await Deno.stat(candidate);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return candidate;
    } catch {
      // Not there, or not for us to see: as good as absent.
    }
  }
  return undefined;
}

/**
 * Checks that every named program is in PATH.
 *
 * @throws {MissingToolError} naming all the missing ones at once.
 */
export async function requireTools(names: readonly string[], path?: string): Promise<void> {
  const found = await Promise.all(names.map((name) => findTool(name, path)));
  const missing = names.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) throw new MissingToolError(missing);
}
