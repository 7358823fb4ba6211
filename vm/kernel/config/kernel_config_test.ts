// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { RAM_DISK_SIZE } from "../../../lib/abi/arch.ts";
import {
  droppedOptions,
  formatKernelConfig,
  mergeKernelConfigs,
  parseKernelConfig,
} from "./kernel_config.ts";

Deno.test("parseKernelConfig() reads values, unset options and comments", () => {
  const text = '# a comment\n\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x y"\nCONFIG_D=0x10\n';
  assertEquals([...parseKernelConfig(text, "f")], [
    ["CONFIG_A", "y"],
    ["CONFIG_B", "n"],
    ["CONFIG_C", '"x y"'],
    ["CONFIG_D", "0x10"],
  ]);
});

Deno.test("parseKernelConfig() refuses what it does not understand, with file and line", () => {
  assertThrows(() => parseKernelConfig("CONFIG_A=y\nFOO\n", "x.config"), SyntaxError, "x.config:2");
  assertThrows(() => parseKernelConfig("CONFIG_A=\n", "x.config"), SyntaxError, "x.config:1");
  assertThrows(() => parseKernelConfig("CONFIG_A=y\nCONFIG_A=y\n", "x"), SyntaxError, "second time");
});

Deno.test("mergeKernelConfigs() lets the later fragment win, formatKernelConfig() writes it", () => {
  const base = parseKernelConfig("CONFIG_B=y\nCONFIG_Z=1\n", "base");
  const more = parseKernelConfig("# CONFIG_B is not set\nCONFIG_C=y\n", "more");
  assertEquals(
    formatKernelConfig(mergeKernelConfigs([base, more])),
    "CONFIG_Z=1\n# CONFIG_B is not set\nCONFIG_C=y\n",
  );
});

Deno.test("droppedOptions() names options that are missing, different, or on though asked to be off", () => {
  const wanted = parseKernelConfig(
    "CONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\n# CONFIG_D is not set\n",
    "w",
  );
  const final = parseKernelConfig("CONFIG_B=3\nCONFIG_C=y\n", "f");
  assertEquals(droppedOptions(wanted, final), [
    { name: "CONFIG_A", wanted: "y", found: "n" },
    { name: "CONFIG_B", wanted: "2", found: "3" },
    { name: "CONFIG_C", wanted: "n", found: "y" },
  ]);
  assertEquals(droppedOptions(wanted, wanted), []);
});

Deno.test("the guest's RAM disk has the size that lib/abi says", async () => {
  const config = parseKernelConfig(await Deno.readTextFile(new URL("base.config", import.meta.url)), "base");
  assertEquals(Number(config.get("CONFIG_BLK_DEV_RAM_SIZE")) * 1024, RAM_DISK_SIZE);
});
