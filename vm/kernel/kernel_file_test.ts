// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { zstdCompressSync } from "node:zlib";
import { readKernelFile } from "./kernel_file.ts";
import { fakeBzImage, fakeVmlinux } from "./testing/fake_kernel_file.ts";
import { ExpectedError } from "../host/errors.ts";

async function read(bytes: Uint8Array) {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, bytes);
    return await readKernelFile(path);
  } finally {
    await Deno.remove(path);
  }
}

const CONFIG = "CONFIG_TTY=y\n# CONFIG_PVH is not set\n";

function withSize(packed: Uint8Array): Uint8Array {
  return Uint8Array.of(...packed, 1, 2, 3, 4);
}

async function xz(bytes: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("xz", { args: ["-c", "--check=crc32"], stdin: "piped", stdout: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
  return withSize((await child.output()).stdout);
}

Deno.test("readKernelFile() reads release, bits and configuration of a bzImage, however it is packed", async () => {
  const kernel = { release: "6.6.30-mine", bits: 64, config: CONFIG } as const;
  const expected = new Map([["CONFIG_TTY", "y"], ["CONFIG_PVH", "n"]]);
  const packedByXz = await xz(fakeVmlinux(kernel));
  const packs = [undefined, (bytes: Uint8Array) => withSize(zstdCompressSync(bytes)), () => packedByXz];
  for (const pack of packs) {
    const { format, release, bits, config } = await read(fakeBzImage(pack ? { ...kernel, pack } : kernel));
    assertEquals([format, release, bits, config], ["bzImage", "6.6.30-mine", 64, expected]);
  }
});

Deno.test("readKernelFile() makes do with what an old header or an unknown packer leaves", async () => {
  const old = await read(fakeBzImage({ release: "2.6.27.10", protocol: 0x204, config: CONFIG }));
  assertEquals([old.release, old.bits, old.config], ["2.6.27.10", undefined, undefined]);
  const lzo = await read(fakeBzImage({ release: "6.1.0", bits: 32, pack: () => new Uint8Array(500) }));
  assertEquals([lzo.release, lzo.bits, lzo.config], ["6.1.0", 32, undefined]);
});

Deno.test("readKernelFile() reads an ELF vmlinux", async () => {
  const { format, release, bits, config } = await read(
    fakeVmlinux({ release: "5.10.1", bits: 64, config: CONFIG }),
  );
  assertEquals([format, release, bits, config?.get("CONFIG_TTY")], ["vmlinux", "5.10.1", 64, "y"]);
  assertEquals((await read(fakeVmlinux({ release: "5.10.1", bits: 32 }))).config, undefined);
});

Deno.test("readKernelFile() says what is wrong with a file that is no kernel", async () => {
  const fails = (bytes: Uint8Array, message: string) =>
    assertRejects(() => read(bytes), ExpectedError, message);
  await fails(new Uint8Array(5000), "expected a bzImage or an ELF vmlinux, found neither");
  await fails(new Uint8Array(0), "found neither");
  await fails(fakeVmlinux({ release: "none" }), `expected an ELF file with "Linux version`);
  await fails(fakeBzImage({ release: "none" }), "expected a kernel version in the bzImage's header");
  const broken = fakeBzImage({ release: "6.1.0", pack: (bytes) => Uint8Array.of(0x1f, 0x8b, 8, ...bytes) });
  await fails(broken, "the kernel in it cannot be unpacked");
  await assertRejects(
    () => readKernelFile("/no/such"),
    ExpectedError,
    "/no/such: the kernel cannot be read",
  );
});
