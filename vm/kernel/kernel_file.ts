// SPDX-License-Identifier: MIT
import { byteText } from "../../lib/printable.ts";
import { ExpectedError } from "../host/errors.ts";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { readElf } from "../host/elf_file.ts";
import { findTool } from "../host/find_tool.ts";
import { type KernelConfig, parseKernelConfig } from "./config/kernel_config.ts";

/** What a ready kernel says of itself, without being booted. */
export interface KernelFile {
  readonly format: "bzImage" | "vmlinux";
  /** What `uname -r` will say, such as `6.6.30-mine`. */
  readonly release: string;
  /** Bits of its words, by its header; undefined where an old bzImage does not tell. */
  readonly bits: 32 | 64 | undefined;
  /** Its configuration, where it holds one (CONFIG_IKCONFIG) that could be unpacked. */
  readonly config: KernelConfig | undefined;
}

/** Offsets in a bzImage (Documentation/arch/x86/boot.rst). */
const BOOT = {
  setupSectors: 0x1f1,
  magic: 0x202,
  version: 0x206,
  kernelVersion: 0x20e,
  xloadflags: 0x236,
  payloadOffset: 0x248,
  payloadLength: 0x24c,
} as const;
/** "HdrS" */
const BOOT_MAGIC = 0x53726448;
/** Boot protocol since which the payload is described, and since which the header tells of a 64-bit entry. */
const PROTOCOL_PAYLOAD = 0x208;
const PROTOCOL_XLOADFLAGS = 0x20c;

/**
 * Reads a kernel.
 *
 * @throws {ExpectedError} naming the file, what was expected and what was found
 */
export async function readKernelFile(path: string): Promise<KernelFile> {
  const bytes = await Deno.readFile(path).catch((error: Error) => {
    throw new ExpectedError(`${path}: the kernel cannot be read: ${error.message}`);
  });
  const view = new DataView(bytes.buffer);
  if (bytes.length > 0x1000 && view.getUint32(BOOT.magic, true) === BOOT_MAGIC) {
    return await readBzImage(path, bytes, view);
  }
  if (bytes.length > 20 && view.getUint32(0) === 0x7f454c46) return readVmlinux(path, bytes);
  throw new ExpectedError(`${path}: expected a bzImage or an ELF vmlinux, found neither`);
}

async function readBzImage(path: string, bytes: Uint8Array, view: DataView): Promise<KernelFile> {
  const offset = view.getUint16(BOOT.kernelVersion, true);
  const text = offset === 0 ? "" : textAt(bytes, 0x200 + offset);
  const [release = ""] = text.split(" ");
  if (!/^\d+\.\d+/.test(release)) {
    throw new ExpectedError(`${path}: expected a kernel version in the bzImage's header, found "${text}"`);
  }
  const protocol = view.getUint16(BOOT.version, true);
  const bits = protocol < PROTOCOL_XLOADFLAGS
    ? undefined
    : view.getUint16(BOOT.xloadflags, true) & 1
    ? 64
    : 32;
  const vmlinux = protocol < PROTOCOL_PAYLOAD ? undefined : await unpackPayload(path, payloadOf(bytes, view));
  return { format: "bzImage", release, bits, config: vmlinux && configIn(vmlinux, path) };
}

function readVmlinux(path: string, bytes: Uint8Array): KernelFile {
  const { bits } = readElf(bytes, path);
  const at = indexOf(bytes, "Linux version ");
  const [, , release = ""] = at < 0 ? [] : textAt(bytes, at).split(" ");
  if (!/^\d+\.\d+/.test(release)) {
    throw new ExpectedError(`${path}: expected an ELF file with "Linux version ...", found none in it`);
  }
  return { format: "vmlinux", release, bits, config: configIn(bytes, path) };
}

function payloadOf(bytes: Uint8Array, view: DataView): Uint8Array {
  const sectors = view.getUint8(BOOT.setupSectors) || 4;
  const start = (sectors + 1) * 512 + view.getUint32(BOOT.payloadOffset, true);
  return bytes.subarray(start, start + view.getUint32(BOOT.payloadLength, true));
}

/** The vmlinux in a bzImage; undefined where it is packed in a way that is not known here. */
async function unpackPayload(path: string, payload: Uint8Array): Promise<Uint8Array | undefined> {
  const begins = (hex: string) => payload.subarray(0, hex.length / 2).toHex() === hex;
  try {
    if (begins("1f8b08")) return gunzipSync(payload);
    // What is not gzip has its unpacked size behind it, in four bytes.
    if (begins("28b52ffd")) return zstdDecompressSync(payload.subarray(0, -4));
    if (begins("fd377a585a00")) return await unpackXz(payload.subarray(0, -4));
    if (begins("7f454c46")) return payload;
  } catch (error) {
    throw new ExpectedError(`${path}: the kernel in it cannot be unpacked: ${(error as Error).message}`);
  }
  return undefined;
}

async function unpackXz(packed: Uint8Array): Promise<Uint8Array | undefined> {
  if (await findTool("xz") === undefined) return undefined;
  const child = new Deno.Command("xz", {
    args: ["--decompress", "--stdout", "--single-stream"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(packed).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  await written;
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  return stdout;
}

/** The configuration that CONFIG_IKCONFIG puts into a kernel: gzip between two marks. */
function configIn(vmlinux: Uint8Array, path: string): KernelConfig | undefined {
  const start = indexOf(vmlinux, "IKCFG_ST");
  const end = indexOf(vmlinux, "IKCFG_ED", start);
  if (start < 0 || end < 0) return undefined;
  const text = new TextDecoder().decode(gunzipSync(vmlinux.subarray(start + "IKCFG_ST".length, end)));
  return parseKernelConfig(text, `${path} (its own configuration)`);
}

function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  return byteText(bytes.subarray(at, Math.min(end < 0 ? at + 256 : end, at + 256)));
}

function indexOf(bytes: Uint8Array, text: string, from = 0): number {
  if (from < 0) return -1;
  const wanted = new TextEncoder().encode(text);
  for (let at = bytes.indexOf(wanted[0]!, from); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
