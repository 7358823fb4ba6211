// SPDX-License-Identifier: MIT

/** What a stack begins with, whatever is waited for. */
const SCHEDULER = /^(?:_*schedule|io_schedule|preempt_schedule|__switch_to|context_switch)/;
/** What is at the bottom of the stack of a kernel thread. */
const KERNEL_THREAD = /^kthread(?:d)?$/;
const MAX_FRAMES = 4;
/** LOG_LINE_MAX of kernel/printk/printk.c: what is longer no kernel says. */
const MAX_LINE = 1024;
/** Lines that are told; a flood of tasks is none of ours. */
const MAX_TASKS = 50;

/** By the letter of its state, what a task does in the functions of its stack. */
const DOES: Readonly<Record<string, string>> = {
  D: "waits in",
  S: "sleeps in",
  R: "runs in",
  T: "is stopped in",
  t: "is stopped in",
};

interface WaitingTask {
  readonly name: string;
  readonly state: string;
  readonly frames: string[];
}

/**
 * Who waits for what, as sysrq-t and sysrq-w print it: a line for each task, with the functions that it waits in. Those
 * that no signal reaches come first; of kernel threads only they are told.
 */
export function waitingTasks(text: string): string[] {
  const tasks = new Map<string, WaitingTask>();
  let task: WaitingTask | undefined;
  for (const line of text.split("\n").filter(({ length }) => length <= MAX_LINE)) {
    const [, name, state, pid] = /\btask:(.*?)\s+state:(\w)\b.*?\bpid:\s*(\d+)/.exec(line) ?? [];
    if (pid !== undefined) {
      task = { name: name!, state: state!, frames: [] };
      // The newest word on a task counts.
      tasks.set(pid, task);
    }
    const [, frame] = /^(?:\[[^\]]*\]\s*)* ?([\w.]+)\+0x[\da-f]+\/0x[\da-f]+/.exec(line) ?? [];
    if (frame !== undefined && !SCHEDULER.test(frame)) task?.frames.push(frame);
  }
  const told = [...tasks].filter(([, { state, frames }]) =>
    state === "D" || DOES[state] !== undefined && !frames.some((frame) => KERNEL_THREAD.test(frame))
  );
  const [blocked, others] = [true, false].map((is) => told.filter(([, { state }]) => (state === "D") === is));
  return [...blocked!, ...others!].slice(0, MAX_TASKS).map(([pid, { name, state, frames }]) => {
    const where = frames.length === 0 ? "the kernel or its program" : frames.slice(0, MAX_FRAMES).join(" < ");
    return `${name} (pid ${pid}) ${DOES[state]} ${where}`;
  });
}
