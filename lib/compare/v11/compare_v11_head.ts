// SPDX-License-Identifier: MIT

import { rawText } from "../../image/struct_codec.ts";
import type { RecordNodeOf } from "../../image/nodes.ts";
import { HEAD_MAGIC, TAIL_MAGIC } from "../../image/structs.ts";
import { type FieldExpectation, observed, predicted, type VolatileField } from "../judge.ts";
import { cpuFeaturesOf } from "./cpu_features.ts";
import { executableOf } from "./expected_vmas.ts";
import { bytesOf } from "./manifest.ts";
import type { V11Context } from "./v11_context.ts";

const REVISION = 1;
const CR_CTX_CKPT = 1n;
const SIGCHLD = 17;
const COMM_LENGTH = 16;
/** No call takes longer. */
const LONGEST_CALL = 3600n;
/** `xstate_size` of 2.6.28, which knows of no component beside x87 and SSE. */
const STATE_SIZES = { fsave: 112, fxsave: 512, xsave: 576 } as const;

/** HEAD: the kernel's names as uname gave them, the clock. */
export function compareV11Head(node: RecordNodeOf<"HEAD">, context: V11Context): void {
  const { judge, manifest } = context;
  const { uname, timeBefore } = manifest;
  const [major = 0, minor = 0, patch = 0] = uname.release.split(/[.-]/).map(Number);
  context.head = node;
  judge.header(node, 0);
  judge.fields(node, {
    magic: predicted(HEAD_MAGIC),
    major: observed(major),
    minor: observed(minor),
    patch: observed(patch),
    rev: predicted(REVISION),
    time: {
      name: "head.time",
      reason: "the clock at the call; the manifest has the clock some time before it",
      accept: (value) =>
        timeBefore === undefined || value >= timeBefore && value <= timeBefore + LONGEST_CALL
          ? undefined
          : `the time is not after ${timeBefore}, or much later`,
    },
    flags: predicted(CR_CTX_CKPT),
    release: observed(utsField(uname.release)),
    version: observed(utsField(uname.version)),
    machine: observed(utsField(uname.machine)),
  });
}

function utsField(text: string): Uint8Array {
  const field = new Uint8Array(64);
  field.set(bytesOf(text).subarray(0, 64));
  return field;
}

/** HEAD_ARCH: what the processor model has; the unused bytes have the upper bytes of HEAD's magic. */
export function compareV11HeadArch(node: RecordNodeOf<"HEAD_ARCH">, { judge, manifest }: V11Context): void {
  const features = cpuFeaturesOf(manifest.cpuModel, manifest.commandLine);
  const { fxsr, xsave } = features ?? {
    fxsr: node.fields.has_fxsr !== 0,
    xsave: node.fields.has_xsave !== 0,
  };
  const by = (value: number): FieldExpectation | VolatileField =>
    features ? predicted(value) : {
      name: "head_arch of a processor that is not known",
      reason: "the manifest names a processor model that is in no table",
      accept: (found) => found === BigInt(value) ? undefined : `not ${value}, which the other fields ask for`,
    };
  judge.header(node, 0);
  judge.fields(node, {
    has_fxsr: by(Number(fxsr)),
    has_xsave: by(Number(xsave)),
    xstate_size: by(xsave ? STATE_SIZES.xsave : fxsr ? STATE_SIZES.fxsave : STATE_SIZES.fsave),
    _padding: predicted(HEAD_MAGIC >> 48n),
  });
}

/** TASK: a task that runs and saves itself; the unused bytes have the upper half of HEAD's time. */
export function compareV11Task(node: RecordNodeOf<"TASK">, { judge, head }: V11Context): void {
  judge.header(node, 0);
  judge.fields(node, {
    state: predicted(0),
    exit_state: predicted(0),
    exit_code: predicted(0),
    exit_signal: predicted(SIGCHLD),
    task_comm_len: predicted(COMM_LENGTH),
    _padding: predicted((head?.fields.time ?? 0n) >> 32n),
  });
}

const COMM_TAIL: Omit<VolatileField, "accept"> = {
  name: "comm after its NUL",
  reason: "left over from longer names that the task had; the manifest does not tell them",
};

/** STRING: the name of the program, and what is left over after its NUL. */
export function compareV11Comm(node: RecordNodeOf<"STRING">, { judge, manifest }: V11Context): void {
  const program = executableOf(manifest.maps, manifest);
  const renamed = manifest.steps.findLast(({ op }) => /^(prctl|set_?name|comm)$/.test(op))?.fields;
  const given = renamed && (renamed.name ?? renamed.comm);
  const name = (given ?? program.slice(program.lastIndexOf("/") + 1)).slice(0, COMM_LENGTH - 1);
  const start = node.offset + 8;
  judge.header(node, 0);
  judge.bytes(node, start, node.payload.subarray(0, name.length + 1), {
    bytes: bytesOf(`${name}\0`),
    by: "observed",
    id: "E_COMM",
    what: "the task's name",
  });
  judge.account.claimVolatile(start + name.length + 1, node.payload.length - name.length - 1, COMM_TAIL);
}

/** TAIL: the mark of a whole image. */
export function compareV11Tail(node: RecordNodeOf<"TAIL">, { judge, manifest }: V11Context): void {
  judge.header(node, 0);
  judge.fields(node, { magic: predicted(TAIL_MAGIC) });
  const end = node.offset + node.length;
  // The position is that after the last call.
  if (manifest.endOffset === undefined || manifest.endOffset === end || manifest.calls.length > 1) return;
  judge.report({
    id: "E_LENGTH",
    path: node.path,
    offset: node.offset,
    message: "the image does not end where the file position was after the call",
    expected: String(manifest.endOffset),
    actual: String(end),
  });
}

/** FNAME: the name in maps with its NUL, raw. */
export function compareV11Fname(node: RecordNodeOf<"FNAME">, { judge }: V11Context, name: Uint8Array): void {
  const bytes = new Uint8Array(name.length + 1);
  bytes.set(name);
  judge.header(node, 0);
  judge.bytes(node, node.offset + 8, node.payload, {
    bytes,
    by: "observed",
    id: "E_FNAME",
    what: `the file's name, ${JSON.stringify(rawText(name))}`,
  });
}
