// SPDX-License-Identifier: MIT

import type { ConsoleLine } from "./console_lines.ts";
import { CUT_HERE, type SplatHeader } from "./splat_headers.ts";
import { stackFrame } from "./splat.ts";

/** Seconds of silence after which a foreign line is none of the report's. */
const CALM_SECONDS = 2;
/** Foreign lines that a report without a stack takes in at most. */
const MAX_FOREIGN = 40;

/** A line that ends a report of its own. */
const END_MARK = /^---\[ end (?:trace|Kernel panic)/;

type Taken = "taken" | "last" | "refused";

/** A report whose end has not come yet. */
export class OpenReport {
  header: SplatHeader;
  match: RegExpExecArray;
  readonly lines: ConsoleLine[];
  isComplete = false;
  #stack: "none" | "inside" | "after" = "none";
  #sawBacktraceWords = false;
  #foreign = 0;
  /** The newest time stamp. */
  #time: number | undefined;

  /** @param before lines just before the header that belong to it: bars, "cut here" */
  constructor(
    header: SplatHeader,
    match: RegExpExecArray,
    before: readonly ConsoleLine[],
    line: ConsoleLine,
  ) {
    this.header = header;
    this.match = match;
    this.lines = [...before, line];
    this.#time = this.lines.findLast(({ time }) => time !== undefined)?.time;
    this.#look(line);
  }

  /** Whether a line that could begin a report is a part of this one. */
  includes(header: SplatHeader, line: ConsoleLine): boolean {
    if (this.header.includes?.test(line.text)) return true;
    if (!this.header.isPrelude || this.#stack !== "none") return false;
    // What a prelude announces; two preludes of the same sort are two reports, one of them cut.
    const isSequel = ["BUG", "WARN", "oops", "double-fault", "stack-overflow"].includes(header.kind);
    return this.header === CUT_HERE || header === CUT_HERE || (isSequel && header !== this.header);
  }

  /** Takes a line that {@linkcode OpenReport.includes} said yes to. */
  include(header: SplatHeader, match: RegExpExecArray, line: ConsoleLine): void {
    if (this.header === CUT_HERE) {
      this.header = header;
      this.match = match;
    }
    this.lines.push(line);
    this.#look(line);
  }

  /** Offers a line that begins no report. */
  take(line: ConsoleLine): Taken {
    const { text } = line;
    if (this.header.end === "line" || this.#isCalm(line)) return this.#end();
    if (END_MARK.test(text) || isBar(text)) {
      this.lines.push(line);
      this.isComplete = true;
      return "last";
    }
    // A line without a time among others with one is not the kernel's: no part of the report, and not its
    // end.
    const isForeign = !isReportLine(text);
    const hasNoTime = line.time === undefined && this.lines.at(0)?.time !== undefined;
    if (isForeign && !hasNoTime && this.#endsAtForeign()) return this.#end();
    if (isForeign && ++this.#foreign > MAX_FOREIGN) return this.#end();
    this.lines.push(line);
    this.#look(line);
    return "taken";
  }

  #end(): Taken {
    this.isComplete = true;
    return "refused";
  }

  #endsAtForeign(): boolean {
    if (this.header.end === "bar") return false;
    if (this.header.end === "backtrace" && !this.#sawBacktraceWords) return false;
    return this.#stack === "after" || this.#stack === "inside";
  }

  #isCalm(line: ConsoleLine): boolean {
    if (this.#time === undefined || line.time === undefined || isReportLine(line.text)) return false;
    return line.time - this.#time > CALM_SECONDS;
  }

  #look({ text, time }: ConsoleLine): void {
    this.#time = time ?? this.#time;
    if (/backtrace:$/.test(text)) this.#sawBacktraceWords = true;
    const frame = stackFrame(text);
    if (frame !== undefined && !frame.exact) this.#stack = "inside";
    else if (this.#stack === "inside" && text.trim() !== "" && !/^\s*</.test(text)) this.#stack = "after";
  }
}

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
function isReportLine(text: string): boolean {
  return text === "" || /^\s/.test(text) || PARTS.test(text) || stackFrame(text) !== undefined;
}

/** A bar of `=` that stands around reports of KASAN, lockdep and the slab allocator. */
export function isBar(text: string): boolean {
  return /^={8,}$/.test(text);
}
