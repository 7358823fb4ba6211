// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import type { KernelSeries } from "../abi/series.ts";
import { buildImage, type ImageSpec, RW_FLAGS, type VmaSpec, xstateAtRest } from "../image/build_image.ts";
import type { CheckpointImage } from "../image/image.ts";
import { AVX_COMPONENT, FXSAVE_SIZE, XSAVE_HEADER } from "../x86/xstate.ts";
import { dataView, joinBytes } from "../bytes.ts";
import { type PredictedArea, predictedBytes, type StopPrediction } from "./predict_stop.ts";
import type { XstatePart } from "./state/register_block.ts";
import type { CompileTarget } from "./state/model_state.ts";

interface PredictedImageOptions {
  readonly target: CompileTarget;
  readonly series: KernelSeries;
  /** An image of the kernel and CPU that it is to come from: restart(2) takes no others. */
  readonly like?: CheckpointImage;
}

/** READ EXEC MAYREAD MAYWRITE MAYEXEC. */
const CODE_FLAGS = 0x75n;
/** The least address that may be mapped: vm.mmap_min_addr. */
const FIRST_PAGE = 16;
const SYSCALL_NONE = 0xffff_ffff_ffff_ffffn;
/** `mov $exit, %eax; xor %edi, %edi; syscall`, or with ebx and `int $0x80`; what lies behind it faults. */
const EXIT_CODE = {
  8: [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05],
  4: [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80],
} as const;
/** User code and data segments by the words of kernel and target: arch/x86/include/asm/segment.h. */
const SEGMENTS = {
  88: { cs: 0x33n, ss: 0x2bn },
  84: { cs: 0x23n, ss: 0x2bn, ds: 0x2bn, es: 0x2bn },
  44: { cs: 0x73n, ss: 0x7bn, ds: 0x7bn, es: 0x7bn },
} as const;

/**
 * The image that the model alone can make of a stop: the areas, pages, LDT, TLS and registers of the steps. What else a
 * target has is left out: in its place stand a page of code, which ends with exit status 0, and a page for its stack.
 *
 * @param prediction of a call that goes through
 */
export function buildPredictedImage(
  prediction: StopPrediction,
  { target, series, like }: PredictedImageOptions,
): Uint8Array<ArrayBuffer> {
  const { kernelWordSize, targetWordSize } = target;
  const { areas, ldt, tls, signals, taskState: state, registers: { general, bases, xstate } } = prediction;
  const own = BigInt(firstGap(areas, 2)) * PAGE_SIZE_BIG;
  const code = new Uint8Array(PAGE_SIZE).fill(0xcc);
  code.set(EXIT_CODE[targetWordSize]);
  const stack = own + PAGE_SIZE_BIG;
  const program: VmaSpec[] = [
    { start: own, end: stack, flags: CODE_FLAGS, pages: [[own, code]] },
    {
      start: stack,
      end: stack + PAGE_SIZE_BIG,
      flags: RW_FLAGS,
      pages: [[stack, new Uint8Array(PAGE_SIZE)]],
    },
  ];
  const vmas = [...program, ...areas.map((area) => vmaOf(area, prediction))]
    .toSorted((a, b) => a.start < b.start ? -1 : 1);
  const mm = { start_code: own, end_code: stack, start_stack: stack + PAGE_SIZE_BIG - 0x100n };
  const [major, minor] = series.split(".").map(Number);
  const wide: Partial<ImageSpec> = kernelWordSize === 8
    ? { fsgsbase: { fsbase: bases?.get("fsbase") ?? 0n, gsbase: bases?.get("gsbase") ?? 0n } }
    : {};
  return buildImage({
    wordSize: kernelWordSize,
    head: like?.head.fields ?? { major: major!, minor: minor!, patch: 0 },
    task: { state },
    mm,
    vmas,
    ...ldt.length > 0 && { ldt },
    tls,
    signals: {
      ...{ blocked: signals.blocked, sas_ss_sp: signals.stack.sp, sas_ss_size: signals.stack.size },
      sas_ss_flags: signals.stack.flags,
    },
    actions: [...signals.actions].map(([signr, { handler, flags, restorer, mask }]) => (
      { signr, sa_handler: handler, sa_flags: flags, sa_restorer: restorer, sa_mask: mask }
    )),
    registers: {
      ...SEGMENTS[`${kernelWordSize}${targetWordSize}` as "88" | "84" | "44"],
      ...{ ip: own, sp: mm.start_stack, orig_ax: BigInt.asUintN(8 * kernelWordSize, SYSCALL_NONE) },
      ...Object.fromEntries(general),
    },
    xstate: stateWith(xstate, like?.tasks[0]?.xstate?.bytes ?? xstateAtRest(true)),
    ...wide,
  });
}

/** The first page of a gap between areas that has so many. */
function firstGap(areas: readonly PredictedArea[], pages: number): number {
  let at = FIRST_PAGE;
  for (const { start, end } of areas) {
    if (start >= at + pages) break;
    at = Math.max(at, end);
  }
  return at;
}

function vmaOf({ start, end, flags, pgoff, path }: PredictedArea, { pages }: StopPrediction): VmaSpec {
  const own = [...pages].filter(([page]) => page >= start && page < end).toSorted(([a], [b]) => a - b);
  return {
    start: BigInt(start) * PAGE_SIZE_BIG,
    end: BigInt(end) * PAGE_SIZE_BIG,
    ...{ flags, pgoff: BigInt(pgoff) },
    ...path !== undefined && { name: path },
    pages: own.map(([page, predicted]) => [BigInt(page) * PAGE_SIZE_BIG, predictedBytes(predicted)]),
  };
}

/** An FPU state with what steps loaded into it; their components are in use. */
function stateWith(parts: readonly XstatePart[], rest: Uint8Array): Uint8Array {
  if (parts.length === 0) return rest;
  const end = Math.max(...parts.map(({ offset, bytes }) => offset + bytes.length));
  const state = joinBytes([rest, new Uint8Array(Math.max(0, end - rest.length))]);
  for (const { offset, bytes } of parts) state.set(bytes, offset);
  if (state.length > FXSAVE_SIZE) {
    const view = dataView(state);
    const used = state.length >= AVX_COMPONENT.offset + AVX_COMPONENT.size ? 7n : 3n;
    view.setBigUint64(XSAVE_HEADER.offset, view.getBigUint64(XSAVE_HEADER.offset, true) | used, true);
  }
  return state;
}
