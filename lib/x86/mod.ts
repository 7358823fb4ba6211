// SPDX-License-Identifier: MIT
// Segment descriptors, the LDT, TLS entries and registers of x86, as the processor and Linux treat them.
export * from "./debug_registers.ts";
export * from "./descriptor.ts";
export * from "./fill_ldt.ts";
export * from "./ldt_model.ts";
export * from "./random_calls.ts";
export * from "./registers.ts";
export * from "./tls_model.ts";
export * from "./user_desc.ts";
export * from "./xstate.ts";
