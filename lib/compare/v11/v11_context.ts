// SPDX-License-Identifier: MIT

import type { ImageNode, RecordNodeOf } from "../../image/nodes.ts";
import type { Judge } from "../judge.ts";
import type { ExpectedSegments } from "./expected_segments.ts";
import type { ExpectedV11Vma } from "./expected_vmas.ts";
import type { CheckpointCall, V11Manifest } from "./manifest.ts";

/** Where an image of a refused call ends. */
export type Cut =
  | { readonly kind: "none" }
  | { readonly kind: "empty"; readonly why: string }
  /** Before the record of a VMA; `index` undefined where the manifest does not tell which. */
  | { readonly kind: "beforeVma"; readonly index: number | undefined; readonly why: string }
  /** After the record of a VMA, before its name. */
  | { readonly kind: "afterVma"; readonly index: number | undefined; readonly why: string }
  | { readonly kind: "anywhere"; readonly why: string };

/** What the parts of an image are compared with. */
export interface V11Context {
  readonly judge: Judge;
  readonly manifest: V11Manifest;
  readonly call: CheckpointCall | undefined;
  readonly vmas: readonly ExpectedV11Vma[];
  readonly segments: ExpectedSegments;
  readonly cut: Cut;
  /** All parts of the image: some fields are checked against what comes later. */
  readonly nodes: readonly ImageNode[];
  /** HEAD, once it was seen. */
  head: RecordNodeOf<"HEAD"> | undefined;
  /** MM, once it was seen. */
  mm: RecordNodeOf<"MM"> | undefined;
}
