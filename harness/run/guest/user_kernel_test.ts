// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { defaultFragments } from "../../../vm/kernel/build/build_kernel.ts";
import { fakeBzImage, type FakeKernelFile } from "../../../vm/kernel/testing/fake_kernel_file.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { examineKernelFile, modelSeries, type UserKernelRequest } from "./user_kernel.ts";
import { PLATFORMS } from "../platform.ts";

const platform = PLATFORMS[0]!;

async function examine(
  kernel: FakeKernelFile,
  { beside, ...question }: Partial<UserKernelRequest> & { beside?: Record<string, string> } = {},
) {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "bzImage");
    await Deno.writeFile(path, fakeBzImage(kernel));
    for (const [name, text] of Object.entries(beside ?? {})) {
      await Deno.writeTextFile(join(directory, name), text);
    }
    const { platform: { name, series }, channel, notes, config } = await examineKernelFile({
      path,
      platform,
      channel: undefined,
      hasNumber: false,
      ...question,
    });
    return { name, series, channel, notes, isKnown: config !== undefined };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The project's own configuration as far as it is asked for. */
async function ownConfig(without = ""): Promise<string> {
  const texts = await Promise.all(
    (await defaultFragments("x86_64", "plain", "6.1")).map((p) => Deno.readTextFile(p)),
  );
  const lines = texts.join("\n").split("\n").filter((line) => line.startsWith("CONFIG_") && line !== without);
  return `${[...new Set([...lines, "CONFIG_PROC_PAGE_MONITOR=y", "CONFIG_SYSFS=y"])].join("\n")}\n`;
}

Deno.test("examineKernelFile() takes the platform's series from the kernel", async () => {
  assertEquals(await examine({ release: "6.12.9" }), {
    name: "x86_64@6.12",
    series: "6.12",
    channel: "virtio",
    notes: [],
    isKnown: false,
  });
  const { name, series } = await examine({ release: "6.6.30" });
  assertEquals([name, series], ["x86_64", "6.1"]);
});

Deno.test("examineKernelFile() refuses a kernel whose configuration lacks something, by name", async () => {
  const release = "6.1.9";
  const config = await ownConfig("CONFIG_TMPFS=y");
  const lacks =
    "lacks 1 needed option\n  CONFIG_TMPFS: expected y, found not set: targets and their files live on it";
  await assertRejects(() => examine({ release, config }), UsageError, `the configuration in it ${lacks}`);
  for (const name of [".config", "config-6.1.9"]) {
    await assertRejects(
      () => examine({ release }, { beside: { [name]: config } }),
      UsageError,
      `${name} ${lacks}`,
    );
  }
  assertEquals((await examine({ release, config: await ownConfig() })).isKnown, true);
});

Deno.test("examineKernelFile() takes the serial port of a kernel without virtio ports, and says so", async () => {
  const config = (await ownConfig("CONFIG_VIRTIO_CONSOLE=y")).replaceAll(/(_UARTS)=1/g, "$1=4");
  const { channel, notes } = await examine({ release: "6.1.9", config });
  assertEquals([channel, notes.length], ["serial", 1]);
  const asked = () => examine({ release: "6.1.9", config }, { channel: "virtio" });
  await assertRejects(asked, UsageError, "CONFIG_VIRTIO_CONSOLE: expected y, found not set");
});

Deno.test("examineKernelFile() refuses a kernel of another platform", async () => {
  const refuses = (kernel: FakeKernelFile, found: string, more: Parameters<typeof examine>[1] = {}) =>
    assertRejects(() => examine(kernel, more), UsageError, `is built for ${found}: name it with --arch`);
  await refuses({ release: "6.1.9", bits: 32 }, "i386 or i386-pae");
  // A header of 2008 does not tell; a configuration does, in the kernel or beside it.
  const old = { release: "2.6.28-rc7", protocol: 0x209 };
  await refuses({ ...old, config: "CONFIG_X86_32=y\n" }, "i386");
  await refuses(old, "i386-pae", { beside: { ".config": "CONFIG_X86_32=y\nCONFIG_X86_PAE=y\n" } });
  assertEquals((await examine(old)).channel, "serial");
  const i386 = PLATFORMS.find(({ name }) => name === "i386")!;
  await refuses({ ...old, config: "CONFIG_X86_64=y\n" }, "x86_64", { platform: i386 });
  await refuses({ ...old, config: "CONFIG_X86_32=y\nCONFIG_X86_PAE=y\n" }, "i386-pae", { platform: i386 });
  await assertRejects(() => examine({ release: "rubbish" }), UsageError, "option --bzimage: ");
});

Deno.test("modelSeries() names the nearest series, and says when it is another one", () => {
  const of = (release: string) => modelSeries(release).series;
  assertEquals(["5.10.223", "5.15.1", "6.1.192", "6.11.0", "6.12-rc1", "6.19.0", "7.0"].map(of), [
    "5.10",
    "5.10",
    "6.1",
    "6.1",
    "6.12",
    "6.12",
    "6.12",
  ]);
  assertEquals(modelSeries("6.1.192").note, undefined);
  assertEquals(modelSeries("2.6.28.1"), {
    series: "5.10",
    note: "Linux 2.6.28.1 is judged by the model of 5.10, the oldest there is",
  });
});
