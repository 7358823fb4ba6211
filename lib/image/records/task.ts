// SPDX-License-Identifier: MIT
import type { StructDesc } from "../struct_desc.ts";

/** TASK: the state of one task. */
export const TASK = {
  cName: "cr_hdr_task",
  size: 24,
  fields: [
    {
      name: "state",
      type: "u32",
      offset: 0,
      size: 4,
      display: "hex",
      doc: "task->state, 0 for a task that saves itself",
    },
    {
      name: "exit_state",
      type: "u32",
      offset: 4,
      size: 4,
      display: "hex",
      doc: "task->exit_state, 0 while it lives",
    },
    {
      name: "exit_code",
      type: "u32",
      offset: 8,
      size: 4,
      display: "hex",
      doc: "task->exit_code; the signal of a stop",
    },
    { name: "exit_signal", type: "u32", offset: 12, size: 4, doc: "the signal to its parent at its end" },
    {
      name: "task_comm_len",
      type: "s32",
      offset: 16,
      size: 4,
      display: "count",
      doc: "length of the STRING that follows",
    },
    { name: "_padding", type: "u32", offset: 20, size: 4, padding: "named", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** TREE, of patch 12: how many tasks the image holds. The raw table of their ids follows. */
export const TREE = {
  cName: "cr_hdr_tree",
  size: 8,
  fields: [
    { name: "tasks_nr", type: "u32", offset: 0, size: 4, display: "count", doc: "number of tasks" },
    { name: "_padding", type: "u32", offset: 4, size: 4, padding: "tail", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;

/** One entry of the raw table after TREE. */
export const PIDS = {
  cName: "cr_hdr_pids",
  size: 16,
  fields: [
    { name: "vpid", type: "s32", offset: 0, size: 4, doc: "pid" },
    { name: "vtgid", type: "s32", offset: 4, size: 4, doc: "thread group" },
    { name: "vppid", type: "s32", offset: 8, size: 4, doc: "pid of the parent" },
    { name: "_padding", type: "u32", offset: 12, size: 4, padding: "tail", display: "hex", doc: "unused" },
  ],
} as const satisfies StructDesc;
