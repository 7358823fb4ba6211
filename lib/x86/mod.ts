// SPDX-License-Identifier: MIT

/**
 * Segment descriptors, the LDT, TLS entries, debug registers and the FPU state of x86, as the processor and Linux treat
 * them. The LDT and TLS are state machines that answer as modify_ldt(2), set_thread_area(2) and ptrace(2) do.
 *
 * @example Ask the LDT
 * ```ts
 * import { encodeUserDesc, EMPTY_USER_DESC, LdtModel } from "@ckptest/ckptest/x86";
 * import { assertEquals } from "@std/assert";
 *
 * const ldt = new LdtModel({ dialect: "port", wordSize: 8 });
 * const entry = encodeUserDesc({ ...EMPTY_USER_DESC, entryNumber: 2, baseAddr: 0x1000, seg32bit: true });
 * assertEquals(ldt.modifyLdt(0x11, entry, 16n).errno, 0);
 * assertEquals([ldt.nrEntries, ldt.entry(2).base], [3, 0x1000]);
 * ```
 *
 * @example Read a descriptor
 * ```ts
 * import { describeDescriptor } from "@ckptest/ckptest/x86";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   describeDescriptor(Uint8Array.of(0xff, 0xff, 0, 0, 0, 0xf3, 0xcf, 0)),
 *   "data read-write, base 0x00000000, limit 0xffffffff (page), 32-bit, DPL 3, present, accessed",
 * );
 * ```
 *
 * @module
 */

export type { WordSize } from "../abi/arch.ts";
export type { Dialect } from "../abi/series.ts";
export { DebugRegisters } from "./debug_registers.ts";
export * from "./descriptor.ts";
export { LdtModel, type LdtModelOptions, type ModifyLdtResult } from "./ldt_model.ts";
export { TlsModel, type TlsModelOptions, type TlsResult } from "./tls_model.ts";
export * from "./user_desc.ts";
export { describeXstate } from "./xstate.ts";
