// SPDX-License-Identifier: MIT

import { abiOf, type KernelArch, pagesPerChunk } from "../abi/arch.ts";
import { pageProt } from "../abi/page_prot.ts";
import { maskText, saFlagText, signalName } from "../abi/signals.ts";
import type { KernelSeries } from "../abi/series.ts";
import { vmFlagNames, vmFlagTable } from "../abi/vm_flags.ts";
import { isStruct, type RecordName, RECORDS } from "../image/records.ts";
import { VMA_TYPE } from "../image/structs.ts";
import type { FieldDesc } from "../image/struct_desc.ts";
import { pagesWithin, shownAddress } from "../model/state/page_set.ts";
import type { CompiledStop } from "../model/compile_scenario.ts";
import type { PredictedArea, StopPrediction } from "../model/predict_stop.ts";
import { usedDescriptors } from "../x86/descriptor.ts";
import { hex, hexBytes } from "../bytes.ts";

/** What the prediction is for. */
export interface ExplainOptions {
  /** The kernel that the image would come from. */
  readonly arch: KernelArch;
  /** Its version, for the tables of vm_flags and page protections. */
  readonly series: KernelSeries;
}

const STAT = "observed: /proc/PID/stat";
const PTRACE = "observed: ptrace of the stopped target";
const FORMAT = "predicted: the format";

/** Who says what a field of a record must be, where the steps do not. */
const SOURCES: Readonly<Partial<Record<RecordName, Readonly<Record<string, string>>>>> = {
  HEAD: {
    magic: FORMAT,
    rev: `${FORMAT}, revision 100 of the port`,
    flags: `${FORMAT}, CR_CTX_CKPT`,
    time: "volatile: within the call",
    "": "observed: uname of the guest",
  },
  HEAD_ARCH: { "": "observed: /proc/cpuinfo and the register sets of ptrace" },
  TASK: { exit_state: "predicted: 0, the task lives", task_comm_len: FORMAT, "": STAT },
  STRING: { "": "observed: /proc/PID/comm" },
  MM: {
    objref: FORMAT,
    map_count: "observed: lines of /proc/PID/maps",
    brk: "observed: what brk(2) returned to the target",
    "": STAT,
  },
  CPU: { debugreg4: FORMAT, debugreg5: FORMAT, used_math: `${FORMAT}: FPU state always follows`, "": PTRACE },
  X86_FSGSBASE: { "": PTRACE },
  AUXV: { "": "observed: /proc/PID/auxv" },
};

/**
 * What the image of a stop must be, record by record, and for each field and page why: the steps, the format,
 * or the interface that will be asked. Needs no guest.
 */
export function explainPrediction(stop: CompiledStop, options: ExplainOptions): string[] {
  const { refusal } = stop.prediction;
  const lines = [
    `stop "${stop.label}"${stop.self ? ", checkpointed by itself" : ""}`,
    ...explainTracer(stop),
    ...explainCall(stop),
  ];
  if (stop.tracer.busy) return lines;
  if (refusal) {
    const { atPage, page = atPage } = refusal;
    const where = page === undefined ? "before a byte is written" : `at ${shownAddress(page)}`;
    lines.push(`  the call returns ${refusal.name} ${where}: ${refusal.why}`);
    if (refusal.atPage === undefined) return lines;
  }
  const { self, tracer, prediction: { taskState } } = stop;
  const state = self
    ? "predicted: a self checkpoint runs, 0"
    : `predicted: stopped by ${tracer.stoppedBy}, ${hex(taskState)}`;
  for (const name of ["HEAD", "HEAD_ARCH", "TASK", "STRING", "MM"] as const) {
    lines.push(...explainRecord(name, { state }));
  }
  lines.push("VMAs of the target's own program, stack, vdso and vvar");
  lines.push("  observed: /proc/PID/maps, smaps, pagemap and mem");
  for (const { place, offset, bytes } of stop.prediction.copied) {
    lines.push(
      `  the page of ${place}+${hex(offset)} must be there: a debugger wrote to it` +
        (bytes ? `, ${hexBytes(bytes)}` : ""),
    );
  }
  const sorted = [...stop.prediction.pages.keys()].sort((a, b) => a - b);
  for (const area of stop.prediction.areas) {
    if (
      refusal?.atPage !== undefined && (refusal.page === undefined ? area.end : area.start) > refusal.atPage
    ) {
      lines.push(`VMA ${range(area)} "${area.label}"`, "  not in the image: the call was refused before it");
    } else {
      // One line a page: too many to spread.
      for (const line of explainArea(area, { prediction: stop.prediction, sorted }, options)) {
        lines.push(line);
      }
    }
  }
  if (refusal) return lines;
  const { ldt, tls } = stop.prediction;
  lines.push("MM_CONTEXT", `  nldt           ${ldt.length / 8}: the highest entry ever set, plus 1`);
  lines.push(...usedDescriptors(ldt).map(([slot, text]) => `  entry ${slot}: ${text}`));
  lines.push(
    ...explainRecord("THREAD"),
    ...usedDescriptors(tls).map(([slot, text]) => `  TLS slot ${slot}: ${text}`),
  );
  lines.push(...explainRecord("CPU", explainDebug(stop)));
  lines.push("raw FPU state", `  ${PTRACE}, the NT_X86_XSTATE register set`);
  if (options.arch === "x86_64") lines.push(...explainRecord("X86_FSGSBASE"));
  return [...lines, ...explainRecord("AUXV"), ...explainSignals(stop), ...explainRecord("TAIL")];
}

function explainCall({ call }: CompiledStop): string[] {
  if (!call) return [];
  const { name, why, written, sees } = call.outcome;
  const image = {
    nothing: "before a byte is written",
    part: "and leaves a beginning of the image",
    discarded: "and the device keeps nothing",
    whole: `and leaves the image of the target ${sees} what happens meanwhile`,
  };
  return [`  the call that the stop describes returns ${name} ${image[written]}${why && `: ${why}`}`];
}

/** What is done to the target before the call, and who holds it. */
function explainTracer({ tracer, prediction: { root } }: CompiledStop): string[] {
  const lines = tracer.debug.map(({ register, value, errno }) =>
    `  a tracer sets debug register ${register} to ${hex(value)}` +
    (errno === 0 ? "" : `, which is refused with errno ${errno}`)
  );
  for (const { address: at, bytes } of tracer.pokes) {
    lines.push(`  a tracer writes ${hexBytes(bytes)} at ${hex(at)}`);
  }
  for (const { place, offset, bytes } of tracer.copied) {
    lines.push(
      `  a tracer writes ${bytes ? hexBytes(bytes) : ""} at ${place}+${hex(offset)}, and takes it out again`,
    );
  }
  if (root !== "") lines.push(`  names of files are from the target's root directory ${root} on`);
  if (tracer.stoppedBy !== "signal") lines.push(`  the target is stopped by: ${tracer.stoppedBy}`);
  if (tracer.busy) lines.push(`  the target is busy: ${tracer.busy}`);
  return lines;
}

function explainDebug({ prediction: { debug } }: CompiledStop): Record<string, string> {
  const sources = Object.fromEntries(debug.map((value, index) => [
    `debugreg${index}`,
    `predicted: ${hex(value)}, as tracers have left it`,
  ]));
  const dr7 = debug[7] ?? 0n;
  return { ...sources, uses_debug: `predicted: ${dr7 ? 1 : 0}, debug register 7 is ${dr7 ? "not " : ""}0` };
}

function explainSignals({ prediction: { signals: { blocked, stack, actions } } }: CompiledStop): string[] {
  return [
    "SIGNALS",
    `  blocked        ${hex(blocked)}: ${maskText(blocked)}`,
    `  stack          ${stack.size === 0n ? "none" : `${hex(stack.sp)}, ${stack.size} bytes`}, flags ${
      hex(stack.flags)
    }`,
    ...[...actions].map(([number, { handler, flags, restorer, mask }]) =>
      `SIGACTION ${signalName(number)}: handler ${hex(handler)}, flags ${saFlagText(flags)}, ` +
      `restorer ${hex(restorer)}, mask ${maskText(mask)}`
    ),
  ];
}

/** A record field by field; `own` says why of fields that depend on the stop. */
function explainRecord(name: RecordName, own: Readonly<Record<string, string>> = {}): string[] {
  const source = SOURCES[name] ?? {};
  const { payload } = RECORDS[name];
  const fields: readonly FieldDesc[] = isStruct(payload) ? payload.fields : [];
  if (fields.length === 0) return [name, `  bytes: ${source[""]}`];
  const bySource = new Map<string, string[]>();
  for (const { name: field, padding } of fields) {
    const why = padding ? "0: unused bytes are zero" : own[field] ?? source[field] ?? source[""] ?? FORMAT;
    bySource.set(why, [...bySource.get(why) ?? [], field]);
  }
  return [name, ...[...bySource].map(([why, names]) => `  ${names.join(" ")}: ${why}`)];
}

function explainArea(
  area: PredictedArea,
  { prediction, sorted }: { readonly prediction: StopPrediction; readonly sorted: readonly number[] },
  { arch, series }: ExplainOptions,
): string[] {
  const abi = abiOf(arch);
  const table = vmFlagTable(series, abi.wordSize);
  const type = area.path === undefined ? VMA_TYPE.ANON : VMA_TYPE.FILE;
  const lines = [
    `VMA ${range(area)} "${area.label}"`,
    `  vma_type       ${type}: ${area.path === undefined ? "no file behind it" : "a file behind it"}`,
    `  vm_flags       ${hex(area.flags)}: ${vmFlagNames(area.flags, table).join(" ")}`,
    `  vm_page_prot   0x${pageProt(area.flags, { series, arch }).toString(16)}: by vm_flags, protection_map`,
    `  vm_pgoff       ${hex(area.pgoff)}: ${
      area.path === undefined ? "the page number at which it was mapped" : "the offset in the file, in pages"
    }`,
  ];
  if (area.path !== undefined) lines.push(`  FNAME          ${JSON.stringify(area.path)}`);
  const pages = pagesWithin(sorted, area);
  const chunk = pagesPerChunk(abi.wordSize);
  const last = prediction.refusal?.page ?? area.end;
  for (let at = 0; at < pages.length; at += chunk) {
    const part = pages.slice(at, at + chunk);
    if (part.some((page) => page >= last)) {
      return [
        ...lines,
        `  not in the image: the chunk with ${shownAddress(last)}, and all that comes after it`,
      ];
    }
    lines.push(`  PGARR          ${part.length} pages${part.length === chunk ? ", a full chunk" : ""}`);
    for (const page of part) lines.push(`    ${shownAddress(page)}  ${prediction.pages.get(page)!.why}`);
  }
  lines.push("  PGARR          0: the end of its contents");
  const absent = area.end - area.start - pages.length;
  if (absent > 0) {
    const reason = area.path === undefined ? "never written: no page, or the zero page" : "the file has them";
    lines.push(`    ${absent} pages are not in the image: ${reason}`);
  }
  return lines;
}

function range(area: PredictedArea): string {
  return `${shownAddress(area.start)}-${shownAddress(area.end)}`;
}
