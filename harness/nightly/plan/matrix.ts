// SPDX-License-Identifier: MIT

import type { PlatformName } from "../../../lib/abi/arch.ts";
import type { KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";

/** What a matrix says: which suites on which kernels. */
export interface Matrix {
  /** Where it was read from. */
  readonly path: string;
  /** Digest of what it says; comments do not count. */
  readonly digest: string;
  readonly products: readonly MatrixProduct[];
  readonly exclude: readonly MatrixExclude[];
}

/** Every suite on every flavour of every kernel for every platform. */
export interface MatrixProduct {
  readonly kernels: readonly MatrixKernel[];
  readonly platforms: readonly PlatformName[];
  readonly flavours: readonly KernelFlavour[];
  readonly suites: readonly MatrixSuite[];
  /** After so many seconds a job is ended. */
  readonly deadlineSeconds: number;
}

/** A kernel, and what jobs call it. */
export type MatrixKernel =
  & { readonly name: string }
  & (
    | { readonly kind: "debian"; readonly series: string }
    | { readonly kind: "git"; readonly repository: string; readonly ref: string }
    | { readonly kind: "directory"; readonly path: string }
    | { readonly kind: "file"; readonly path: string }
  );

/** A suite that is a command of ckptest, with its options. */
export type CkptestSuite =
  | { readonly kind: "catalogue" | "faults"; readonly filter: readonly string[] }
  | { readonly kind: "fuzz"; readonly count: number; readonly seed: number };

/** A suite with its options. */
export type MatrixSuite = CkptestSuite | { readonly kind: "mutants" | "corruptions" };

/** The kinds of {@linkcode MatrixSuite}. */
export const SUITES = ["catalogue", "faults", "fuzz", "mutants", "corruptions"] as const;

/** Jobs to be left out: those on which all that is given fits. */
export interface MatrixExclude {
  readonly kernel?: string;
  readonly platform?: string;
  readonly flavour?: string;
  readonly suite?: string;
}
