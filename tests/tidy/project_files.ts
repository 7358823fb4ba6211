// SPDX-License-Identifier: MIT
import { fromFileUrl, join } from "@std/path";
import type { ProjectFile } from "./tidy_rules.ts";

/** The project's root. */
export const ROOT: string = fromFileUrl(new URL("../../", import.meta.url));

/** Files that git has or would take. */
export async function projectFiles(): Promise<ProjectFile[]> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    // A clone that another user made is refused without the setting.
    args: ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd: ROOT,
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot list the project's files: ${new TextDecoder().decode(stderr)}`);
  const paths = new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
  const files = await Promise.all(paths.map(readProjectFile));
  return files.filter((file) => file !== undefined);
}

async function readProjectFile(path: string): Promise<ProjectFile | undefined> {
  try {
    const info = await Deno.lstat(join(ROOT, path));
    const file = { path, size: info.size, executable: ((info.mode ?? 0) & 0o111) !== 0 };
    if (!info.isFile) return { ...file, executable: false };
    return { ...file, text: decodeText(await Deno.readFile(join(ROOT, path))) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // removed, and git not told yet
    throw error;
  }
}

function decodeText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Reads a JSON file of the project. */
export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(join(ROOT, path)));
}
