// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { describeProcessors, parseProcessors, parseSymbols } from "./processors.ts";

/** As QEMU 7.2 prints it, the lines in between left out. */
const REGISTERS = `\r
CPU#0\r
RAX=0000000000000000 RBX=ffffffff81c10a00 RCX=0000000000000000 RDX=0000000000000000\r
RIP=ffffffff8101b9de RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r
ES =0000 0000000000000000 00000000 00000000\r
\r
CPU#1\r
RIP=ffffffff8119e114 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
\r
CPU#2\r
RIP=00000000004001f3 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r
\r
CPU#3\r
EIP=c0100010 EFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
`;
const SYMBOLS = [
  "ffffffff8101b9d0 t amd_e400_idle",
  "ffffffff8119e0f0 T do_checkpoint",
  "ffffffff8119e200 d some_data",
  "                 w weak",
];

Deno.test("describeProcessors() says in which function each processor is, and whether it runs", () => {
  assertEquals(describeProcessors(parseProcessors(REGISTERS), parseSymbols(SYMBOLS)), [
    "processor 0 is idle in amd_e400_idle+0xe",
    "processor 1 runs in do_checkpoint+0x24",
    "processor 2 runs a program at 0x4001f3",
    "processor 3 runs in 0xc0100010",
  ]);
});

Deno.test("parseProcessors() finds none in what QEMU does not say", () => {
  for (const text of ["", "CPU#", "CPU#0\nRIP=xyz CPL=0", "CPU#0 ".repeat(100_000)]) {
    assertEquals(parseProcessors(text), []);
  }
});
