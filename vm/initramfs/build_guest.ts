// SPDX-License-Identifier: MIT
import { EXIT_STATUS, type ExitStatus, ExpectedError } from "../host/errors.ts";
import { exists, walk } from "@std/fs";
import { basename, join, relative } from "@std/path";
import type { KernelArch } from "../../lib/abi/arch.ts";
import { cacheDirectory, markAsUsed } from "../host/own_directories.ts";
import { digestOf } from "../host/digest.ts";
import { runCommand } from "../host/run_command.ts";
import { shellJoin } from "../host/shell_quote.ts";

/** Architecture of a program in the guest. */
export type GuestProgramArch = "x86_64" | "i386";

/**
 * Programs that can be built from the sources in `vm/guest`. `agent-host` is the agent for tests without a
 * guest, `agent-hostile` one that misbehaves in it; `target-symbols` is the target as gdb wants it.
 */
type GuestProgram = "agent" | "target" | "target-symbols" | "agent-host" | "agent-hostile";

/** Folders of `vm/guest` with the sources of a program. */
const FOLDERS: Readonly<Record<GuestProgram, readonly string[]>> = {
  agent: ["common", "agent"],
  target: ["common", "target"],
  "target-symbols": ["common", "target"],
  "agent-host": ["common", "agent", "testing"],
  "agent-hostile": ["common", "agent", "testing/hostile"],
};

/** What some are compiled with, beside the rest. */
const OWN_OPTIONS: Readonly<Partial<Record<GuestProgram, string>>> = {
  "agent-host": "-DCKPTEST_HOST_TEST",
  "agent-hostile": "-Wl,--wrap=command_run",
  "target-symbols": "-g",
};

const WARNINGS = [
  "-Wall",
  "-Wextra",
  "-Wshadow",
  "-Wstrict-prototypes",
  "-Wmissing-prototypes",
  "-Wundef",
  "-Wvla",
  "-Wimplicit-fallthrough",
  "-Werror",
];
const CODE = [
  "-std=gnu11",
  "-O2",
  "-ffreestanding",
  "-fno-pie",
  "-fno-asynchronous-unwind-tables",
  "-fno-stack-protector",
  "-fno-ident",
  // memcpy must not become a call of memcpy.
  "-fno-tree-loop-distribute-patterns",
  // No FPU or vector register is ever touched, so a target's are what its program made them.
  "-mgeneral-regs-only",
];
const LINK = [
  "-nostdlib",
  "-static",
  "-no-pie",
  "-Wl,--build-id=none",
  "-Wl,-z,noseparate-code",
  "-Wl,-z,noexecstack",
];
/** Where the programs are linked to: addresses are part of what a checkpoint holds. */
const TEXT_ADDRESS: Record<GuestProgramArch, string> = { x86_64: "0x400000", i386: "0x08048000" };

/** A guest program could not be compiled. The message holds the command and what the compiler said. */
export class GuestBuildError extends ExpectedError {
  override readonly name = "GuestBuildError";

  constructor(what: string, command: readonly string[], output: string) {
    super(`${what}\ncommand: ${shellJoin(command)}\n${output.replace(/^/gm, "  | ")}`);
  }

  override get status(): ExitStatus {
    return EXIT_STATUS.buildFailed;
  }
}

/** The argument list that builds one program, without the output file. */
export function guestCompileCommand(
  program: GuestProgram,
  arch: GuestProgramArch,
  sourceDirectory: string,
): readonly [string, ...string[]] {
  const sources = FOLDERS[program].flatMap((folder) =>
    [...Deno.readDirSync(join(sourceDirectory, folder))].map(({ name }) =>
      join(sourceDirectory, folder, name)
    )
  );
  return [
    "gcc",
    arch === "i386" ? "-m32" : "-m64",
    ...CODE,
    ...WARNINGS,
    ...LINK,
    `-Wl,-Ttext-segment=${TEXT_ADDRESS[arch]}`,
    ...program === "target-symbols" ? [] : ["-Wl,--strip-all"],
    ...[OWN_OPTIONS[program] ?? []].flat(),
    ...sources.filter((path) => path.endsWith(".c")).toSorted(),
    // Divisions of 64 bits on i386.
    "-lgcc",
  ];
}

/** Where the C sources of agent and target are. */
export const GUEST_SOURCES: string = join(import.meta.dirname ?? ".", "..", "guest");

interface BuildGuestOptions {
  /** Where the results are kept; `guest` in the cache directory by default. */
  cache?: string;
  /** Where the sources are; `GUEST_SOURCES` by default. */
  sourceDirectory?: string;
}

/**
 * Builds one program, or finds it in the cache, whose key is all that goes into it: sources, arguments,
 * compiler.
 *
 * @returns the path of the program.
 * @throws {GuestBuildError} when the compiler fails. @throws {MissingToolError} when there is none.
 */
export async function buildGuestProgram(
  program: GuestProgram,
  arch: GuestProgramArch,
  options: BuildGuestOptions = {},
): Promise<string> {
  const sourceDirectory = options.sourceDirectory ?? GUEST_SOURCES;
  const command = guestCompileCommand(program, arch, sourceDirectory);
  const key = await cacheKey(program, command, sourceDirectory);
  const directory = join(options.cache ?? join(cacheDirectory(), "guest"), key);
  const path = join(directory, program);
  if (await exists(path)) {
    // Programs that nobody uses are removed in the end.
    await markAsUsed(directory);
    return path;
  }
  await Deno.mkdir(directory, { recursive: true });
  // Built beside its place and then moved there, so that whoever finds it finds all of it.
  const unfinished = await Deno.makeTempFile({ dir: directory, prefix: "unfinished-" });
  try {
    await compile([...command, "-o", unfinished], `cannot build the guest's ${program} for ${arch}`);
    await Deno.rename(unfinished, path);
  } catch (error) {
    await Deno.remove(unfinished).catch(() => {});
    throw error;
  }
  return path;
}

async function compile(command: readonly [string, ...string[]], what: string): Promise<void> {
  const { code, lines } = await runCommand(command);
  if (code === 0) return;
  const output = lines.join("\n");
  // gcc without its i386 half fails in the headers or in the linker; neither says what to install.
  const hint =
    command.includes("-m32") && /No such file or directory|skipping incompatible|cannot find/.test(output)
      ? " (is the Debian package gcc-multilib installed? run ./setup)"
      : "";
  throw new GuestBuildError(`${what}${hint}: gcc ended with status ${code}`, command, output);
}

async function cacheKey(
  program: GuestProgram,
  command: readonly string[],
  sourceDirectory: string,
): Promise<string> {
  const names: string[] = [];
  for await (const { path } of walk(sourceDirectory, { exts: [".c", ".h"] })) {
    names.push(relative(sourceDirectory, path));
  }
  const parts: (string | Uint8Array)[] = [program, await compilerVersion()];
  for (const argument of command) parts.push(argument.startsWith("/") ? basename(argument) : argument);
  for (const name of names.sort()) parts.push(name, await Deno.readFile(join(sourceDirectory, name)));
  return await digestOf(parts, 32);
}

let version: Promise<string> | undefined;

function compilerVersion(): Promise<string> {
  version ??= runCommand(["gcc", "--version"]).then(({ lines }) => lines[0] ?? "");
  // A compiler that was missing may have been installed meanwhile.
  version.catch(() => version = undefined);
  return version;
}

interface GuestPrograms {
  agent: string;
  target: string;
  /** The i386 target, on an x86-64 kernel. */
  target32?: string;
}

/** Builds what a guest with this kernel needs. See {@linkcode buildGuestProgram} for what it throws. */
export async function buildGuest(arch: KernelArch, options: BuildGuestOptions = {}): Promise<GuestPrograms> {
  const native: GuestProgramArch = arch === "x86_64" ? "x86_64" : "i386";
  const builds = [
    buildGuestProgram("agent", native, options),
    buildGuestProgram("target", native, options),
    native === "i386" ? undefined : buildGuestProgram("target", "i386", options),
  ] as const;
  // One that fails does not leave the others half done.
  await Promise.allSettled(builds);
  const [agent, target, target32] = await Promise.all(builds);
  return { agent, target, ...(target32 === undefined ? {} : { target32 }) };
}
