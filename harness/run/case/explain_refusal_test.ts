// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { ERRNO, type ErrnoName } from "../../../lib/abi/errno.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import { explainRefusal } from "./explain_refusal.ts";
import type { ObservedCheckpoint } from "./observe_checkpoint.ts";

const PRIVATE = "00400000-00401000 r-xp 00000000 00:02 5   /bin/x";

function explain(name: ErrnoName | "ok", { threads = 1, maps = [] as string[] } = {}): string | undefined {
  const errno = name === "ok" ? 0 : ERRNO[name];
  const proc = Object.entries({
    status: `Name:\tx\nThreads:\t${threads}\n`,
    maps: [PRIVATE, ...maps, ""].join("\n"),
  });
  const raw = { proc: new Map(proc.map(([file, text]) => [file, new TextEncoder().encode(text)])) };
  const reply = checkpointReply({ result: name === "ok" ? 1n : BigInt(-errno), errno });
  return explainRefusal("x", { reply, raw } as unknown as ObservedCheckpoint);
}

Deno.test("explainRefusal() says in one sentence what checkpoint(2) refuses", () => {
  const cases: [ErrnoName, Parameters<typeof explain>[1], string][] = [
    ["EOPNOTSUPP", { threads: 5 }, "x has 5 threads: checkpoint(2) refuses those, EOPNOTSUPP"],
    [
      "EOPNOTSUPP",
      {},
      "x shares its address space with another process: checkpoint(2) refuses those, EOPNOTSUPP",
    ],
    [
      "ENOSYS",
      { maps: ["7f000-7f100 rw-s 00000000 00:01 9   /dev/shm/a b"] },
      "x maps shared memory, /dev/shm/a b at 7f000-7f100: checkpoint(2) refuses those, ENOSYS",
    ],
    ["ENOSYS", {}, "x maps huge pages or a device: checkpoint(2) refuses those, ENOSYS"],
    [
      "ENOENT",
      { maps: ["7f000-7f100 r--p 00000000 00:01 9   /lib/old.so (deleted)"] },
      "x maps a file that was deleted, /lib/old.so (deleted) at 7f000-7f100: checkpoint(2) refuses those, ENOENT",
    ],
    [
      "EBADF",
      { maps: ["7f000-7f100 rw-p 00000000 00:01 9   /memfd:m (deleted)"] },
      "x maps memory without a path, /memfd:m (deleted) at 7f000-7f100: checkpoint(2) refuses those, EBADF",
    ],
    ["EBADF", {}, "x maps a file that cannot be reached by its path: checkpoint(2) refuses those, EBADF"],
    ["ENAMETOOLONG", {}, "x maps a file whose path is too long: checkpoint(2) refuses those, ENAMETOOLONG"],
    ["EFAULT", {}, "x has a page in swap that cannot be read: checkpoint(2) refuses those, EFAULT"],
    ["EHWPOISON", {}, "x has a page in memory that is broken: checkpoint(2) refuses those, EHWPOISON"],
    ["ENOMEM", {}, "x could not be saved: checkpoint(2) failed with ENOMEM"],
    ["ENOENT", {}, "x could not be saved: checkpoint(2) failed with ENOENT"],
  ];
  for (const [errno, process, sentence] of cases) assertEquals(explain(errno, process), sentence);
  assertEquals(explain("ok"), undefined);
});
