// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { parseSmapsVmFlags, permissionText, vmFlagNames, type VmFlagTable, vmFlagTable } from "./vm_flags.ts";

/**
 * The bits that names stand for.
 *
 * @throws {RangeError} when the kernel has no such flag.
 */
function vmFlagBits(names: Iterable<string>, table: VmFlagTable): bigint {
  let flags = 0n;
  for (const name of names) {
    const bit = table.bits[name];
    if (bit === undefined) throw new RangeError(`Linux ${table.series} has no vm_flags bit called ${name}`);
    flags |= bit;
  }
  return flags;
}

Deno.test("vmFlagTable() has the bits of each kernel, which moved between them", () => {
  const bit = (series: "2.6.28" | "5.10" | "6.1" | "6.12", number: bigint): string[] => {
    return vmFlagNames(1n << number, vmFlagTable(series, 8));
  };
  assertEquals([bit("2.6.28", 26n), bit("6.1", 26n)], [["ALWAYSDUMP"], ["DONTDUMP"]]);
  assertEquals([bit("2.6.28", 11n), bit("5.10", 11n), bit("6.1", 11n)], [["DENYWRITE"], ["DENYWRITE"], [
    "0x800",
  ]]);
  assertEquals([bit("2.6.28", 12n), bit("6.1", 12n)], [["EXECUTABLE"], ["UFFD_WP"]]);
  assertEquals([bit("6.1", 37n), bit("6.12", 37n), bit("6.12", 38n)], [["UFFD_MINOR"], ["SHADOW_STACK"], [
    "UFFD_MINOR",
  ]]);
});

Deno.test("vmFlagTable() has no bits from 32 up for a word of 4 bytes", () => {
  assertEquals(vmFlagTable("6.12", 4).known >> 32n, 0n);
  assertEquals(vmFlagTable("6.12", 8).known >> 63n, 1n);
});

Deno.test("vmFlagNames() and vmFlagBits() undo each other", () => {
  for (const series of ["2.6.28", "5.10", "6.1", "6.12"] as const) {
    const table = vmFlagTable(series, 8);
    assertEquals(vmFlagBits(vmFlagNames(table.known, table), table), table.known);
  }
  assertEquals(vmFlagBits(["READ", "MAYREAD"], vmFlagTable("6.1", 8)), 0x11n);
  assertThrows(() => vmFlagBits(["ALWAYSDUMP"], vmFlagTable("6.1", 8)), RangeError, "Linux 6.1");
});

Deno.test("parseSmapsVmFlags() reads the line of smaps, and counts codes that stand for no bit", () => {
  const table = vmFlagTable("6.1", 8);
  assertEquals(parseSmapsVmFlags("VmFlags: rd wr mr mw me lo ?? ac \n", table), {
    bits: 0x10_2073n,
    unnamed: 1,
  });
  assertEquals(["lf", "??"].filter((code) => code in table.codes), []);
  const named = parseSmapsVmFlags("rd lo lf", vmFlagTable("6.12", 8));
  assertEquals(named, { bits: vmFlagBits(["READ", "LOCKED", "LOCKONFAULT"], table), unnamed: 0 });
  assertThrows(() => parseSmapsVmFlags("rd zz", table), RangeError, '"zz"');
});

Deno.test("permissionText() is the column of /proc/PID/maps", () => {
  assertEquals(["71", "73", "75", "f8", "70"].map((flags) => permissionText(BigInt(`0x${flags}`))), [
    "r--p",
    "rw-p",
    "r-xp",
    "---s",
    "---p",
  ]);
});
