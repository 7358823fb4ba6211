// SPDX-License-Identifier: MIT
import { ExpectedError } from "../host/errors.ts";
import { basename, dirname, isAbsolute, join, normalize, resolve } from "@std/path";
import { type ElfFile, readElf } from "../host/elf_file.ts";
import { findTool } from "../host/find_tool.ts";

/** A file of the host that a program needs in the guest. */
export interface ClosureFile {
  /** Where it must be in the guest. */
  path: string;
  source: string;
}

interface ClosureOptions {
  readonly configPath?: string;
  /** A directory that stands for `/`, with programs of another architecture for instance. */
  readonly root?: string;
  /** The machines (e_machine) whose programs can run; any by default. */
  readonly machines?: readonly number[];
}

/** What programs of a machine are called, by e_machine. */
const MACHINES: Readonly<Record<number, string>> = { 3: "i386", 62: "x86-64" };

/** Directories that the dynamic linker searches without any configuration, in one distribution or another. */
const BUILT_IN = /^(\/usr)?\/lib(32|64|x32)?(\/[\w-]+-linux-gnu\w*)?$/;
/** Places that Debian's dynamic linker searches, by e_machine. */
const MULTIARCH: Readonly<Record<number, readonly string[]>> = {
  3: ["/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu"],
  62: ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"],
};
const LAST_RESORT = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32"];

/** A program that can be run, and if it is a script what runs it. */
interface HostProgram {
  /** Its path, seen from the root. */
  readonly path: string;
  /** The same on the host. */
  readonly source: string;
  readonly runBy: { readonly elf: ElfFile } | { readonly interpreter: HostProgram };
}

/**
 * Finds a program of the host, and the interpreter of a script.
 *
 * @param program a path, or a name to be looked up in PATH.
 * @throws {ExpectedError} when it is not there, or cannot run; it names both.
 */
export async function findProgram(program: string, options: ClosureOptions = {}): Promise<HostProgram> {
  const { root = "", machines } = options;
  const found = await findTool(`${root}${program}`);
  if (found === undefined) throw new ExpectedError(`${program}: ${await whyNoProgram(program, root)}`);
  const source = resolve(found);
  const path = source.slice(root.length);
  const bytes = await Deno.readFile(source).catch((error: Error) => {
    throw new ExpectedError(`${program}: it cannot be read: ${error.message}`);
  });
  const interpreter = scriptInterpreter(bytes);
  if (interpreter !== undefined) {
    const runBy = await findProgram(interpreter, options).catch((error) => {
      throw error instanceof ExpectedError
        ? new ExpectedError(`${program}: its interpreter ${error.message}`)
        : error;
    });
    return { path, source, runBy: { interpreter: runBy } };
  }
  const elf = readElf(bytes, path);
  if (machines && !machines.includes(elf.machine)) {
    const name = (machine: number): string => MACHINES[machine] ?? `machine ${machine}`;
    const expected = machines.map(name).join(" or ");
    throw new ExpectedError(
      `${program}: expected a program for ${expected}, found one for ${name(elf.machine)}`,
    );
  }
  return { path, source, runBy: { elf } };
}

/**
 * Finds a program of the host and all files that it needs to start: its dynamic linker, its libraries and
 * theirs; for a script, its interpreter. What a program opens later (plugins, modules, name services) is not
 * found this way.
 *
 * @param program a path, or a name to be looked up in PATH.
 * @returns the files, the program first, each once.
 * @throws {ExpectedError} when the program or one of its libraries is not there, or cannot run; it names both.
 */
export async function programClosure(program: string, options: ClosureOptions = {}): Promise<ClosureFile[]> {
  const { configPath = "/etc/ld.so.conf", root = "" } = options;
  const files = new Map<string, ClosureFile>();
  let found = await findProgram(program, options);
  for (;;) {
    const { path, source, runBy } = found;
    files.set(path, { path, source });
    if ("elf" in runBy) {
      // The kernel tells the dynamic linker which file it started, whatever symbolic links led there.
      const real = (await Deno.realPath(source)).slice(root.length);
      await addLibraries(files, { path, elf: runBy.elf, origin: dirname(real) }, { configPath, root });
      return [...files.values()];
    }
    found = runBy.interpreter;
  }
}

/** Why a file is no program that can be run. */
async function whyNoProgram(program: string, root: string): Promise<string> {
  try {
    return (await Deno.stat(`${root}${program}`)).isFile ? "it is not executable" : "it is no regular file";
  } catch (error) {
    const isAbsent = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
    return isAbsent ? "no such program on this host" : (error as Error).message;
  }
}

/** The program named in a script's first line. */
function scriptInterpreter(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== 0x23 || bytes[1] !== 0x21) return undefined;
  const line = new TextDecoder().decode(bytes.subarray(2, 256)).split("\n")[0] ?? "";
  return line.trim().split(/\s+/)[0];
}

interface LoadedElf {
  path: string;
  elf: ElfFile;
  /** What $ORIGIN stands for; the directory of its path by default. */
  origin?: string;
}

async function addLibraries(
  files: Map<string, ClosureFile>,
  program: LoadedElf,
  { configPath, root }: { configPath: string; root: string },
): Promise<void> {
  const { interpreter } = program.elf;
  if (interpreter !== undefined) {
    if (await findTool(`${root}${interpreter}`) === undefined) {
      throw new ExpectedError(`${program.path}: its dynamic linker ${interpreter} is not on this host`);
    }
    files.set(interpreter, { path: interpreter, source: `${root}${interpreter}` });
  }
  // Under another root only the places count that its linker knows by itself.
  const configured = root === ""
    ? [...await readLinkerConfig(configPath), ...LAST_RESORT]
    : [...MULTIARCH[program.elf.machine] ?? [], ...LAST_RESORT];
  // The dynamic linker loads a library once, by the first name that asks for it.
  const loaded = new Set<string>([basename(interpreter ?? "")]);
  const queue = [program];
  for (let user = queue.shift(); user !== undefined; user = queue.shift()) {
    for (const name of user.elf.needed.filter((needed) => !loaded.has(needed))) {
      loaded.add(name);
      const found = await findLibrary(name, { user, program, configured, root });
      if (found === undefined) {
        throw new ExpectedError(`${user.path}: needs ${name}, which is not on this host`);
      }
      files.set(found.guestPath, { path: found.guestPath, source: `${root}${found.path}` });
      queue.push(found);
    }
  }
}

/** Looks a library up as ld.so(8) does, without LD_LIBRARY_PATH and the cache. */
async function findLibrary(
  name: string,
  { user, program, configured, root }: {
    user: LoadedElf;
    program: LoadedElf;
    configured: readonly string[];
    root: string;
  },
): Promise<LoadedElf & { guestPath: string } | undefined> {
  if (name.includes("/")) {
    const elf = await readLibrary(`${root}${name}`, user.elf);
    return elf === undefined ? undefined : { path: name, elf, guestPath: name };
  }
  const own = ownDirectories(user, program);
  for (const directory of [...own, ...configured]) {
    const path = join(directory, name);
    const elf = await readLibrary(`${root}${path}`, user.elf);
    if (elf === undefined) continue;
    // The guest has no linker configuration and no symbolic link: what lies elsewhere on the host must lie in a
    // built-in place there.
    const isMoved = [user, program].some(({ origin, path }) =>
      origin !== undefined && origin !== dirname(path)
    );
    const isFound = (own.includes(directory) && !isMoved) || BUILT_IN.test(directory);
    return { path, elf, guestPath: isFound ? path : join("/lib", name) };
  }
  return undefined;
}

/**
 * Directories that the files themselves name: RUNPATH of the user, or else RPATH of the user and the program.
 */
function ownDirectories(user: LoadedElf, program: LoadedElf): string[] {
  const expand = ({ path, origin = dirname(path) }: LoadedElf, list: string[]) =>
    list.map((directory) => directory.replaceAll(/\$(ORIGIN|\{ORIGIN\})/g, origin))
      .filter(isAbsolute).map(normalize);
  if (user.elf.runpath.length > 0) return expand(user, user.elf.runpath);
  const inherited = program.elf.runpath.length > 0 ? [] : expand(program, program.elf.rpath);
  return [...expand(user, user.elf.rpath), ...inherited];
}

/** Reads a library if it is there and for the same machine. */
async function readLibrary(path: string, { bits, machine }: ElfFile): Promise<ElfFile | undefined> {
  const bytes = await Deno.readFile(path).catch(() => undefined);
  // A text file of this name is a linker script, and meant for another linker.
  if (bytes === undefined || bytes[0] !== 0x7f) return undefined;
  const elf = readElf(bytes, path);
  return elf.bits === bits && elf.machine === machine ? elf : undefined;
}

/**
 * The directories of /etc/ld.so.conf and of the files that it includes (patterns in the last path component
 * only).
 */
export async function readLinkerConfig(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  const directories: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/#.*/, "").trim();
    const include = /^include\s+(.*)$/.exec(line)?.[1];
    if (include !== undefined) {
      const pattern = resolve(dirname(path), include);
      for (const file of await expandPath(pattern)) directories.push(...await readLinkerConfig(file));
    } else if (isAbsolute(line)) directories.push(normalize(line));
  }
  return directories;
}

/**
 * The paths that a pattern stands for: `*` in a component is any part of a name. Empty when there is none.
 */
export async function expandPath(pattern: string): Promise<string[]> {
  let paths = ["/"];
  for (const part of pattern.split("/").filter((part) => part !== "")) {
    paths = (await Promise.all(paths.map((path) => matches(path, part)))).flat();
  }
  return paths;
}

async function matches(directory: string, part: string): Promise<string[]> {
  if (!part.includes("*")) {
    const path = join(directory, part);
    return await Deno.stat(path).then(() => [path], () => []);
  }
  const wanted = new RegExp(`^${part.split("*").map((text) => RegExp.escape(text)).join(".*")}$`);
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) if (wanted.test(name)) names.push(name);
  } catch {
    // Not a directory that we can read: nothing matches.
  }
  return names.toSorted().map((name) => join(directory, name));
}
