// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { buildImage } from "../image/build_image.ts";
import { readImage } from "../image/image.ts";
import { checkImage } from "../image/rules.ts";
import { buildPredictedImage } from "./predicted_image.ts";
import { predictedBytes, type StopPrediction } from "./predict_stop.ts";
import type { Step } from "./scenario.ts";
import { I386, predictSteps, X86_64 } from "./testing/compile_steps.ts";

const STEPS: readonly Step[] = [
  { op: "mmap", area: "a", pages: 5, prot: "rw" },
  { op: "write", area: "a", pages: "1,3" },
  { op: "modify_ldt", entries: "7", base: 0x7000, limit: 0xfff, flags: ["32bit"] },
  { op: "set_thread_area", entry: -1, base: 4096, limit: 9, flags: ["32bit"] },
  { op: "registers", values: { dx: "0x1234", ymm1: `0x${"5a".repeat(32)}` } },
];

/** What an image has of a prediction. */
function foundIn(bytes: Uint8Array, { areas, pages, registers }: StopPrediction): unknown {
  const [task] = readImage(bytes).tasks;
  const { cpu, xstate, ldt, tls, vmas } = task!;
  const starts = areas.map(({ start }) => BigInt(start) << 12n);
  const nodes = vmas.filter(({ record }) => starts.includes(record.fields.vm_start))
    .flatMap(({ chunks }) => chunks.flatMap(({ pages }) => pages ?? []));
  return {
    ldt: ldt?.bytes,
    tls: tls?.bytes,
    pages: nodes.flatMap(({ vaddrs, pages }) =>
      [...vaddrs].map((at, i) => [at, pages.subarray(4096 * i, 4096 * i + 4096)])
    ),
    areas: vmas.filter(({ record }) => starts.includes(record.fields.vm_start)).map(({ record }) =>
      record.fields.vm_end
    ),
    registers: [...registers.general.keys()].map((name) => cpu.fields[name]),
    xstate: registers.xstate.map(({ offset, bytes }) =>
      xstate?.bytes.subarray(offset, offset + bytes.length)
    ),
    counted: pages.size === nodes.reduce((sum, { vaddrs }) => sum + vaddrs.length, 0),
  };
}

Deno.test("buildPredictedImage() gives an image that breaks no rule, and has what the steps made", () => {
  for (const target of [X86_64, I386, { ...X86_64, targetWordSize: 4 as const }]) {
    for (const series of ["5.10", "6.1", "6.12"] as const) {
      const prediction = predictSteps(STEPS, { target });
      const bytes = buildPredictedImage(prediction, { target, series });
      assertEquals(checkImage(bytes), []);
      assertEquals(foundIn(bytes, prediction), {
        ldt: prediction.ldt,
        tls: prediction.tls,
        pages: [...prediction.pages].map(([page, one]) => [BigInt(page) << 12n, predictedBytes(one)]),
        areas: prediction.areas.map(({ end }) => BigInt(end) << 12n),
        registers: [...prediction.registers.general.values()],
        xstate: prediction.registers.xstate.map(({ bytes }) => bytes),
        counted: true,
      });
    }
  }
});

Deno.test("buildPredictedImage() puts its program where no area is", () => {
  const [area] = predictSteps(STEPS).areas;
  const areas = [[16, 17], [18, 40], [42, 50]].map(([start, end]) => ({
    ...area!,
    start: start!,
    end: end!,
  }));
  const prediction = { ...predictSteps([]), areas };
  const { tasks: [task] } = readImage(buildPredictedImage(prediction, { target: X86_64, series: "6.1" }));
  assertEquals(task!.cpu.fields.ip, 40n << 12n);
  assertEquals(task!.vmas.map(({ record }) => Number(record.fields.vm_start >> 12n)), [16, 18, 40, 41, 42]);
});

Deno.test("buildPredictedImage() takes kernel and FPU state from another image", () => {
  const model = readImage(buildImage({ head: { patch: 176, time: 5n } }));
  const options = { target: X86_64, series: "6.1" } as const;
  const like = readImage(buildPredictedImage(predictSteps([]), { ...options, like: model }));
  assertEquals(like.head.fields, model.head.fields);
  assertEquals(like.tasks[0]!.xstate!.bytes, model.tasks[0]!.xstate!.bytes);
});
