// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { defaultFragments } from "../build/build_kernel.ts";
import { mergeKernelConfigs, parseKernelConfig } from "./kernel_config.ts";
import { channelFor, missingOptions, type NeededFor, neededText, optionOf } from "./needed_options.ts";

const FOR: NeededFor = {
  release: "6.1.9",
  channel: "virtio",
  isElf: true,
  isCompat: false,
  needsPatchOption: true,
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
  assertEquals(lacking("CONFIG_CR_CHECKPOINT", { needsPatchOption: false }), []);
  assertEquals(lacking("CONFIG_TTY", { release: "2.6.28" }), []);
  assertEquals(lacking("CONFIG_PVH", { isElf: false }), []);
  assertEquals(lacking("CONFIG_IA32_EMULATION", { isCompat: true }), ["CONFIG_IA32_EMULATION"]);
  const texts = missingOptions(whole, { ...FOR, channel: "serial" }).map(neededText);
  assertEquals(texts.length, 2);
  assert(texts[0]!.startsWith("CONFIG_SERIAL_8250_NR_UARTS: expected 2 or more, found 1: "), texts[0]);
  const split = missingOptions(new Map(whole).set("CONFIG_VMSPLIT_2G", "y"), FOR).map(neededText);
  assertEquals(split.length, 1);
  assert(split[0]!.startsWith("CONFIG_VMSPLIT_2G: expected not set, found y: stack and mappings"), split[0]);
  const modular = new Map(whole).set("CONFIG_VIRTIO_CONSOLE", "m");
  assertEquals(channelFor(modular, "6.1.9"), "serial");
  assert(neededText(missingOptions(modular, FOR)[0]!).includes("found m (there is nobody to load modules)"));
});

Deno.test("channelFor() takes the serial port where virtio ports cannot be, and virtio where nothing is known", () => {
  assertEquals(channelFor(undefined, "2.6.28"), "serial");
  assertEquals(channelFor(undefined, "6.6.1"), "virtio");
  assertEquals(channelFor(new Map(), "6.6.1"), "serial");
});

Deno.test("missingOptions() takes the option's name of 2008, and says how to do without it", async () => {
  const config = await ownConfig();
  for (const name of ["CONFIG_PROC_PAGE_MONITOR", "CONFIG_SYSFS"]) config.set(name, "y");
  config.set("CONFIG_CR_CHECKPOINT", "n");
  const texts = () => missingOptions(config, FOR).map(neededText);
  assertEquals(texts(), [
    "CONFIG_CR_CHECKPOINT: expected y, found not set: the code under test (CONFIG_CHECKPOINT_RESTART in 2008). " +
    "--syscall NR tests a kernel without the option by the number of its call: the i386 code of 2008 had 333",
  ]);
  config.set("CONFIG_CHECKPOINT_RESTART", "y");
  assertEquals(texts(), []);
  // Another thing by a similar name.
  config.set("CONFIG_CHECKPOINT_RESTART", "n").set("CONFIG_CHECKPOINT_RESTORE", "y");
  assertEquals(texts().length, 1);
});

Deno.test("optionOf() knows what was always there before it became an option", () => {
  const config = new Map([["CONFIG_SWAP", "y"], ["CONFIG_DEVMEM", "n"]]);
  const of = (name: string, release: string, known = true) =>
    optionOf(name, { config: known ? config : undefined, release });
  assertEquals([of("CONFIG_SWAP", "2.6.28"), of("CONFIG_KSM", "2.6.28")], ["y", "n"]);
  assertEquals([of("CONFIG_MODIFY_LDT_SYSCALL", "4.2.1"), of("CONFIG_MODIFY_LDT_SYSCALL", "4.3")], [
    "y",
    "n",
  ]);
  assertEquals([of("CONFIG_X86_16BIT", "3.15"), of("CONFIG_X86_16BIT", "3.16")], ["y", "n"]);
  assertEquals([of("CONFIG_TTY", "3.8.13"), of("CONFIG_TTY", "3.9")], ["y", "n"]);
  // One that brought the option with it from a later kernel.
  assertEquals(of("CONFIG_DEVMEM", "2.6.28"), "n");
  assertEquals([of("CONFIG_DEVMEM", "3.19", false), of("CONFIG_DEVMEM", "4.0", false)], ["y", undefined]);
  assertEquals(of("CONFIG_SWAP", "2.6.28", false), undefined);
});
