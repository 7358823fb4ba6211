// SPDX-License-Identifier: MIT

/**
 * Words with which the kernel begins a complaint (lib/bug.c, kernel/panic.c, mm/kasan, lib/ubsan.c,
 * kernel/locking).
 */
const SPLATS: readonly RegExp[] = [
  /BUG: .+/,
  /WARNING: .+/,
  /kernel BUG at .+/,
  /Oops: .+/,
  /general protection fault.*/,
  /Kernel panic - not syncing.*/,
  /UBSAN: .+/,
  /INFO: task .+ blocked for more than .+/,
  /INFO: rcu.* detected stall.*/,
  /rcu: INFO: .+ stall.*/,
  /watchdog: BUG: .+/,
  /unreferenced object .+/,
  /refcount_t: .+/,
  /Bad page .+/i,
  /Out of memory: .+/,
  /invoked oom-killer.*/,
  /Bad page map.*/i,
  /sleeping function called from invalid context.*/,
  /unchecked MSR access error.*/,
];

/**
 * Titles of the complaints in a kernel log, each once, in the order of their first appearance.
 *
 * @param log console text; time stamps in front of a line are ignored
 */
export function findSplats(log: string): string[] {
  const titles = new Set<string>();
  for (const line of log.replaceAll("\0", "").split(/\r?\n/)) {
    const text = line.replace(/^(<\d+>)?(\[[^\]]*\]\s*)?/, "");
    for (const splat of SPLATS) {
      const match = splat.exec(text);
      if (match) {
        titles.add(match[0].trim());
        break;
      }
    }
  }
  return [...titles];
}
