// SPDX-License-Identifier: MIT

/** What a stack begins with, whatever is waited for. */
const SCHEDULER = /^(?:_*schedule|io_schedule|preempt_schedule|__switch_to|context_switch)/;
const MAX_FRAMES = 4;
/** LOG_LINE_MAX of kernel/printk/printk.c: what is longer no kernel says. */
const MAX_LINE = 1024;

/**
 * Who waits for what where no signal reaches it, as sysrq-w prints it: a line for each task, with the functions that
 * it waits in.
 */
export function blockedTasks(text: string): string[] {
  const tasks: { who: string; frames: string[] }[] = [];
  for (const line of text.split("\n").filter(({ length }) => length <= MAX_LINE)) {
    const [, name, pid] = /\btask:(.*?)\s+state:D\b.*?\bpid:\s*(\d+)/.exec(line) ?? [];
    if (name !== undefined) tasks.push({ who: `${name} (pid ${pid})`, frames: [] });
    const [, frame] = /^(?:\[[^\]]*\]\s*)* ?([\w.]+)\+0x[\da-f]+\/0x[\da-f]+/.exec(line) ?? [];
    if (frame !== undefined && !SCHEDULER.test(frame)) tasks.at(-1)?.frames.push(frame);
  }
  return tasks.map(({ who, frames }) => `${who} waits in ${frames.slice(0, MAX_FRAMES).join(" < ")}`);
}
