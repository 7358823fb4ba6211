// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { blockedTasks } from "./blocked_tasks.ts";

Deno.test("blockedTasks() names each task and what it waits in", () => {
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
  assertEquals(blockedTasks(text), [
    "target (pid 72) waits in rwsem_down_write_slowpath < down_write_killable < do_checkpoint < do_syscall_64",
    "a (b) c (pid 9) waits in folio_wait_bit",
  ]);
  assertEquals(blockedTasks("[    1.0] Run /init as init process\n"), []);
});

Deno.test("blockedTasks() is soon done with what no kernel says", () => {
  const begin = performance.now();
  for (const flood of ["task: ", "task:a ", " ", "[ ] "]) {
    assertEquals(blockedTasks(flood.repeat(200_000)), []);
  }
  assert(performance.now() - begin < 1000);
});
