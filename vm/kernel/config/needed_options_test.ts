// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { defaultFragments } from "../build/build_kernel.ts";
import { mergeKernelConfigs, parseKernelConfig } from "./kernel_config.ts";
import { channelFor, isOlder, missingOptions, type NeededFor, neededText } from "./needed_options.ts";

const FOR: NeededFor = {
  release: "6.1.9",
  channel: "virtio",
  isElf: true,
  isCompat: false,
  hasOwnPatch: true,
};

/** The project's own configuration: fragments, and what they bring with them. */
async function ownConfig(...more: string[]): Promise<Map<string, string>> {
  const fragments = [...await defaultFragments("x86_64", "plain", "6.1"), ...more];
  const read = async (path: string) => parseKernelConfig(await Deno.readTextFile(path), path);
  return new Map(mergeKernelConfigs(await Promise.all(fragments.map(read))));
}

Deno.test("missingOptions() misses nothing in the project's own configurations", async () => {
  const virtio = await ownConfig();
  // Kconfig's defaults; and the option that selects it.
  for (const name of ["CONFIG_PROC_PAGE_MONITOR", "CONFIG_SYSFS"]) virtio.set(name, virtio.get(name) ?? "y");
  assertEquals(missingOptions(virtio, { ...FOR, isCompat: true }), []);
  assertEquals(channelFor(virtio, "6.1.9"), "virtio");
  const serial = await ownConfig(new URL("./serial.config", import.meta.url).pathname);
  for (const name of ["CONFIG_PROC_PAGE_MONITOR", "CONFIG_SYSFS"]) serial.set(name, serial.get(name) ?? "y");
  assertEquals(missingOptions(serial, { ...FOR, channel: "serial" }), []);
  assertEquals(channelFor(serial, "6.1.9"), "serial");
});

Deno.test("missingOptions() names each option, what was found, and what it is for", async () => {
  const whole = await ownConfig();
  for (const name of ["CONFIG_PROC_PAGE_MONITOR", "CONFIG_SYSFS"]) whole.set(name, "y");
  const lacking = (name: string, needed: Partial<NeededFor> = {}) => {
    const config = new Map(whole);
    config.delete(name);
    return missingOptions(config, { ...FOR, ...needed }).map((option) => option.name);
  };
  for (
    const name of [
      "CONFIG_CR_CHECKPOINT",
      "CONFIG_TTY",
      "CONFIG_TMPFS",
      "CONFIG_VIRTIO_CONSOLE",
      "CONFIG_PVH",
    ]
  ) {
    assertEquals(lacking(name), [name]);
  }
  assertEquals(lacking("CONFIG_CR_CHECKPOINT", { hasOwnPatch: false }), []);
  assertEquals(lacking("CONFIG_TTY", { release: "2.6.28" }), []);
  assertEquals(lacking("CONFIG_PVH", { isElf: false }), []);
  assertEquals(lacking("CONFIG_IA32_EMULATION", { isCompat: true }), ["CONFIG_IA32_EMULATION"]);
  const texts = missingOptions(whole, { ...FOR, channel: "serial" }).map(neededText);
  assertEquals(texts.length, 2);
  assert(texts[0]!.startsWith("CONFIG_SERIAL_8250_NR_UARTS: expected 2 or more, found 1: "), texts[0]);
  const modular = new Map(whole).set("CONFIG_VIRTIO_CONSOLE", "m");
  assertEquals(channelFor(modular, "6.1.9"), "serial");
  assert(neededText(missingOptions(modular, FOR)[0]!).includes("found m (there is nobody to load modules)"));
});

Deno.test("channelFor() takes the serial port where virtio ports cannot be, and virtio where nothing is known", () => {
  assertEquals(channelFor(undefined, "2.6.28"), "serial");
  assertEquals(channelFor(undefined, "6.6.1"), "virtio");
  assertEquals(channelFor(new Map(), "6.6.1"), "serial");
});

Deno.test("isOlder() compares numbers, not text", () => {
  assertEquals(["5.9.1", "5.10.0", "6.1-rc1", "rubbish"].map((release) => isOlder(release, [5, 10])), [
    true,
    false,
    false,
    false,
  ]);
});
