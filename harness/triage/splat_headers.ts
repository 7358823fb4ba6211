// SPDX-License-Identifier: MIT

import type { SplatKind } from "./splat.ts";

/** What a title is made from. */
interface TitleParts {
  /** The header's match. */
  readonly match: RegExpExecArray;
  /** The first function of the report that is not machinery; undefined when none was printed. */
  readonly place: string | undefined;
  /** The whole report. */
  readonly text: string;
}

/** How one sort of report begins, is named and ends. */
export interface SplatHeader {
  readonly kind: SplatKind;
  readonly pattern: RegExp;
  readonly title: (parts: TitleParts) => string;
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

/** "WARNING in foo", or "WARNING" alone. */
function titled(words: string): (parts: TitleParts) => string {
  return ({ place }) => inPlace(words, place);
}

function inPlace(words: string, place: string | undefined): string {
  return place === undefined ? words : `${words} in ${place}`;
}

/** Name of a lock class without the number of its instance: `&mm->mmap_lock#2` is `&mm->mmap_lock`. */
function lockName(line: string | undefined): string {
  return (/\((.+?)\)\{/.exec(line ?? "")?.[1] ?? "?").replace(/#\d+/, "");
}

/** The lock in the first line that follows some words. */
function lockAfter(text: string, words: string): string {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.includes(words));
  const isLock = (line: string): boolean => /\(.+?\)\{/.test(line);
  return lockName(at < 0 ? undefined : lines.slice(at + 1, at + 6).find(isLock));
}

function lockOrder(words: string): (parts: TitleParts) => string {
  return ({ text }) => {
    const wanted = lockAfter(text, "is trying to acquire lock");
    const held = lockAfter(text, "already holding");
    return `${words}: ${held} -> ${wanted}`;
  };
}

/** KASAN and its kin: "in foo" of the header may be a function of the C library. */
function sanitizer(name: string): (parts: TitleParts) => string {
  return ({ match, place, text }) => {
    const access = /^(Read|Write) (?:of size|at)/m.exec(text)?.[1];
    return inPlace([`${name}: ${match[1]}`, ...(access ? [access] : [])].join(" "), place);
  };
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
  title: ({ text }) => {
    const message = text.split("\n")[1]?.trim();
    return message ? `report cut off: ${withoutNumbers(message)}` : "report cut off";
  },
  isPrelude: true,
};

/** A report whose beginning is missing. */
export const HEADLESS: SplatHeader = {
  kind: "other",
  pattern: /^(?:Call Trace:|RIP: 0010:|EIP: |---\[ end trace )/,
  title: titled("stack without a beginning"),
};

/** What fault injection tells of each failure that it was asked for (lib/fault-inject.c): no complaint. */
export const INJECTED: SplatHeader = {
  kind: "other",
  pattern: /^FAULT_INJECTION: forcing a failure/,
  title: () => "fault injection",
};

/** A panic that says no more than that another report was bad enough. */
export const CONSEQUENCE = new RegExp(
  "^Kernel panic - not syncing: (?:" + [
    "Fatal exception|Fatal hardware|panic_on_warn|(?:K?(?:AS|MS|CS)AN|UBSAN|kfence)\\b|softlockup|hung_task",
    "RCU Stall|Hard LOCKUP|Attempted to kill|Aiee, killing|.*: panic_on_(?:warn|oops) set",
    "Out of memory and no killable",
  ].join("|") + ")",
);

/** Lines between the cause of an oops and its stack, whole or cut: what KASAN knows of the address, and die(). */
const OOPS_DETAIL = /^KASAN: [\w-]+ in range|^Oops\b/;

/** Sorts of reports, each special one before the general one that would fit it too. */
export const SPLAT_HEADERS: readonly SplatHeader[] = [
  // mm/kasan/report.c, mm/kfence/report.c, kernel/kcsan/report.c, lib/ubsan.c
  { kind: "KASAN", pattern: /^BUG: KASAN: ([\w-]+(?: or [\w-]+)?)/, title: sanitizer("KASAN"), end: "bar" },
  { kind: "KASAN", pattern: /^BUG: KFENCE: ([\w-]+(?: [\w-]+)?)/, title: sanitizer("KFENCE"), end: "bar" },
  { kind: "other", pattern: /^BUG: (?:KCSAN|KMSAN): ([\w-]+)/, title: sanitizer("KCSAN"), end: "bar" },
  {
    kind: "UBSAN",
    pattern: /^UBSAN: ([\w-]+) in (\S+?):\d+/,
    title: ({ match, place }) => inPlace(`UBSAN: ${match[1]}`, place ?? match[2]),
    end: "bar",
  },
  // lib/refcount.c, lib/debugobjects.c, lib/list_debug.c, mm/usercopy.c: said before WARNING or kernel BUG.
  {
    kind: "refcount",
    pattern: /^refcount_t: .+/,
    title: titled("WARNING: refcount bug"),
    isPrelude: true,
  },
  { kind: "ODEBUG", pattern: /^ODEBUG: .+/, title: titled("WARNING: ODEBUG bug"), isPrelude: true },
  {
    kind: "list-corruption",
    pattern: /^(?:list_(?:add|del) (?:corruption|double add)|plist corruption)/,
    title: titled("BUG: corrupted list"),
    isPrelude: true,
  },
  {
    kind: "BUG",
    pattern: /^usercopy: Kernel memory (?:exposure|overwrite) attempt/,
    title: titled("BUG: bad usercopy"),
    isPrelude: true,
  },
  // kernel/locking/lockdep.c, kernel/locking/rtmutex-debug.c, lib/locking-selftest.c
  {
    kind: "lockdep",
    pattern: /^WARNING: possible circular locking dependency detected/,
    title: lockOrder("possible circular locking dependency"),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: possible recursive locking detected/,
    title: ({ text, place }) =>
      inPlace(`possible recursive locking: ${lockAfter(text, "is trying to acquire lock")}`, place),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: possible irq lock inversion dependency detected/,
    title: ({ text }) => `possible irq lock inversion: ${lockAfter(text, "just changed the state of lock")}`,
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: (\S+-safe -> \S+-unsafe) lock order detected/,
    title: (parts) => lockOrder(`${parts.match[1]} lock order`)(parts),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: inconsistent lock state/,
    title: ({ text, place }) =>
      inPlace(
        `inconsistent lock state: ${lockName(text.split("\n").find((l) => /\{.*\}.*, at: /.test(l)))}`,
        place,
      ),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: held lock freed!/,
    title: titled("held lock freed"),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: suspicious RCU usage/,
    title: titled("suspicious RCU usage"),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern:
      /^WARNING: (lock held when returning to user space|bad (?:unlock|contention)|Nested lock was not taken)/,
    title: ({ match, place }) => inPlace(match[1]!, place),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^WARNING: \S+\/\d+ still has locks held!/,
    title: titled("task still has locks held"),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^\[ BUG: (.+?) \]/,
    title: ({ match, place }) => inPlace(`BUG: ${match[1]}`, place),
    end: "backtrace",
  },
  {
    kind: "lockdep",
    pattern: /^INFO: trying to register non-static key/,
    title: titled("INFO: trying to register non-static key"),
  },
  // kernel/sched/core.c, lib/smp_processor_id.c
  {
    kind: "sleeping-in-atomic",
    pattern: /^BUG: sleeping function called from invalid context/,
    title: titled("BUG: sleeping function called from invalid context"),
  },
  {
    kind: "scheduling-while-atomic",
    pattern: /^BUG: scheduling while atomic/,
    title: titled("BUG: scheduling while atomic"),
  },
  {
    kind: "other",
    pattern: /^BUG: using (\w+)\(\) in preemptible/,
    title: ({ match, place }) => inPlace(`BUG: using ${match[1]}() in preemptible code`, place),
  },
  // kernel/hung_task.c, kernel/rcu, kernel/watchdog.c, kernel/workqueue.c
  {
    kind: "hung-task",
    pattern: /^INFO: task .+ blocked (?:in I\/O wait )?for more than/,
    title: titled("INFO: task hung"),
  },
  {
    kind: "rcu-stall",
    pattern: /^(?:rcu: )?INFO: rcu\w* .*(?:stall|detected)/,
    title: titled("INFO: rcu detected stall"),
  },
  {
    kind: "soft-lockup",
    pattern: /^(?:watchdog: )?BUG: soft lockup/,
    title: titled("BUG: soft lockup"),
  },
  {
    kind: "soft-lockup",
    pattern: /^(?:workqueue: )?BUG: workqueue lockup/,
    title: () => "BUG: workqueue lockup",
  },
  {
    kind: "hard-lockup",
    pattern: /^(?:NMI )?(?:watchdog: )?Watchdog detected hard LOCKUP/,
    title: titled("hard lockup"),
  },
  // mm/page_alloc.c, mm/memory.c, kernel/fork.c, mm/slub.c, mm/oom_kill.c, mm/kmemleak.c
  {
    kind: "bad-page",
    pattern: /^BUG: Bad page (state|map|cache)/i,
    title: ({ match, place }) => inPlace(`BUG: bad page ${match[1]!.toLowerCase()}`, place),
  },
  {
    kind: "bad-page",
    pattern: /^BUG: Bad (rss-counter|swap file entry|swap offset entry)(?: state)?.*?(type:\w+)?(?= |$)/i,
    title: ({ match, text }) =>
      [`BUG: bad ${match[1]}`, /\btype:\w+/.exec(text.split("\n")[0]!)?.[0] ?? ""].join(" ").trim(),
    end: "line",
  },
  {
    kind: "bad-page",
    pattern: /^BUG: non-zero pgtables_bytes on freeing mm/,
    title: () => "BUG: non-zero pgtables_bytes on freeing mm",
    end: "line",
  },
  {
    kind: "slab-corruption",
    pattern: /^BUG (\S+) \((?:Not tainted|Tainted)[^)]*\): (.+)/,
    title: ({ match, text }) => {
      const owner = /Allocated in ([\w.]+)/.exec(text)?.[1];
      return `BUG ${match[1]}: ${withoutNumbers(match[2]!)}${owner ? ` (allocated in ${owner})` : ""}`;
    },
  },
  {
    kind: "memory-leak",
    pattern: /^unreferenced object (?:0x)?[0-9a-f]+ \(size \d+\)/,
    title: titled("memory leak"),
  },
  {
    kind: "memory-leak",
    pattern: /^kmemleak: \d+ new suspected memory leaks/,
    title: () => "kmemleak: new suspected memory leaks",
    end: "line",
  },
  {
    kind: "page-allocation-failure",
    pattern: /^.{1,64}: page allocation failure: order:(\d+)/,
    title: ({ match, place }) => inPlace(`page allocation failure of order ${match[1]}`, place),
  },
  {
    kind: "page-allocation-failure",
    pattern: /^.{1,64}: vmalloc error: size \d+, /,
    title: titled("vmalloc failure"),
  },
  {
    kind: "oom-kill",
    pattern: /^.{1,64} invoked oom-killer: /,
    title: ({ text }) => `OOM kill of ${/Killed process \d+ \((.*?)\)/.exec(text)?.[1] ?? "a task"}`,
    includes: /^(?:Memory cgroup out of memory|Out of memory(?: \(.*?\))?): Kill|^oom_reaper:|^Tasks in /,
  },
  {
    kind: "oom-kill",
    pattern: /^(?:Memory cgroup out of memory|Out of memory(?: \(.*?\))?): Kill/,
    title: ({ text }) => `OOM kill of ${/Killed? process \d+ \((.*?)\)/.exec(text)?.[1] ?? "a task"}`,
    includes: /^oom_reaper:/,
    end: "line",
  },
  // arch/x86
  {
    kind: "unchecked-msr",
    pattern: /^unchecked MSR access error/,
    title: titled("unchecked MSR access error"),
  },
  {
    kind: "stack-overflow",
    pattern: new RegExp(
      "^(?:BUG: (?:\\w+ )?stack guard page was hit|kernel stack overflow|BUG: stack overflow|" +
        "do_IRQ: .* near stack overflow)",
    ),
    title: titled("kernel stack overflow"),
    isPrelude: true,
  },
  {
    kind: "stack-overflow",
    pattern: /^Kernel panic - not syncing: (?:corrupted stack end|stack-protector|kernel stack overflow)/,
    title: titled("kernel stack overflow"),
  },
  {
    kind: "double-fault",
    pattern: /^(?:traps: )?(?:PANIC: )?double fault/,
    title: titled("double fault"),
    isPrelude: true,
    includes: /^double fault: [0-9a-f]{4} \[#/,
  },
  {
    kind: "oops",
    pattern: /^BUG: (?:unable to handle kernel NULL|kernel NULL) pointer dereference/,
    title: titled("BUG: unable to handle kernel NULL pointer dereference"),
    isPrelude: true,
    includes: OOPS_DETAIL,
  },
  {
    kind: "oops",
    pattern: /^BUG: unable to handle (?:page fault|kernel paging request)/,
    title: titled("BUG: unable to handle kernel paging request"),
    isPrelude: true,
    includes: OOPS_DETAIL,
  },
  {
    kind: "oops",
    pattern: /^general protection (?:fault|maybe)[,:]/,
    title: titled("general protection fault"),
    isPrelude: true,
    includes: OOPS_DETAIL,
  },
  { kind: "BUG", pattern: /^kernel BUG (?:at |in )/, title: titled("kernel BUG"), isPrelude: true },
  { kind: "WARN", pattern: /^WARNING: CPU: ?/, title: titled("WARNING") },
  {
    kind: "oops",
    // die() of any trap: "invalid opcode: 0000 [#1] PREEMPT", "Oops: 0002 [#1]"
    pattern: /^([A-Za-z][\w ,()-]{1,60}): [0-9a-f]{4} \[#\d+\]/,
    title: ({ match, place }) => inPlace(match[1]!, place),
  },
  {
    kind: "panic",
    pattern: /^Kernel panic - not syncing:? ?(.*)/,
    title: ({ match }) => `kernel panic: ${withoutNumbers(match[1]!.replace(/ exitcode=\S+/, ""))}`,
  },
  // What begins like a complaint is one, though it is in no table.
  {
    kind: "other",
    pattern: /^(?:[\w .-]{1,30}: )?(BUG: .*)/,
    title: ({ match, place }) => inPlace(withoutNumbers(match[1]!), place),
  },
  {
    kind: "other",
    pattern: /^(BUG [^:]+:.*|WARNING: .*|INFO: task .*|Oops\b.*|KASAN: .*|kernel stack regs .*)/,
    title: ({ match, place }) => inPlace(withoutNumbers(match[1]!), place),
  },
];
