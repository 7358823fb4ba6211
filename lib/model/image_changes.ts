// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../abi/arch.ts";
import { recordType } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";
import { type Apply, change, cutIn, flip, type ImageChange, invalid, set, setFrom } from "./image_change.ts";
import { ImageEditor } from "./image_editor.ts";
import { MEMORY_CHANGES } from "./memory_changes.ts";
import { SIGNAL_CHANGES } from "./signal_changes.ts";
import { THREAD_CHANGES } from "./thread_changes.ts";

/** Bytes of a record, or of anything else that is inserted. */
function recordBytes(type: number, length: number, parent: bigint, payload: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER.size + payload).fill(0x5a);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setInt16(2, length, true);
  view.setUint32(4, Number(parent), true);
  return bytes;
}

const UNKNOWN_TYPE = 30_000;

/** A record of the process that no kernel knows, ahead of TAIL. */
function extension(length: number, { parent = 0n, type = UNKNOWN_TYPE, payload = length } = {}): Apply {
  return (image) => {
    const pid = image.get("MM", "parent");
    image.insert(image.record("TAIL").offset, recordBytes(type, length, pid ^ parent, payload));
  };
}

/** The same, which ends before it has all of its bytes, and the image with it. */
function cutExtension(image: ImageEditor): void {
  const { offset } = image.record("TAIL");
  extension(100, { payload: 50 })(image);
  image.cut(offset + RECORD_HEADER.size + 50);
}

/** The records that belong to the process all say that it was called so. */
function renamed(name: (pid: bigint) => bigint, first: "MM" | "THREAD" = "MM"): Apply {
  return (image) => {
    const pid = name(image.get("MM", "parent"));
    if (first === "MM") image.set("MM", "parent", pid);
    for (const record of ["THREAD", "CPU", "X86_FSGSBASE", "AUXV", "SIGNALS"] as const) {
      if (image.has(record)) image.set(record, "parent", pid);
    }
  };
}

function otherKernel(field: string, mask = 1n): ImageChange {
  return change("ENOEXEC", "another kernel wrote it", flip("HEAD", field, mask));
}

/** The last byte of a text about the kernel, behind its NUL. */
const TEXT_END = 0x41n << (8n * 63n);

function otherCpu(apply: Apply): ImageChange {
  return change("ENOEXEC", "it is of another CPU", apply);
}

function flipName(byte: number): Apply {
  return (image) => image.flipAt(image.record("STRING").offset + RECORD_HEADER.size + byte, 0x41n);
}

/** Changes by the record that the kernel finds them in, and a word for what it is. */
export const IMAGE_CHANGES = {
  "HEAD.magic": invalid("it is no image", flip("HEAD", "magic", 0xffn)),
  "HEAD.rev": invalid("it is of another version of the format", flip("HEAD", "rev", 0xffn)),
  "HEAD.rev, older": invalid(
    "it is of another version of the format",
    setFrom("HEAD", "rev", "rev", -1n),
  ),
  "HEAD.rev of another kernel": invalid("it is of another version of the format", (image) => {
    image.flip("HEAD", "rev", 0xffn);
    image.flip("HEAD", "version", 1n);
  }),
  "HEAD.flags": invalid("it is no checkpoint's", flip("HEAD", "flags", 2n)),
  "HEAD.flags, none": invalid("it is no checkpoint's", flip("HEAD", "flags", 1n)),
  "HEAD.parent": invalid("the first record is somebody's", set("HEAD", "parent", 1n)),
  "HEAD.len": invalid("a record is longer than it is", flip("HEAD", "len", 0x100n)),
  "HEAD.major": otherKernel("major"),
  "HEAD.minor": otherKernel("minor"),
  "HEAD.patch": otherKernel("patch"),
  "HEAD.release": otherKernel("release"),
  "HEAD.release, its end": otherKernel("release", TEXT_END),
  "HEAD.version": otherKernel("version"),
  "HEAD.version, its end": otherKernel("version", TEXT_END),
  "HEAD.machine": otherKernel("machine"),
  "HEAD.machine, its end": otherKernel("machine", TEXT_END),
  "HEAD_ARCH.xstate_size": otherCpu(flip("HEAD_ARCH", "xstate_size", 0x40n)),
  "HEAD_ARCH.xstate_size, smaller": otherCpu(setFrom("HEAD_ARCH", "xstate_size", "xstate_size", -64n)),
  "HEAD_ARCH.has_xsave": otherCpu(flip("HEAD_ARCH", "has_xsave", 1n)),
  "HEAD_ARCH.has_fxsr": otherCpu(flip("HEAD_ARCH", "has_fxsr", 1n)),
  "HEAD_ARCH._padding": invalid("padding is not 0", flip("HEAD_ARCH", "_padding", 1n)),
  "TASK.exit_state": invalid("it is of a process that has ended", flip("TASK", "exit_state", 1n)),
  "TASK.task_comm_len": invalid("names are not so long", flip("TASK", "task_comm_len", 1n)),
  "TASK._padding": invalid("padding is not 0", flip("TASK", "_padding", 1n)),
  "TASK.name, behind it": invalid("something lies behind the name", flipName(14)),
  "TASK.name, its last byte": invalid("something lies behind the name", flipName(15)),
  "TASK.name, endless": invalid("the name has no end", (image) => {
    const { offset, payload } = image.record("STRING");
    payload.forEach((byte, at) => byte === 0 && image.flipAt(offset + RECORD_HEADER.size + at, 0x41n));
  }),
  "MM.pid 0": invalid("no process has the pid 0", renamed(() => 0n)),
  "MM.pid beyond": invalid("no process has such a pid", renamed((pid) => pid | 0x80_0000n)),
  "THREAD and what is behind it": invalid(
    "the memory is another process's",
    renamed((pid) => pid ^ 1n, "THREAD"),
  ),
  ...MEMORY_CHANGES,
  ...THREAD_CHANGES,
  ...SIGNAL_CHANGES,
  "TAIL.magic": invalid("it does not end as an image does", flip("TAIL", "magic", 0xffn)),
  "TAIL.parent": invalid("the end is somebody's", set("TAIL", "parent", 1n)),
  "TAIL.len": invalid("the end is longer than it is", flip("TAIL", "len", 0x40n)),
  "TAIL that is not there": change("EPIPE", "it has no end", cutIn("TAIL")),
  "TAIL behind a record that is cut": change("EPIPE", "an unknown record is cut", cutExtension),
  "TAIL behind a record of another": invalid(
    "an unknown record is another process's",
    extension(8, { parent: 1n }),
  ),
  "TAIL behind a known record": invalid("a record is where it does not belong", extension(8, { type: 204 })),
  "TAIL behind the last known record": invalid(
    "a record is where it does not belong",
    extension(8, { type: recordType("SIGACTION", "plain")! }),
  ),
  "TAIL behind a negative type": invalid("a record has a type below 0", extension(8, { type: -1 })),
  "TAIL behind a negative length": invalid("a record has less than no bytes", extension(-1, { payload: 8 })),
  "TAIL behind an empty record": { problem: undefined, apply: extension(0) },
  "TAIL behind an unknown record": { problem: undefined, apply: extension(PAGE_SIZE + 5) },
  "TAIL behind the longest record": { problem: undefined, apply: extension(0x7fff) },
} as const satisfies Readonly<Record<string, ImageChange>>;

/** The name of a change. */
export type ImageChangeName = keyof typeof IMAGE_CHANGES;

/** What a change is. */
export function imageChange(name: ImageChangeName): ImageChange {
  return IMAGE_CHANGES[name];
}

/** The image with a change. */
export function changedImage(image: Uint8Array, name: ImageChangeName): Uint8Array {
  const editor = new ImageEditor(image);
  IMAGE_CHANGES[name].apply(editor);
  return editor.bytes;
}
