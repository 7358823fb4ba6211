// SPDX-License-Identifier: MIT
import type { Dialect } from "../abi/dialect.ts";
import type { SegmentDescriptor } from "./descriptor.ts";
import type { UserDesc } from "./user_desc.ts";

/** How `fillLdt` works. */
export interface FillLdtOptions {
  /** Which kernel. */
  readonly dialect: Dialect;
  /** modify_ldt function 1: AVL is forced to 0. False when not given. */
  readonly oldMode?: boolean;
}

/**
 * The descriptor that the kernel makes of a `user_desc`: `fill_ldt` of arch/x86/include/asm/desc.h.
 * Since 4.15 the accessed bit is preset, so that the table can be mapped read-only; before, the processor set
 * it on the first load. L is 0 in both, whatever lm says.
 */
export function fillLdt(info: UserDesc, { dialect, oldMode = false }: FillLdtOptions): SegmentDescriptor {
  const accessed = dialect === "port" ? 1 : 0;
  return {
    base: info.baseAddr,
    limit: info.limit & 0xfffff,
    type: (info.contents << 2) | (info.readExecOnly ? 0 : 2) | accessed,
    s: true,
    dpl: 3,
    p: !info.segNotPresent,
    avl: info.useable && !oldMode,
    l: false,
    d: info.seg32bit,
    g: info.limitInPages,
  };
}
