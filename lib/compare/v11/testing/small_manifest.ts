// SPDX-License-Identifier: MIT

import { parseV11Manifest, type V11Manifest } from "../manifest.ts";

/** A manifest of a small program, for tests; `changes` replace fields of its JSON. */
export function manifestOf(changes: Readonly<Record<string, unknown>> = {}): V11Manifest {
  return parseV11Manifest(JSON.stringify({
    case: "small",
    cpu_model_qemu: "qemu32",
    build: { kernel: "Linux 2.6.28-rc7, i386, uniprocessor, no PAE" },
    uname_release: "2.6.28-rc7",
    uname_version: "#1",
    uname_machine: "i686",
    lines: ["case=small pid=12"],
    ops: [],
    proc_self_maps: [
      "08048000-08049000 r-xp 00000000 00:00 11         /bin/case",
      "08049000-0804b000 rw-p 00001000 00:00 11         /bin/case",
      "0804b000-0804c000 rw-p 0804b000 00:00 0          [heap]",
      "b7fff000-b8000000 r-xp b7fff000 00:00 0          [vdso]",
      "bffeb000-c0000000 rw-p bffeb000 00:00 0          [stack]",
    ],
    present_pages: [],
    checkpoint_calls: [{ pid_arg: "12", fd: "5", flags: "0", ret: "1" }],
    regs_at_call: [{ eip: "08048010" }],
    ...changes,
  }));
}
