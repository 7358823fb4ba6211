// SPDX-License-Identifier: MIT

import { type MapsEntry, parseMaps } from "../proc_maps.ts";

/** One thing that the program did, or one line in which it told something. */
export interface ManifestStep {
  /** The first word: `mmap`, `fill`, `gs_set` ... */
  readonly op: string;
  /** What follows as `name=value`. */
  readonly fields: Readonly<Record<string, string>>;
  /** The whole line where it is no step of the list of steps, for words that are no field. */
  readonly text: string;
}

/** One call of checkpoint(2), with the registers at its time. */
export interface CheckpointCall {
  /** Descriptor of the image file. */
  readonly fd: number;
  /** Checkpoint id, or -errno. */
  readonly result: number;
  /** By i386 name (`eax` ...); empty when none were noted. */
  readonly registers: ReadonlyMap<string, bigint>;
}

/** What is known of a program that checkpointed itself under the kernel of 2008, beside its image. */
export interface V11Manifest {
  /** Name of the case. */
  readonly name: string;
  /** The process that called. */
  readonly pid: number;
  /** QEMU's name of the processor. */
  readonly cpuModel: string;
  /** The kernel's command line. */
  readonly commandLine: string;
  /** What the kernel is, in words. */
  readonly kernel: string;
  /** What uname(2) said. */
  readonly uname: { readonly release: string; readonly version: string; readonly machine: string };
  /** The clock before the call, in seconds; undefined when not noted. */
  readonly timeBefore: bigint | undefined;
  /** Bytes that were in the image file before the call. */
  readonly prefix: number;
  /** Where the image ended in its file, when noted. */
  readonly endOffset: number | undefined;
  /** Bytes in the image file, when noted. */
  readonly length: number | undefined;
  /** What the program did, in the order of time. */
  readonly steps: readonly ManifestStep[];
  /** /proc/self/maps before the call. */
  readonly maps: readonly MapsEntry[];
  /** Numbers of the pages that were present, or in swap. */
  readonly presentPages: ReadonlySet<number>;
  /** The calls of checkpoint(2), in the order of time. */
  readonly calls: readonly CheckpointCall[];
  /** What modify_ldt(0) returned last: the entries that are not zero, as u64. */
  readonly ldtReadback: ReadonlyMap<number, bigint> | undefined;
  /** An FXSAVE or FSAVE image that the program took just before. */
  readonly fpuState: Uint8Array | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a manifest: JSON with `ops`, `proc_self_maps`, `present_pages`, `checkpoint_calls`, `regs_at_call`
 * and so on. Strings hold one byte a character (names of files may be any bytes).
 *
 * @throws {SyntaxError} when the text is not JSON, or a field is missing or of another kind; the field is
 * named
 */
export function parseV11Manifest(text: string): V11Manifest {
  const json: unknown = JSON.parse(text);
  if (!isObject(json)) throw new SyntaxError("A manifest is a JSON object: found something else");
  const lines = strings(json, "lines");
  const steps = orderedSteps(json, lines);
  const line = (pattern: RegExp): string | undefined =>
    lines.map((each) => pattern.exec(each)?.[1]).findLast((found) => found !== undefined);
  const pid = steps.some(({ op }) => /fork|clone|child/.test(op)) ? undefined : line(/^case=.* pid=(\d+)/);
  const time = line(/^time_before=(\d+)/);
  const end = line(/^file_pos_after=(\d+)/);
  const fpu = line(/^f[nx]?save (?:.*=)?([0-9a-f]{200,})$/);
  return {
    name: string(json, "case"),
    pid: Number(pid ?? objects(json, "checkpoint_calls")[0]?.pid_arg ?? 0),
    cpuModel: optionalString(json, "cpu_model_qemu"),
    commandLine: optionalString(json, "kernel_cmdline"),
    kernel: isObject(json.build) ? optionalString(json.build, "kernel") : "",
    uname: {
      release: string(json, "uname_release"),
      version: string(json, "uname_version"),
      machine: string(json, "uname_machine"),
    },
    timeBefore: time === undefined ? undefined : BigInt(time),
    prefix: Number(line(/^prefix=(\d+)/) ?? 0),
    endOffset: end === undefined ? undefined : Number(end),
    length: typeof json.image_len === "number" ? json.image_len : undefined,
    steps,
    maps: parseMaps(bytesOf(strings(json, "proc_self_maps").join("\n"))),
    presentPages: pagesOf(objects(json, "present_pages")),
    calls: callsOf(json),
    ldtReadback: readbackOf(json),
    fpuState: fpu === undefined ? undefined : Uint8Array.from(fpu.match(/../g) ?? [], (x) => parseInt(x, 16)),
  };
}

/** A text of one byte a character as bytes. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * The steps in the order of time. `ops` has the known ones and `lines` the rest, in two lists; the raw
 * text, where it is there, tells how they mix.
 */
function orderedSteps(json: Json, lines: readonly string[]): ManifestStep[] {
  const ops = objects(json, "ops").map((op): ManifestStep => ({
    op: string(op, "op"),
    fields: op,
    text: "",
  }));
  const told = lines.map(stepOfLine);
  const text = optionalString(json, "manifest_text").split("\n");
  const steps: ManifestStep[] = [];
  let op = 0;
  let line = 0;
  for (const each of text) {
    if (ops[op] !== undefined && each.split(/[ =]/, 1)[0] === ops[op]!.op) steps.push(ops[op++]!);
    else if (lines[line] !== undefined && each === lines[line]) steps.push(told[line++]!);
    else if (each.startsWith("ldt_readback ")) steps.push({ op: "ldt_readback", fields: {}, text: each });
  }
  return [...steps, ...ops.slice(op), ...told.slice(line)];
}

function stepOfLine(text: string): ManifestStep {
  const fields: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(/([a-z_]\w*)=(\S*)/g)) fields[name!] = value!;
  return { op: text.split(/[ =:]/, 1)[0]!, fields, text };
}

function pagesOf(ranges: readonly Readonly<Record<string, string>>[]): Set<number> {
  const pages = new Set<number>();
  for (const { from, to } of ranges) {
    const end = hexField("present_pages", to) / 4096;
    for (let page = hexField("present_pages", from) / 4096; page < end; page++) pages.add(page);
  }
  return pages;
}

function callsOf(json: Json): CheckpointCall[] {
  const registers = objects(json, "regs_at_call");
  return objects(json, "checkpoint_calls").map((call, index) => ({
    fd: Number(call.fd),
    result: Number(call.ret),
    registers: new Map(
      Object.entries(registers[index] ?? {}).map(([name, value]) => [name, BigInt(`0x${value}`)]),
    ),
  }));
}

function readbackOf(json: Json): Map<number, bigint> | undefined {
  if (json.ldt_readback_nonzero === undefined) return undefined;
  return new Map(
    objects(json, "ldt_readback_nonzero").map((
      { index, lo, hi },
    ) => [Number(index), BigInt(`0x${hi}`) << 32n | BigInt(`0x${lo}`)]),
  );
}

/** A hexadecimal field of a manifest. @throws {SyntaxError} when it is none */
export function hexField(name: string, value: string | undefined): number {
  if (value === undefined || !/^(0x)?[0-9a-f]+$/i.test(value)) {
    throw new SyntaxError(`Manifest: "${name}" must be a hexadecimal number: found ${JSON.stringify(value)}`);
  }
  return Number.parseInt(value, 16);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function string(json: Json, name: string): string {
  const value = json[name];
  if (typeof value !== "string") {
    throw new SyntaxError(`Manifest: "${name}" must be a string: found ${typeof value}`);
  }
  return value;
}

function optionalString(json: Json, name: string): string {
  return json[name] === undefined ? "" : string(json, name);
}

function strings(json: Json, name: string): string[] {
  const value = json[name] ?? [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new SyntaxError(`Manifest: "${name}" must be a list of strings`);
  }
  return value;
}

function objects(json: Json, name: string): Record<string, string>[] {
  const value = json[name] ?? [];
  if (!Array.isArray(value) || !value.every(isObject)) {
    throw new SyntaxError(`Manifest: "${name}" must be a list of objects`);
  }
  return value.map((item) =>
    Object.fromEntries(Object.entries(item).map(([key, field]) => [key, String(field)]))
  );
}
