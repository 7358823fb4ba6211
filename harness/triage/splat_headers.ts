// SPDX-License-Identifier: MIT

import { plainFunction, type Splat, type SplatKind, type StackFrame, stackFrame } from "./splat.ts";
import { blockHashHex } from "../../lib/abi/block_hash.ts";
import { type ConsoleLine, MAX_LENGTH } from "./console_lines.ts";
import { isGenericFunction } from "./is_generic_function.ts";

/** How a sort of report goes on and ends, where it is not as most are. */
interface SplatCourse {
  /**
   * Whether this line comes before the line that tells what happens next (WARNING, kernel BUG, Oops): those
   * belong to the same report, up to its first stack.
   */
  readonly isPrelude?: boolean;
  /**
   * How it ends, if not by the first foreign line after its stack: by a bar of `=`, after "stack backtrace:",
   * or with its first line.
   */
  readonly end?: "bar" | "backtrace" | "line";
  /** Later lines that would begin a report of their own, and belong to this one. */
  readonly includes?: RegExp;
}

/** How one sort of report begins, is named and ends. */
export interface SplatHeader extends SplatCourse {
  readonly kind: SplatKind;
  readonly pattern: RegExp;
  /** Its title, with places that {@linkcode titleOf} fills in. */
  readonly title: string;
}

/** A report from its first line to its last. */
interface WholeReport {
  readonly header: SplatHeader;
  readonly match: RegExpExecArray;
  readonly lines: readonly ConsoleLine[];
  readonly isComplete: boolean;
}

/** Places of a title that are filled in from the report's text. A blank before the place goes with it. */
const FROM_TEXT: Readonly<Record<string, (text: string) => string | undefined>> = {
  wanted: (text) => lockAfter(text, /is trying to acquire lock/),
  held: (text) => lockAfter(text, /already holding/),
  changed: (text) => lockAfter(text, /just changed the state of lock/),
  inconsistent: (text) => lockName(text.split("\n").find((line) => /\{.*\}.*, at: /.test(line))),
  access: (text) => /^(Read|Write) (?:of size|at)/m.exec(text)?.[1],
  counter: (text) => /\btype:\w+/.exec(text.split("\n")[0]!)?.[0],
  owner: (text) => /Allocated in [\w.]+/.exec(text)?.[0].replace(/^A(.*)/, "(a$1)"),
  victim: (text) => /Killed? process \d+ \((.*?)\)/.exec(text)?.[1] ?? "a task",
  // Of a report that is cut off there is no more.
  message: (text) => withoutNumbers(text.split("\n")[1] ?? ""),
};

/**
 * The title of a report: its template with `$1` as the pattern's group, `#1` that without what differs each time,
 * ` in @` the function where it happened, or with a number behind it that group where none is known, and words in `<>`
 * taken from the report.
 */
function titleOf(
  { header: { title }, match }: WholeReport,
  { place, text }: { place: string | undefined; text: string },
): string {
  return title.replaceAll(/([$#])(\d)| in @(\d?)|:? ?<(\w+)>/g, (whole, mark, group, otherwise, word) => {
    if (mark !== undefined) return mark === "$" ? match[group]! : withoutNumbers(match[group]!);
    const found = word === undefined ? place ?? match[otherwise || NaN] : FROM_TEXT[word]!(text);
    return found ? whole.replace(/@.?$|<.*/, () => found) : "";
  });
}

/** The lock in the first line that follows some words. */
function lockAfter(text: string, words: RegExp): string {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => words.test(line));
  return lockName(at < 0 ? undefined : lines.slice(at + 1, at + 6).find((line) => /\(.+?\)\{/.test(line)));
}

/** Name of a lock class without the number of its instance: `&mm->mmap_lock#2` is `&mm->mmap_lock`. */
function lockName(line: string | undefined): string {
  return (/\((.+?)\)\{/.exec(line ?? "")?.[1] ?? "?").replace(/#\d+/, "");
}

/** Text of a message with what differs from time to time taken out. */
function withoutNumbers(text: string): string {
  return text.replace(/\b(0x)?[0-9a-f]{8,16}\b|\b0x[0-9a-f]+\b/g, "ADDR").replace(/\b\d+\b/g, "NUM").trim();
}

/**
 * A WARN() or BUG() whose own line has not come yet: the message of a WARN() stands between. Also what is
 * left when the log is cut there.
 */
export const CUT_HERE: SplatHeader = {
  kind: "other",
  pattern: /^-{8,}\[ cut here \]-{8,}/,
  title: "report cut off: <message>",
  isPrelude: true,
};

/** A report whose beginning is missing. */
export const HEADLESS: SplatHeader = {
  kind: "other",
  pattern: /^(?:Call Trace:|RIP: 0010:|EIP: |---\[ end trace )/,
  title: "stack without a beginning in @",
};

/** What fault injection tells of each failure that it was asked for (lib/fault-inject.c): no complaint. */
export const INJECTED: SplatHeader = {
  kind: "other",
  pattern: /^FAULT_INJECTION: forcing a failure/,
  title: "fault injection",
};

/** A panic that says no more than that another report was bad enough. */
export const CONSEQUENCE = new RegExp(
  "^Kernel panic - not syncing: (?:" + [
    "Fatal exception|Fatal hardware|panic_on_warn|(?:K?(?:AS|MS|CS)AN|UBSAN|kfence)\\b|softlockup|hung_task",
    "RCU Stall|Hard LOCKUP|Attempted to kill|Aiee, killing|.*: panic_on_(?:warn|oops) set",
    "Out of memory and no killable",
  ].join("|") + ")",
);

const BAR = { end: "bar" } as const;
const BACKTRACE = { end: "backtrace" } as const;
const LINE = { end: "line" } as const;
const PRELUDE = { isPrelude: true } as const;
/** Lines between the cause of an oops and its stack, whole or cut: what KASAN knows of the address, and die(). */
const OOPS = { isPrelude: true, includes: /^KASAN: [\w-]+ in range|^Oops\b/ } as const;
const OOM_VICTIM = "(?:Memory cgroup out of memory|Out of memory(?: \\(.*?\\))?): Kill";

const TABLE: readonly (readonly [SplatKind, pattern: RegExp, title: string, SplatCourse?])[] = [
  // mm/kasan/report.c, mm/kfence/report.c, kernel/kcsan/report.c, lib/ubsan.c: "in foo" of their header may be a
  // function of the C library.
  ["KASAN", /^BUG: KASAN: ([\w-]+(?: or [\w-]+)?)/, "KASAN: $1 <access> in @", BAR],
  ["KASAN", /^BUG: KFENCE: ([\w-]+(?: [\w-]+)?)/, "KFENCE: $1 <access> in @", BAR],
  ["other", /^BUG: KMSAN: ([\w-]+)/, "KMSAN: $1 <access> in @", BAR],
  // Both functions of a race, in the order of the alphabet.
  ["KCSAN", /^BUG: KCSAN: ([\w-]+ in [\w.]+(?: \/ [\w.]+)?)/, "KCSAN: $1", BAR],
  ["UBSAN", /^UBSAN: ([\w-]+) in (\S+?):\d+/, "UBSAN: $1 in @2", BAR],
  // lib/refcount.c, lib/debugobjects.c, lib/list_debug.c, mm/usercopy.c: said before WARNING or kernel BUG.
  ["refcount", /^refcount_t: .+/, "WARNING: refcount bug in @", PRELUDE],
  ["ODEBUG", /^ODEBUG: .+/, "WARNING: ODEBUG bug in @", PRELUDE],
  [
    "list-corruption",
    /^(?:list_(?:add|del) (?:corruption|double add)|plist corruption)/,
    "BUG: corrupted list in @",
    PRELUDE,
  ],
  ["BUG", /^usercopy: Kernel memory (?:exposure|overwrite) attempt/, "BUG: bad usercopy in @", PRELUDE],
  // kernel/locking/lockdep.c, kernel/locking/rtmutex-debug.c, lib/locking-selftest.c
  [
    "lockdep",
    /^WARNING: (possible circular locking dependency) detected/,
    "$1: <held> -> <wanted>",
    BACKTRACE,
  ],
  ["lockdep", /^WARNING: (possible recursive locking) detected/, "$1: <wanted> in @", BACKTRACE],
  ["lockdep", /^WARNING: (possible irq lock inversion) dependency detected/, "$1: <changed>", BACKTRACE],
  ["lockdep", /^WARNING: (\S+-safe -> \S+-unsafe lock order) detected/, "$1: <held> -> <wanted>", BACKTRACE],
  ["lockdep", /^WARNING: (inconsistent lock state)/, "$1: <inconsistent> in @", BACKTRACE],
  ["lockdep", /^WARNING: held lock freed!/, "held lock freed in @", BACKTRACE],
  ["lockdep", /^WARNING: suspicious RCU usage/, "suspicious RCU usage in @", BACKTRACE],
  [
    "lockdep",
    /^WARNING: (lock held when returning to user space|bad (?:unlock|contention)|Nested lock was not taken)/,
    "$1 in @",
    BACKTRACE,
  ],
  ["lockdep", /^WARNING: \S+\/\d+ still has locks held!/, "task still has locks held in @", BACKTRACE],
  ["lockdep", /^\[ (BUG: .+?) \]/, "$1 in @", BACKTRACE],
  ["lockdep", /^(INFO: trying to register non-static key)/, "$1 in @"],
  // kernel/sched/core.c, lib/smp_processor_id.c
  ["sleeping-in-atomic", /^(BUG: sleeping function called from invalid context)/, "$1 in @"],
  ["scheduling-while-atomic", /^(BUG: scheduling while atomic)/, "$1 in @"],
  ["other", /^(BUG: using \w+\(\) in preemptible)/, "$1 code in @"],
  // kernel/hung_task.c, kernel/rcu, kernel/watchdog.c, kernel/workqueue.c
  ["hung-task", /^INFO: task .+ blocked (?:in I\/O wait )?for more than/, "INFO: task hung in @"],
  ["rcu-stall", /^(?:rcu: )?INFO: rcu\w* .*(?:stall|detected)/, "INFO: rcu detected stall in @"],
  ["soft-lockup", /^(?:watchdog: )?BUG: soft lockup/, "BUG: soft lockup in @"],
  ["soft-lockup", /^(?:workqueue: )?BUG: workqueue lockup/, "BUG: workqueue lockup"],
  ["hard-lockup", /^(?:NMI )?(?:watchdog: )?Watchdog detected hard LOCKUP/, "hard lockup in @"],
  // mm/page_alloc.c, mm/memory.c, kernel/fork.c, mm/slub.c, mm/oom_kill.c, mm/kmemleak.c
  ["bad-page", /^BUG: Bad page (state|map|cache)/i, "BUG: bad page $1 in @"],
  ["bad-page", /^BUG: Bad (rss-counter|swap file entry|swap offset entry)/i, "BUG: bad $1 <counter>", LINE],
  ["bad-page", /^(BUG: non-zero pgtables_bytes on freeing mm)/, "$1", LINE],
  ["slab-corruption", /^BUG (\S+) \((?:Not tainted|Tainted)[^)]*\): (.+)/, "BUG $1: #2 <owner>"],
  ["memory-leak", /^unreferenced object (?:0x)?[0-9a-f]+ \(size \d+\)/, "memory leak in @"],
  ["memory-leak", /^kmemleak: \d+ (new suspected memory leaks)/, "kmemleak: $1", LINE],
  [
    "page-allocation-failure",
    /^.{1,64}: page allocation failure: order:(\d+)/,
    "page allocation failure of order $1 in @",
  ],
  ["page-allocation-failure", /^.{1,64}: vmalloc error: size \d+, /, "vmalloc failure in @"],
  ["oom-kill", /^.{1,64} invoked oom-killer: /, "OOM kill of <victim>", {
    includes: new RegExp(`^${OOM_VICTIM}|^oom_reaper:|^Tasks in `),
  }],
  ["oom-kill", new RegExp(`^${OOM_VICTIM}`), "OOM kill of <victim>", { includes: /^oom_reaper:/, ...LINE }],
  // arch/x86
  ["unchecked-msr", /^(unchecked MSR access error)/, "$1 in @"],
  [
    "stack-overflow",
    new RegExp(
      "^(?:BUG: (?:\\w+ )?stack guard page was hit|kernel stack overflow|BUG: stack overflow|" +
        "do_IRQ: .* near stack overflow)",
    ),
    "kernel stack overflow in @",
    PRELUDE,
  ],
  [
    "stack-overflow",
    /^Kernel panic - not syncing: (?:corrupted stack end|stack-protector|kernel stack overflow)/,
    "kernel stack overflow in @",
  ],
  ["double-fault", /^(?:traps: )?(?:PANIC: )?double fault/, "double fault in @", {
    ...PRELUDE,
    includes: /^double fault: [0-9a-f]{4} \[#/,
  }],
  [
    "oops",
    /^BUG: (?:unable to handle kernel NULL|kernel NULL) pointer dereference/,
    "BUG: unable to handle kernel NULL pointer dereference in @",
    OOPS,
  ],
  [
    "oops",
    /^BUG: unable to handle (?:page fault|kernel paging request)/,
    "BUG: unable to handle kernel paging request in @",
    OOPS,
  ],
  ["oops", /^general protection (?:fault|maybe)[,:]/, "general protection fault in @", OOPS],
  ["BUG", /^kernel BUG (?:at |in )/, "kernel BUG in @", PRELUDE],
  ["WARN", /^WARNING: CPU: ?/, "WARNING in @"],
  // die() of any trap: "invalid opcode: 0000 [#1] PREEMPT", "Oops: 0002 [#1]"
  ["oops", /^([A-Za-z][\w ,()-]{1,60}): [0-9a-f]{4} \[#\d+\]/, "$1 in @"],
  ["panic", /^Kernel panic - not syncing:? ?(.*?)(?: exitcode=\S+)?$/, "kernel panic: #1"],
  // What begins like a complaint is one, though it is in no table.
  ["other", /^(?:[\w .-]{1,30}: )?(BUG: .*)/, "#1 in @"],
  [
    "other",
    /^(BUG [^:]+:.*|WARNING: .*|INFO: task .*|Oops\b.*|KASAN: .*|kernel stack regs .*)/,
    "#1 in @",
  ],
];

/** Sorts of reports, each special one before the general one that would fit it too. */
export const SPLAT_HEADERS: readonly SplatHeader[] = TABLE.map(
  ([kind, pattern, title, course]) => ({ kind, pattern, title, ...course }),
);

/** Reports of where something stands by chance: their stacks differ each time. */
const BY_CHANCE: ReadonlySet<SplatKind> = new Set(
  ["hung-task", "rcu-stall", "soft-lockup", "hard-lockup", "oom-kill", "page-allocation-failure"],
);
const MAX_TITLE = 160;
/** Lines of a report that are kept: the log has them all. */
const MAX_LINES = 2000;
/** Callers that tell two bugs in one function apart. */
const CALLERS = 2;

/**
 * Makes a splat of a report.
 *
 * @param raw the lines of the console, as `rawConsoleLines()` gives them
 */
export function splatOf(report: WholeReport, raw: readonly string[]): Splat {
  const { header } = report;
  const texts = report.lines.map(({ text }) => text);
  while (texts.at(-1) === "") texts.pop();
  const frames = stackOf(texts, BY_CHANCE.has(header.kind));
  const own = frames.filter(({ reliable, function: name }) => reliable && !isGenericFunction(name));
  const top = own[0] ?? frames.find(({ reliable }) => reliable) ?? frames[0];
  const place = top && plainFunction(top.function);
  const title = titleOf(report, { place, text: texts.join("\n") }).slice(0, MAX_TITLE);
  const callers = BY_CHANCE.has(header.kind) ? [] : own.slice(1, 1 + CALLERS);
  const key = [header.kind, title, ...callers.map((frame) => plainFunction(frame.function))].join("\n");
  const indexes = [...new Set(report.lines.slice(0, texts.length).map(({ index }) => index))];
  return {
    kind: header.kind,
    title,
    fingerprint: blockHashHex(new TextEncoder().encode(key)),
    lines: indexes.slice(0, MAX_LINES).map((index) => raw[index]!.slice(0, MAX_LENGTH)),
    frames,
    isComplete: report.isComplete,
  };
}

/**
 * The stack of what happened: where the processor stood, and the first call trace. A report may show more:
 * who allocated, who holds other locks. Without "Call Trace:" every entry counts.
 */
function stackOf(lines: readonly string[], withoutInterrupts: boolean): StackFrame[] {
  const start = startOfStack(lines);
  const places = lines.slice(0, Math.max(start, 0)).map(stackFrame)
    .filter((frame) => frame !== undefined).filter(({ exact }) => exact);
  const entries = start < 0
    ? lines.map(stackFrame)
    : [...places, ...traceFrom(lines, start, withoutInterrupts)];
  const frames = entries.filter((frame) => frame !== undefined);
  const seen = new Set<string>();
  // The same place stands in the header, as RIP, and once more after the end.
  return frames.filter((frame) => {
    const key = `${frame.function}+${frame.offset}`;
    const isNew = !frame.exact || !seen.has(key);
    seen.add(key);
    return isNew;
  });
}

function startOfStack(lines: readonly string[]): number {
  const backtrace = lines.findIndex((line) => /^stack backtrace:/.test(line));
  return lines.findIndex((line, index) => index >= backtrace && /^\s*Call [Tt]race:/.test(line));
}

function traceFrom(lines: readonly string[], start: number, withoutInterrupts: boolean): StackFrame[] {
  const all: StackFrame[] = [];
  const outside: StackFrame[] = [];
  let depth = 0;
  let foreign = 0;
  for (const line of lines.slice(start + 1)) {
    if (/^\s*<(IRQ|NMI|SOFTIRQ|#DF|ENTRY_TRAMPOLINE)>/.test(line)) depth++;
    else if (/^\s*<\/(IRQ|NMI|SOFTIRQ|#DF|ENTRY_TRAMPOLINE)>/.test(line)) depth = Math.max(0, depth - 1);
    else if (/^\s*<\/TASK>|^$|Call [Tt]race:|^(Allocated|Freed|Modules linked|Mem-Info)/.test(line)) break;
    const frame = stackFrame(line);
    if (frame) {
      all.push(frame);
      if (depth === 0) outside.push(frame);
    } else if (++foreign > 30) {
      break;
    }
  }
  return withoutInterrupts && outside.length > 0 ? outside : all;
}
