// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { type ExpectedV11Vma, expectedVmas } from "./expected_vmas.ts";
import { StepMemory } from "./step_memory.ts";
import { manifestOf } from "./testing/small_manifest.ts";

function vmasOf(changes: Readonly<Record<string, unknown>>): ExpectedV11Vma[] {
  const manifest = manifestOf(changes);
  return expectedVmas(manifest, new StepMemory(manifest.steps, () => undefined));
}

function flags(vmas: readonly ExpectedV11Vma[]): string[] {
  return vmas.map((vma) => vma.flags.toString(16));
}

Deno.test("expectedVmas() gives the flags that exec gives", () => {
  assertEquals(flags(vmasOf({})), ["8001875", "8101873", "100073", "4040075", "100173"]);
});

Deno.test("expectedVmas() gives the program's own memory the flags of its steps", () => {
  const ops = [{ op: "mlock", va: "08048000", len: "1000", ret: "0" }, { op: "mlockall", ret: "0" }];
  assertEquals(flags(vmasOf({ ops: ops.slice(0, 1) }))[0], "8003875");
  assertEquals(flags(vmasOf({ ops })), ["8003875", "8103873", "102073", "4040075", "102173"]);
});

Deno.test("expectedVmas() sets NX with PAE where the processor has it", () => {
  const prots = (changes: Record<string, unknown>): (string | undefined)[] =>
    vmasOf(changes).map((vma) => vma.pageProt?.toString(16));
  const plain = ["25", "25", "25", "25", "25"];
  const nx = ["25", "8000000000000025", "8000000000000025", "25", "8000000000000025"];
  const build = { kernel: "Linux 2.6.28-rc7, i386, uniprocessor, PAE" };
  assertEquals(prots({}), plain);
  assertEquals(prots({ build, cpu_model_qemu: "qemu64" }), nx);
  assertEquals(prots({ build, cpu_model_qemu: "qemu32" }), plain);
  assertEquals(prots({ build, cpu_model_qemu: "qemu64", kernel_cmdline: "noexec=off" }), plain);
  assertEquals(prots({ build, cpu_model_qemu: "odd" }), ["25", undefined, undefined, "25", undefined]);
});

Deno.test("expectedVmas() takes all present pages of anonymous memory, and of files the copied ones", () => {
  const pages = (changes: Record<string, unknown>): string[] =>
    vmasOf(changes).map((vma) =>
      vma.pages.map(({ page, isOptional }) => `${page.toString(16)}${isOptional ? "?" : ""}`).join(" ")
    );
  const present_pages = [{ from: "08048000", to: "0804c000" }, { from: "bffff000", to: "c0000000" }];
  // Whether the program wrote to a present page of its data file nothing tells.
  assertEquals(pages({ present_pages }), ["", "8049? 804a?", "804b", "", "bffff"]);
  const ops = [{ op: "poke", va: "08048000", byte: "1" }, { op: "poke", va: "0804a000", byte: "1" }];
  assertEquals(pages({ present_pages, ops }), ["8048", "8049? 804a", "804b", "", "bffff"]);
});

Deno.test("expectedVmas() takes every present page of a private mapping of /dev/zero", () => {
  const proc_self_maps = ["08048000-08049000 r-xp 00000000 00:00 11 /bin/case"];
  const map = "40000000-40002000 rw-p 00000000 00:05 7 /dev/zero";
  const present_pages = [{ from: "40000000", to: "40001000" }];
  const [, zero] = vmasOf({ proc_self_maps: [...proc_self_maps, map], present_pages });
  assertEquals([zero?.isFile, zero?.pages.map(({ page }) => page)], [true, [0x40000]]);
});

Deno.test("expectedVmas() expects written pages that are not present where there is swap", () => {
  const map = { op: "mmap", ret: "40000000", len: "2000", prot: "3", flags: "32" };
  const ops = [map, { op: "fill", va: "40000000", pages: "1", seed: "1" }];
  const proc_self_maps = ["40000000-40002000 rw-p 40000000 00:00 0"];
  const [without] = vmasOf({ ops, proc_self_maps });
  assertEquals([without?.pages, without?.swapped.size], [[], 0]);
  const [swapped] = vmasOf({ ops, proc_self_maps, lines: ["swapon=/dev/hda"] });
  assertEquals(swapped?.pages.map(({ page, isOptional }) => [page, isOptional]), [[0x40000, false]]);
  assertEquals([...swapped?.swapped ?? []], [0x40000]);
});

Deno.test("expectedVmas() knows the parts of a stack that was split", () => {
  const proc_self_maps = [
    "bffe0000-bffe1000 rw-p bffe0000 00:00 0",
    "bffeb000-bfff0000 r--p bffeb000 00:00 0",
    "bfff0000-c0000000 rw-p bfff0000 00:00 0          [stack]",
  ];
  assertEquals(flags(vmasOf({ proc_self_maps })), ["100073", "100171", "100173"]);
});
