// SPDX-License-Identifier: MIT
import { gzipSync } from "node:zlib";
import { joinBytes } from "../../../lib/bytes.ts";

/** What a fake kernel says of itself. */
export interface FakeKernelFile {
  readonly release: string;
  readonly bits?: 32 | 64;
  /** Text of the configuration inside. */
  readonly config?: string;
  /** Packs the vmlinux inside of a bzImage; gzip by default. */
  readonly pack?: (vmlinux: Uint8Array) => Uint8Array;
  /** Version of the boot protocol. */
  readonly protocol?: number;
}

/** An ELF file that looks like a vmlinux from outside, and cannot run. */
export function fakeVmlinux({ release, bits = 64, config }: FakeKernelFile): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1]);
  const parts = [header, text(`Linux version ${release} (me@here) #1\0`)];
  if (config !== undefined) parts.push(text("IKCFG_ST"), gzipSync(config), text("IKCFG_ED"));
  return joinBytes(parts);
}

/** A bzImage with such a vmlinux in it: the header's fields, one setup sector, the payload. */
export function fakeBzImage(kernel: FakeKernelFile): Uint8Array<ArrayBuffer> {
  const { release, bits = 64, pack = gzipSync, protocol = 0x20f } = kernel;
  const payload = pack(fakeVmlinux(kernel));
  const image = new Uint8Array(0x2000 + payload.length);
  const view = new DataView(image.buffer);
  view.setUint8(0x1f1, 3);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, protocol, true);
  view.setUint16(0x20e, 0x400, true);
  view.setUint16(0x236, bits === 64 ? 1 : 0, true);
  view.setUint32(0x248, 0x1000, true);
  view.setUint32(0x24c, payload.length, true);
  image.set(text(`${release} (me@here) #1 SMP\0`), 0x600);
  image.set(payload, 4 * 512 + 0x1000);
  return image;
}

function text(string: string): Uint8Array {
  return new TextEncoder().encode(string);
}
