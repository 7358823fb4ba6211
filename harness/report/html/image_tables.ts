// SPDX-License-Identifier: MIT

import { abiOf } from "../../../lib/abi/arch.ts";
import { xstateLines } from "../../../lib/image/diff/diff_outlines.ts";
import type { ImageOutline, TaskOutline } from "../../../lib/image/outline.ts";
import { fieldsOf, type RecordName } from "../../../lib/image/records.ts";
import { signalTexts } from "../../../lib/image/show/signal_text.ts";
import { showField } from "../../../lib/image/show/show_tree.ts";
import { usedDescriptors } from "../../../lib/x86/descriptor.ts";
import { type Markup, markup, omitted, table } from "./markup.ts";

const MAX_ROWS = 256;

/** What a task holds beside its mappings: LDT, TLS, registers, FPU state, signals. */
export function taskTables(outlines: readonly ImageOutline[], task: number): Markup {
  const tasks = outlines.map((outline) => outline.tasks[task]);
  const first = outlines.map(({ format: { wordSize } }) =>
    abiOf(wordSize === 8 ? "x86_64" : "i386").firstTlsSlot
  );
  return markup`${section("LDT", tasks.map((task) => descriptorsOf(task, "mm_context/ldt", 0)))}${
    section("TLS", tasks.map((task, image) => descriptorsOf(task, "thread/tls", first[image]!)))
  }${
    section(
      "Registers",
      outlines.map((outline, image) => fieldsIn(outline, tasks[image], ["cpu", "fsgsbase"])),
    )
  }${section("FPU", tasks.map((task, image) => xstateLines(outlines[image]!, task)))}${
    section("Signals", tasks.map((task) => new Map([...task?.parts.values() ?? []].flatMap(signalTexts))))
  }${
    section("Task", outlines.map((outline, image) => fieldsIn(outline, tasks[image], ["task", "comm", "mm"])))
  }`;
}

/** Rows of what each image says; those in which they differ are marked. */
function section(title: string, values: readonly ReadonlyMap<string, string>[]): Markup {
  const names = [...new Set(values.flatMap((of) => [...of.keys()]))];
  const rows = names.slice(0, MAX_ROWS).map((name) => {
    const cells = values.map((of) => of.get(name) ?? "-");
    const isMarked = new Set(cells).size > 1;
    return markup`<tr${isMarked ? markup` class="marked"` : undefined}><th scope="row">${name}</th>${
      cells.map((cell) => markup`<td class="mono">${cell}</td>`)
    }</tr>`;
  });
  const body = rows.length === 0
    ? markup`<p class="soft">none</p>`
    : table({ columns: [], rows, style: "values" });
  return markup`<h3>${title}</h3>${body}${omitted(names.length - rows.length, "are not listed")}`;
}

function descriptorsOf(
  task: TaskOutline | undefined,
  name: string,
  first: number,
): ReadonlyMap<string, string> {
  const part = task?.parts.get(name);
  const bytes = part && "bytes" in part ? part.bytes : new Uint8Array(0);
  return new Map(usedDescriptors(bytes).map(([slot, text]) => [`entry ${first + slot}`, text]));
}

function fieldsIn(
  outline: ImageOutline,
  task: TaskOutline | undefined,
  names: readonly string[],
): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const name of names) {
    const part = task?.parts.get(name) ?? (task ? undefined : outline.parts.get(name));
    if (part?.kind !== "record") continue;
    for (const [field, text] of recordFields(part.name, part.fields)) values.set(field, text);
  }
  return values;
}

/** The fields of a record that mean something, as a person would read them. */
function recordFields(name: RecordName, fields: object): [string, string][] {
  const values = fields as Readonly<Record<string, number | bigint | Uint8Array>>;
  return fieldsOf(name).filter(({ padding }) => padding === undefined)
    .map((field) => [field.name, showField(field, values[field.name]!)]);
}

/** The fields of the head of an image. */
export function headTable(outlines: readonly ImageOutline[]): Markup {
  return section(
    "Head",
    outlines.map(({ parts }) => {
      const head = parts.get("head");
      return new Map(head?.kind === "record" ? recordFields(head.name, head.fields) : []);
    }),
  );
}
