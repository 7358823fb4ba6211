// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { kernelSeries } from "./series.ts";

Deno.test("kernelSeries() knows the kernels that there are tables of", () => {
  assertEquals([kernelSeries(2, 6, 28), kernelSeries(6, 1, 192), kernelSeries(6, 12, 0)], [
    "2.6.28",
    "6.1",
    "6.12",
  ]);
  assertEquals([kernelSeries(2, 6, 29), kernelSeries(6, 6, 1)], [undefined, undefined]);
});
