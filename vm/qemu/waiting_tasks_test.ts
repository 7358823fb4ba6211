// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { waitingTasks } from "./waiting_tasks.ts";

Deno.test("waitingTasks() names each task and what it waits in", () => {
  const text = `[    3.1] sysrq: Show Blocked State
[    3.1] task:target          state:D stack:0     pid:72    ppid:1      flags:0x00000000
[    3.1] Call Trace:
[    3.1]  <TASK>
[    3.1]  __schedule+0x20a/0x6d0
[    3.1]  schedule+0x5a/0xd0
[    3.1]  ? rwsem_mark_wake+0x10/0x20
[    3.1]  rwsem_down_write_slowpath+0x1b3/0x4e0
[    3.1]  down_write_killable+0x53/0x60
[    3.1]  do_checkpoint+0xf4/0x5d0
[    3.1]  do_syscall_64+0x37/0x90
[    3.1]  entry_SYSCALL_64_after_hwframe+0x64/0xce
[    3.1] task:a (b) c         state:D stack:    0 pid:    9 ppid:     2 flags:0x00004000
[    3.1]  io_schedule+0x5a/0xd0
[    3.1]  folio_wait_bit+0x1/0x2
`;
  assertEquals(waitingTasks(text), [
    "target (pid 72) waits in rwsem_down_write_slowpath < down_write_killable < do_checkpoint < do_syscall_64",
    "a (b) c (pid 9) waits in folio_wait_bit",
  ]);
  assertEquals(waitingTasks("[    1.0] Run /init as init process\n"), []);
});

Deno.test("waitingTasks() names what sleeps, runs or is stopped, but no kernel thread that has nothing to do", () => {
  const text = `[    3.1] sysrq: Show State
[    3.1] task:init            state:S stack:0     pid:1     ppid:0      flags:0x00000000
[    3.1]  schedule+0x5a/0xd0
[    3.1]  do_sys_poll+0x3b1/0x5f0
[    3.1] task:kthreadd        state:S stack:0     pid:2     ppid:0      flags:0x00004000
[    3.1]  kthreadd+0x1b3/0x1d0
[    3.1] task:kworker/0:0     state:I stack:0     pid:7     ppid:2      flags:0x00004000
[    3.1]  worker_thread+0x1/0x2
[    3.1]  kthread+0x1/0x2
[    3.1] task:agent           state:R  running task     stack:0     pid:71    ppid:1      flags:0x00000000
[    3.1] task:target          state:T stack:0     pid:72    tgid:72    ppid:1      flags:0x00000000
[    3.1]  do_signal_stop+0x1d1/0x2b0
[    3.1] task:jbd2            state:S stack:0     pid:73    ppid:2      flags:0x00000000
[    3.1]  kthread+0x1/0x2
[    3.2] sysrq: Show Blocked State
[    3.2] task:jbd2            state:D stack:0     pid:73    ppid:2      flags:0x00000000
[    3.2]  folio_wait_bit+0x1/0x2
[    3.2]  kthread+0x1/0x2
`;
  assertEquals(waitingTasks(text), [
    "jbd2 (pid 73) waits in folio_wait_bit < kthread",
    "init (pid 1) sleeps in do_sys_poll",
    "agent (pid 71) runs in the kernel or its program",
    "target (pid 72) is stopped in do_signal_stop",
  ]);
  const many = Array.from({ length: 100 }, (_, pid) => `task:x state:D stack:0 pid:${pid} ppid:1\n`).join("");
  assertEquals(waitingTasks(many).length, 50);
});

Deno.test("waitingTasks() is soon done with what no kernel says", () => {
  const begin = performance.now();
  for (const flood of ["task: ", "task:a ", " ", "[ ] "]) {
    assertEquals(waitingTasks(flood.repeat(200_000)), []);
  }
  assert(performance.now() - begin < 1000);
});
