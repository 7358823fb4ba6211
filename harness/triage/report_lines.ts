// SPDX-License-Identifier: MIT

import { stackFrame } from "./stack_frame.ts";

/** Beginnings of lines that belong to a report whatever stands around them. */
const PARTS = new RegExp(
  "^(?:" + [
    // arch/x86/kernel/dumpstack.c, process_{32,64}.c, mm/fault.c
    "CPU: \\d|Hardware name:|Modules linked in:|Workqueue:|Call Trace:|Code: |[RE]IP: |[RE][A-D]X: ",
    "[RE]SP: |[RE]SI: |[RE]FL",
    "R\\d\\d: |FS: |CS: |DS: |CR\\d: |DR\\d: |PKRU: |Comm: |Oops: |#PF: |PGD |\\*pd|\\*pt|BUG: |note: ",
    "Kernel Offset|RBP|EBP|ORIG_",
    "irq event stamp|(?:hard|soft)irqs last|---\\[ end|Stack:|Dumping ftrace|invalid opcode|KASAN: ",
    "Disabling lock debugging",
    "\\[ +(?:pid|\\d+) *\\]|\\[<?[0-9a-f]+>?\\]|<(?:/?)(?:TASK|IRQ|NMI|SOFTIRQ|ENTRY)|Last potentially",
    "RAX|EAX|Tainted|Not tainted|Call trace",
    // mm
    "page:|flags: |raw: |page dumped|head:|addr:|file:|anon_vma|vm_flags|page_owner|page last|page_type",
    "Mem-Info|Node \\d|active_|DMA",
    "Normal:|HighMem|lowmem_reserve|Swap cache|\\d+ pages|\\d+ total pagecache|Free swap|Total swap",
    "Tasks state|oom-kill:|oom_reaper",
    "Unreclaimable|slab_|free:|unevictable|mapped:|Redzone|Object|Padding|Slab 0x|FIX ",
    "Allocated (?:by|in)|Freed (?:by|in)|The buggy",
    "Memory state|Bytes b4|allocated by|freed by|-{20}|_{20}|>ffff| +ffff|>[0-9a-f]{8}|Out of memory",
    "warn_alloc|SLUB: |cache: ",
    // kernel
    "in_atomic\\(|preempt_count|RCU nest depth|\\d+ locks? held by|no locks held|INFO: lockdep is",
    "Preemption disabled|locks? held",
    "rcu: |Sending NMI|NMI backtrace|task:|Showing all|Task dump|stack:|Kernel panic|Rebooting",
    '"echo 0|caller is|turning off',
    "={20}|other info|stack backtrace|Possible|backtrace|comm |hex dump|DEBUG_LOCKS|Mem abort",
    "(?:kernel )?watchdog:|kthread starved",
  ].join("|") + ")",
);

/** Whether a line looks like a part of a report: a stack, registers, a dump of memory, or indented. */
export function isReportLine(text: string): boolean {
  return text === "" || /^\s/.test(text) || PARTS.test(text) || stackFrame(text) !== undefined;
}

/** A bar of `=` that stands around reports of KASAN, lockdep and the slab allocator. */
export function isBar(text: string): boolean {
  return /^={8,}$/.test(text);
}

/** A line that ends a report of its own. */
export function isEndMark(text: string): boolean {
  return /^---\[ end (?:trace|Kernel panic)/.test(text);
}
