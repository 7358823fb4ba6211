// SPDX-License-Identifier: MIT
import { ExpectedError } from "../host/errors.ts";
import { dirname, join, resolve } from "@std/path";
import { type ElfFile, readElf } from "../host/elf_file.ts";
import { findTool } from "../host/find_tool.ts";
import { runCommand } from "../host/run_command.ts";

/** A file of the host that a program needs in the guest. */
export interface ClosureFile {
  /** Where it must be in the guest. */
  path: string;
  source: string;
}

interface ClosureOptions {
  /** A directory that stands for `/`, with programs of another architecture for instance. */
  readonly root?: string;
  /** The machines (e_machine) whose programs can run; any by default. */
  readonly machines?: readonly number[];
}

/** What programs of a machine are called, by e_machine. */
const MACHINES: Readonly<Record<number, string>> = { 3: "i386", 62: "x86-64" };

/** Directories that the dynamic linker searches without any configuration, in one distribution or another. */
const BUILT_IN = /^(\/usr)?\/lib(32|64|x32)?(\/[\w-]+-linux-gnu\w*)?$/;
/** Those where Debian has libraries, of either architecture. */
const PLACES = ["i386-linux-gnu", "x86_64-linux-gnu", ""].flatMap((
  name,
) => [`/lib/${name}`, `/usr/lib/${name}`]);

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
 * Finds a program of the host and all files that it needs to start: its dynamic linker and the libraries that this
 * lists; for a script, its interpreter. What a program opens later (plugins, modules, name services) is not found this
 * way.
 *
 * @param program a path, or a name to be looked up in PATH.
 * @returns the files, the program first, each once.
 * @throws {ExpectedError} when the program or one of its libraries is not there, or cannot run; it names both.
 */
export async function programClosure(program: string, options: ClosureOptions = {}): Promise<ClosureFile[]> {
  const { root = "" } = options;
  const files = new Map<string, ClosureFile>();
  let found = await findProgram(program, options);
  for (;;) {
    const { path, source, runBy } = found;
    files.set(path, { path, source });
    if ("elf" in runBy) {
      for (const file of await librariesOf(found, runBy.elf, root)) files.set(file.path, file);
      return [...files.values()];
    }
    found = runBy.interpreter;
  }
}

const SYSTEM_LINKER = /^(?:\/usr)?\/lib(?:32|64|x32)?\//;

/** What the dynamic linker of a program loads for it, and the linker itself. */
async function librariesOf(
  { path, source }: HostProgram,
  { interpreter }: ElfFile,
  root: string,
): Promise<ClosureFile[]> {
  if (interpreter === undefined) return [];
  // It runs on this host, and a program may name any.
  if (!SYSTEM_LINKER.test(interpreter) || resolve(interpreter) !== interpreter) {
    throw new ExpectedError(
      `${path}: its dynamic linker ${interpreter} is not in a directory of the system's libraries`,
    );
  }
  const linker = `${root}${interpreter}`;
  if (await findTool(linker) === undefined) {
    throw new ExpectedError(`${path}: its dynamic linker ${interpreter} is not on this host`);
  }
  // Under another root only the places there count.
  const places = PLACES.map((place) => `${root}${place}`).join(":");
  const options = root === "" ? [] : ["--inhibit-cache", "--library-path", places];
  // The kernel tells it which file it started, whatever symbolic links led there: $ORIGIN is that one's directory.
  const real = await Deno.realPath(source);
  const { code, lines } = await runCommand([
    ...["setpriv", "--pdeathsig", "KILL"] as const,
    ...[linker, ...options, "--list", real],
  ]);
  const said = lines.join("\n");
  const libraries = [...said.matchAll(/^\t(\S+) => (.*?)(?: \(0x[\da-f]+\))?$/gm)];
  const missing = /shared libraries: (\S+): cannot open/.exec(said)?.[1] ??
    libraries.find(([, , library]) => !library?.startsWith(`${root}/`))?.[1];
  if (missing !== undefined) throw new ExpectedError(`${path}: needs ${missing}, which is not on this host`);
  if (code !== 0) throw new ExpectedError(`${path}: its dynamic linker ended with status ${code}: ${said}`);
  return [
    { path: interpreter, source: linker },
    ...libraries.flatMap(([, name = "", library = ""]) => {
      const own = library.slice(root.length);
      // The guest has no linker configuration and no symbolic link: there it may look in built-in places alone.
      const paths = BUILT_IN.test(dirname(own)) ? [own] : [own, join("/lib", name)];
      return paths.map((place) => ({ path: place, source: library }));
    }),
  ];
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
