// SPDX-License-Identifier: MIT

import { dataView } from "../bytes.ts";
import { TLS_ENTRIES } from "../abi/arch.ts";
import { RECORD_HEADER } from "../image/structs.ts";
import { FXSAVE_FIELDS, XSAVE_HEADER } from "../x86/xstate.ts";
import { type Apply, change, cutIn, flip, type ImageChange, invalid, set, setFrom } from "./image_change.ts";

/** Flips bits of an entry's second word: access rights, and what is above the limit. */
function flipEntry(name: "MM_CONTEXT" | "THREAD", entry: number, mask: bigint): Apply {
  return (image) => image.flipRaw(name, 8 * entry + 4, mask);
}

const [ACCESSED, CODE, CONFORMING, NO_GATE] = [0x100n, 0x800n, 0xc00n, 0x1000n];
const [PRIVILEGE, PRESENT, LONG, IS_32_BIT] = [0x2000n, 0x8000n, 0x20_0000n, 0x40_0000n];

function flipXstate(offset: number, mask: bigint): Apply {
  return (image) => image.flipRaw("CPU", offset, mask);
}

function wide(register: string, bit = 32n): ImageChange {
  return invalid("registers have 32 bits", flip("CPU", register, 1n << bit), "a kernel of 32 bits");
}

function absent(register: string): ImageChange {
  return invalid("there is no such register", flip("CPU", register, 1n), "a kernel of 32 bits");
}

/** Changes of what belongs to the thread and to its CPU: segments, registers, FPU state. */
export const THREAD_CHANGES = {
  "MM_CONTEXT.ldt_entry_size": invalid("entries are not so large", flip("MM_CONTEXT", "ldt_entry_size", 1n)),
  "MM_CONTEXT.nldt": invalid(
    "the LDT has more entries than there can be",
    set("MM_CONTEXT", "nldt", 0x2001n),
  ),
  "MM_CONTEXT.nldt, negative": invalid(
    "the LDT has less than no entries",
    set("MM_CONTEXT", "nldt", 0xffffn),
  ),
  "MM_CONTEXT._padding": invalid("padding is not 0", flip("MM_CONTEXT", "_padding", 1n)),
  "MM_CONTEXT gate": invalid("a descriptor is the system's", flipEntry("MM_CONTEXT", 0, NO_GATE), "ldt"),
  "MM_CONTEXT privileged": invalid(
    "a descriptor is privileged",
    flipEntry("MM_CONTEXT", 1, PRIVILEGE),
    "ldt",
  ),
  "MM_CONTEXT privileged, the last": invalid("a descriptor is privileged", (image) => {
    flipEntry("MM_CONTEXT", Number(image.get("MM_CONTEXT", "nldt")) - 1, PRIVILEGE)(image);
  }, "ldt"),
  "MM_CONTEXT long": invalid("a descriptor is of 64 bits", flipEntry("MM_CONTEXT", 1, LONG), "ldt"),
  "MM_CONTEXT unaccessed": invalid(
    "the kernel marks all as accessed",
    flipEntry("MM_CONTEXT", 0, ACCESSED),
    "ldt",
  ),
  "MM_CONTEXT conforming": invalid(
    "code that conforms must not be present",
    flipEntry("MM_CONTEXT", 0, CONFORMING),
    "ldt",
  ),
  "THREAD.parent": invalid("the thread is another process's", flip("THREAD", "parent", 1n)),
  "THREAD.ntls": invalid("it has not so many segments", flip("THREAD", "ntls", 2n), "tls"),
  "THREAD.sizeof_tls_array": invalid("the array has another size", flip("THREAD", "sizeof_tls_array", 8n)),
  "THREAD._padding": invalid("padding is not 0", flip("THREAD", "_padding", 1n)),
  "THREAD code": invalid("a segment of a thread is code", flipEntry("THREAD", 0, CODE), "tls"),
  "THREAD absent": invalid("a segment of a thread is absent", flipEntry("THREAD", 0, PRESENT), "tls"),
  "THREAD of 16 bits": invalid("it is of 16 bits", flipEntry("THREAD", 0, IS_32_BIT), "tls"),
  "THREAD privileged": invalid("it is privileged", flipEntry("THREAD", 0, PRIVILEGE), "tls"),
  "THREAD privileged, one more": invalid("it is privileged, and no program's", (image) => {
    image.set("THREAD", "ntls", image.get("THREAD", "ntls") + 1n);
    flipEntry("THREAD", TLS_ENTRIES - 1, PRIVILEGE)(image);
  }, "tls"),
  "CPU.parent": invalid("registers are another process's", flip("CPU", "parent", 1n)),
  "CPU.used_math": invalid("there is no FPU state", flip("CPU", "used_math", 1n)),
  "CPU.flags": invalid("no program may do input and output", flip("CPU", "flags", 0x3000n)),
  "CPU.flags, IF": invalid("interrupts are never off", flip("CPU", "flags", 0x200n)),
  "CPU.flags, bit 1": invalid("a bit is always set", flip("CPU", "flags", 2n)),
  "CPU.flags, VM": invalid("no program is of 8086", flip("CPU", "flags", 0x2_0000n)),
  "CPU.flags, VIF and VIP": invalid("no interrupt is a program's", flip("CPU", "flags", 0x18_0000n)),
  "CPU.flags, reserved": invalid("some bits are never set", flip("CPU", "flags", 0x8028n)),
  "CPU.flags, wide": invalid("flags have 32 bits", flip("CPU", "flags", 1n << 32n)),
  "CPU.ds": invalid("a selector is the kernel's", flip("CPU", "ds", 0x10n)),
  "CPU.es, wide": invalid("selectors have 16 bits", setFrom("CPU", "es", "ss", 1n << 40n)),
  "CPU.fs, beyond": invalid("an entry is not there", set("CPU", "fs", 0xffffn)),
  "CPU.gs, behind": invalid("an entry is not there", (image) => {
    image.set("CPU", "gs", image.get("MM_CONTEXT", "nldt") << 3n | 7n);
  }),
  "CPU.cs": change(
    "ENOEXEC",
    "it is of another kind of program than the caller",
    flip("CPU", "cs", 0x10n),
    "64 bits",
  ),
  "CPU.cs, the kernel's": invalid("the code is the kernel's", set("CPU", "cs", 0x10n)),
  "CPU.cs, data": invalid("data is executed", set("CPU", "cs", 0x07n), "ldt"),
  "CPU.cs, wide": invalid("selectors have 16 bits", set("CPU", "cs", 1n << 40n | 0x0fn), "ldt"),
  "CPU.cs, privileged": invalid("the code is privileged", set("CPU", "cs", 0x0cn), "ldt"),
  "CPU.ss, wide": invalid("selectors have 16 bits", set("CPU", "ss", 1n << 40n | 0x07n), "ldt"),
  "CPU.ss, privileged": invalid("the stack is privileged", set("CPU", "ss", 0x04n), "ldt"),
  "CPU.ss, read-only": invalid("the stack cannot be written", set("CPU", "ss", 0x17n), "ldt"),
  "CPU.ss, code": invalid("the stack is code", set("CPU", "ss", 0x0fn), "ldt"),
  "CPU.ds, unreadable": invalid("data is code to execute", set("CPU", "ds", 0x1fn), "ldt"),
  "CPU.ds, absent": invalid("the segment is absent", set("CPU", "ds", 0x27n), "ldt"),
  "CPU.ip, wide": invalid("addresses have 32 bits", flip("CPU", "ip", 1n << 32n), "a target of 32 bits"),
  "CPU.sp, wide": invalid("addresses have 32 bits", flip("CPU", "sp", 1n << 40n), "a target of 32 bits"),
  "CPU.bp, wide": wide("bp"),
  "CPU.bx, wide": wide("bx"),
  "CPU.ax, wide": wide("ax"),
  "CPU.cx, wide": wide("cx"),
  "CPU.dx, wide": wide("dx"),
  "CPU.si, wide": wide("si"),
  "CPU.di, wide": wide("di"),
  "CPU.orig_ax, wide": wide("orig_ax", 63n),
  "CPU.debugreg0, wide": wide("debugreg0"),
  "CPU.debugreg1, wide": wide("debugreg1"),
  "CPU.debugreg2, wide": wide("debugreg2"),
  "CPU.debugreg3, wide": wide("debugreg3"),
  "CPU.r8": absent("r8"),
  "CPU.r9": absent("r9"),
  "CPU.r10": absent("r10"),
  "CPU.r11": absent("r11"),
  "CPU.r12": absent("r12"),
  "CPU.r13": absent("r13"),
  "CPU.r14": absent("r14"),
  "CPU.r15": absent("r15"),
  "CPU.debugreg6": invalid("debug registers have 32 bits", flip("CPU", "debugreg6", 1n << 32n)),
  "CPU.debugreg7": invalid("debug registers have 32 bits", flip("CPU", "debugreg7", 1n << 32n)),
  "CPU.mxcsr": invalid("MXCSR has no such bit", flipXstate(FXSAVE_FIELDS.mxcsr.offset, 1n << 31n)),
  "CPU.mxcsr_mask": invalid("the mask is the CPU's", flipXstate(FXSAVE_FIELDS.mxcsr.offset + 4, 1n)),
  "CPU.padding of FXSAVE": invalid("padding is not 0", flipXstate(420, 1n)),
  "CPU.padding of FXSAVE, its end": invalid("padding is not 0", flipXstate(463, 1n)),
  "CPU.sw_reserved": invalid("it is not the kernel's", flipXstate(464, 1n)),
  "CPU.sw_reserved, its end": invalid("it is not the kernel's", flipXstate(511, 1n)),
  "CPU.xfeatures": invalid("no program has this state", flipXstate(XSAVE_HEADER.offset, 1n << 62n)),
  "CPU.xcomp_bv": invalid("it is compacted", flipXstate(XSAVE_HEADER.offset + 8, 1n << 63n)),
  "CPU.reserved": invalid("reserved bytes are not 0", flipXstate(XSAVE_HEADER.offset + 40, 1n)),
  "CPU.reserved, its beginning": invalid(
    "reserved bytes are not 0",
    flipXstate(XSAVE_HEADER.offset + 16, 1n),
  ),
  "CPU.reserved, its end": invalid("reserved bytes are not 0", flipXstate(XSAVE_HEADER.offset + 63, 1n)),
  "X86_FSGSBASE.fsbase": invalid(
    "the base of fs is no address",
    flip("X86_FSGSBASE", "fsbase", 1n << 63n),
    "64 bits",
  ),
  "X86_FSGSBASE.fsbase, of 5 levels": invalid(
    "the base of fs is an address of 57 bits",
    set("X86_FSGSBASE", "fsbase", 1n << 47n),
    "64 bits",
  ),
  "X86_FSGSBASE.fsbase, of a segment": invalid(
    "the base of fs is not its segment's",
    flip("X86_FSGSBASE", "fsbase", 0x1000n),
    "64 bits",
  ),
  "X86_FSGSBASE.gsbase": invalid(
    "the base of gs is no address",
    flip("X86_FSGSBASE", "gsbase", 1n << 63n),
    "64 bits",
  ),
  "AUXV that is not there": change("EPIPE", "it ends behind the CPU", cutIn("AUXV")),
  "AUXV cut": change("EPIPE", "it ends in the auxiliary vector", cutIn("AUXV", RECORD_HEADER.size + 8)),
  "AUXV missing": invalid("it has no auxiliary vector", flip("AUXV", "type", 1n)),
  "AUXV.parent": invalid("the auxiliary vector is another process's", flip("AUXV", "parent", 1n)),
  "AUXV.len, none": invalid("the auxiliary vector is empty", set("AUXV", "len", 0n)),
  "AUXV.len, half": invalid("an entry is less than one", flip("AUXV", "len", 4n)),
  "AUXV.len, longer": invalid("no vector is so long", flip("AUXV", "len", 0x1000n)),
  "AUXV.len, an entry more": invalid("no vector is so long", (image) => {
    const { offset } = image.record("AUXV");
    const entry = new Uint8Array(16).fill(1);
    image.set("AUXV", "len", image.get("AUXV", "len") + BigInt(entry.length));
    image.insert(offset + RECORD_HEADER.size, entry);
  }),
  "AUXV ended early": invalid("AT_NULL is not at its end", (image) => {
    const { offset, payload } = image.record("AUXV");
    image.flipAt(offset + RECORD_HEADER.size, dataView(payload).getBigUint64(0, true));
  }),
  "AUXV endless": invalid("there is no AT_NULL", (image) => {
    const { offset, length } = image.record("AUXV");
    // Its type is one of these words, by what a word of the kernel is; the other one may be anything.
    for (const back of [16, 8]) image.flipAt(offset + length - back, 0x80n);
  }),
} as const satisfies Readonly<Record<string, ImageChange>>;
