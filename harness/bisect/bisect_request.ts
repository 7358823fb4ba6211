// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { PLATFORM_NAMES } from "../../lib/abi/arch.ts";
import { PORTED_SERIES } from "../../lib/abi/series.ts";
import { either, integer, list, object, oneOf, optional } from "../../lib/schema.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";
import { NUMBER, TEXT } from "../run/run_result.ts";

const MAX = 0x7fff_ffff;

const GIT = object({
  kind: oneOf(["git"]),
  /** Absolute path, or URL. */
  repository: TEXT,
  good: TEXT,
  bad: TEXT,
  /** Whether what a merge brought counts as one change. */
  firstParent: v.boolean("true or false"),
});

const PATCHES = object({
  kind: oneOf(["patches"]),
  directory: TEXT,
  base: either(
    "a kernel",
    object({ kind: oneOf(["debian"]), series: oneOf(PORTED_SERIES) }),
    object({ kind: oneOf(["directory"]), path: TEXT }),
  ),
  /** Numbers or file names; by default the first patch with all of the checkpoint code, and the last one. */
  good: optional(TEXT),
  bad: optional(TEXT),
});

/** What a bisect is asked to do. */
export const REQUEST = object({
  /** Where the changes come from. */
  source: either("commits or patches", GIT, PATCHES),
  platform: oneOf(PLATFORM_NAMES),
  flavour: oneOf(KERNEL_FLAVOURS),
  suite: either(
    "a suite",
    object({ kind: oneOf(["catalogue", "faults"]), filter: list(TEXT) }),
    object({ kind: oneOf(["fuzz"]), count: integer(1, MAX), seed: integer(0, MAX) }),
  ),
  confidence: NUMBER,
  maxRuns: NUMBER,
  deadlineSeconds: NUMBER,
});

/** What {@linkcode REQUEST} lets through. */
export type BisectRequest = Readonly<v.InferOutput<typeof REQUEST>>;
/** Where the changes come from. */
export type BisectSource = BisectRequest["source"];
