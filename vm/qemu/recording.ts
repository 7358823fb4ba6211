// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import * as v from "valibot";
import { integer, list, object, oneOf, optional } from "../../lib/schema.ts";
import { UsageError } from "../host/errors.ts";
import { readVersioned } from "../host/versioned_json.ts";
import { writeJson } from "../host/write_whole.ts";
import { QEMU_PROGRAM, QEMU_PROGRAM_32, type Replay } from "./qemu_arguments.ts";

/** Raised when what a recording says changes its meaning. */
const VERSION = 1;
/** Directories of guests in one place. */
const MAX_RECORDINGS = 10_000;
const TEXT = v.string("a text");

const RECORDING = object({
  schema: v.literal(VERSION, `${VERSION}`),
  program: oneOf([QEMU_PROGRAM, QEMU_PROGRAM_32]),
  kernel: TEXT,
  initrd: TEXT,
  cpu: TEXT,
  memoryMiB: integer(1, 2 ** 20),
  append: list(TEXT) as v.GenericSchema<readonly string[]>,
  vmlinux: optional(TEXT),
  target: oneOf(["x86_64", "i386"]),
});

/** The machine of a recorded guest. */
export type Recording = Omit<v.InferOutput<typeof RECORDING>, "schema">;

/** Makes a directory with the next free number for what QEMU records, and says there on what machine. */
export async function beginRecording(
  parent: string,
  { program, kernel, initrd, cpu, memoryMiB, append, vmlinux, target }: Recording,
): Promise<Replay> {
  const machine = {
    program,
    kernel,
    initrd,
    cpu,
    memoryMiB,
    append,
    target,
    ...vmlinux !== undefined && { vmlinux },
  };
  await Deno.mkdir(parent, { recursive: true });
  for (let number = 1; number <= MAX_RECORDINGS; number++) {
    const directory = resolve(parent, String(number));
    try {
      await Deno.mkdir(directory);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) continue;
      throw error;
    }
    await writeJson(join(directory, "recording.json"), { schema: VERSION, ...machine });
    return { mode: "record", directory };
  }
  throw new UsageError(`${parent} has ${MAX_RECORDINGS} recordings already`);
}

/** Reads what {@linkcode beginRecording} wrote. @throws {UsageError} where there is no recording, or not all of it */
export async function readRecording(directory: string): Promise<Recording> {
  const path = join(directory, "recording.json");
  const recording = await readVersioned(path, { schema: RECORDING, version: VERSION });
  if (recording === undefined) {
    throw new UsageError(`${directory} is no recording: expected a recording.json in it`);
  }
  const { schema: _, ...machine } = recording;
  for (const file of [join(directory, "recording.bin"), machine.kernel, machine.initrd]) {
    await Deno.stat(file).catch(() => {
      throw new UsageError(`${path}: the recording cannot be played again: ${file} is no longer there`);
    });
  }
  return machine;
}
