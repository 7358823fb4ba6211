// SPDX-License-Identifier: MIT

import type { RecordNodeOf } from "../../image/nodes.ts";
import { rawText } from "../../image/struct_codec.ts";
import { type FieldExpectations, observed, predicted, type VolatileField } from "../judge.ts";
import { type ExecBlock, readExecBlock } from "./exec_block.ts";
import { executableOf } from "./expected_vmas.ts";
import type { V11Context } from "./v11_context.ts";

const PAGE_MASK = 0xfffn;

type Range = readonly [start: bigint, end: bigint];

/**
 * MM: how many VMAs maps shows, and where the parts of the program lie, as far as maps and the stack tell.
 */
export function compareV11Mm(node: RecordNodeOf<"MM">, context: V11Context): void {
  const { judge, manifest, vmas } = context;
  context.mm = node;
  judge.header(node, manifest.pid);
  judge.fields(node, {
    objref: predicted(0),
    map_count: observed(vmas.length),
    ...sections(context),
    ...heap(context, node),
    ...execFields(context, node),
  });
}

function within(name: string, reason: string, [start, end]: Range): VolatileField {
  return {
    name,
    reason,
    accept: (value) =>
      value >= start && value <= end ? undefined : `not within 0x${start.toString(16)}-0x${end.toString(16)}`,
  };
}

/** Text lies in the executable's first mapping, data in its writable one. */
function sections({ manifest, vmas }: V11Context): FieldExpectations {
  const executable = executableOf(manifest.maps, manifest);
  const own = vmas.map(({ entry }) => entry).filter(({ name }) => rawText(name) === executable);
  const text = own[0];
  const data = own.find(({ perms }) => perms[1] === "w") ?? own.at(-1);
  if (!text || !data) return {};
  const name = "mm.start_code to end_data";
  const reason = "places inside the executable, whose program headers the manifest does not tell";
  const inData = within(name, reason, [data.start, data.end]);
  return {
    // exec maps the page that the first segment begins in.
    start_code: within(name, reason, [text.start, text.start + PAGE_MASK]),
    end_code: within(name, reason, [text.start, text.end]),
    start_data: inData,
    end_data: inData,
  };
}

/** Without brk the heap begins and ends where the program's own memory ends, at a page boundary (set_brk). */
function heap({ vmas, manifest }: V11Context, { fields }: RecordNodeOf<"MM">): FieldExpectations {
  const entry = vmas.find((vma) => rawText(vma.entry.name) === "[heap]")?.entry;
  if (!entry) {
    const name = "mm.brk without a heap";
    const reason = "maps shows no heap, so nothing tells where it would begin";
    const field = within(name, reason, [0n, 0xc000_0000n]);
    return { start_brk: field, brk: field };
  }
  if (!manifest.steps.some(({ op, text }) => /\bs?brk\b/.test(`${op} ${text}`))) {
    return { start_brk: observed(entry.end), brk: observed(entry.end) };
  }
  const name = "mm.brk within the heap";
  const reason = "maps shows the heap in whole pages, together with the memory below it";
  return {
    start_brk: within(name, reason, [entry.start, fields.brk]),
    brk: within(name, reason, [entry.end - PAGE_MASK, entry.end]),
  };
}

/**
 * Arguments and environment: the block that exec put on the stack must say the same, where the image has
 * it.
 */
function execFields(context: V11Context, { fields }: RecordNodeOf<"MM">): FieldExpectations {
  const stack = context.vmas.find(({ owner }) => owner === "stack")?.entry;
  if (!stack) return {};
  const name = "mm.start_stack to env_end";
  const reason = "the manifest does not tell the arguments; checked against what exec put on the stack";
  const block = readExecBlock(context.nodes, Number(fields.start_stack));
  const range: Range = [stack.start, stack.end];
  const place = (key: keyof ExecBlock): VolatileField => {
    const inside = within(name, reason, range);
    if (!block) return inside;
    const expected = BigInt(block[key]);
    return {
      name,
      reason,
      accept: (value) =>
        value === expected ? undefined : `the stack of the image says 0x${expected.toString(16)}`,
    };
  };
  const hasStack = context.cut.kind === "none";
  return {
    start_stack: {
      name,
      reason,
      accept: (value) =>
        value < stack.start || value >= stack.end
          ? "not within the stack"
          : hasStack && !block
          ? "the stack of the image has no arguments there"
          : undefined,
    },
    arg_start: place("argStart"),
    arg_end: place("argEnd"),
    env_start: place("envStart"),
    env_end: place("envEnd"),
  };
}
