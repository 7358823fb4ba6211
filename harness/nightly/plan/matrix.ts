// SPDX-License-Identifier: MIT

import type { KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";

/** Debian's kernels that a matrix may name. */
export const DEBIAN_SERIES = ["5.10", "6.1", "6.12"] as const;

/** Names of platforms in a matrix: the architecture of the kernel, or `compat`. */
export const MATRIX_PLATFORMS = ["x86_64", "i386", "i386-pae", "compat"] as const;

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
  readonly platforms: readonly MatrixPlatform[];
  readonly flavours: readonly KernelFlavour[];
  readonly suites: readonly MatrixSuite[];
  /** After so many seconds a job is ended. */
  readonly deadlineSeconds: number;
}

/** One of {@linkcode MATRIX_PLATFORMS}. */
export type MatrixPlatform = typeof MATRIX_PLATFORMS[number];

/** A kernel, and what jobs call it. */
export type MatrixKernel =
  & { readonly name: string }
  & (
    | { readonly kind: "debian"; readonly series: string }
    | { readonly kind: "git"; readonly repository: string; readonly ref: string }
    | { readonly kind: "directory"; readonly path: string }
    | { readonly kind: "file"; readonly path: string }
  );

/** A suite with its options. */
export type MatrixSuite =
  | { readonly kind: "catalogue" | "faults"; readonly filter: readonly string[] }
  | { readonly kind: "fuzz"; readonly count: number; readonly seed: number }
  | { readonly kind: "mutants" | "corruptions" };

/** The kinds of {@linkcode MatrixSuite}. */
export const SUITES = ["catalogue", "faults", "fuzz", "mutants", "corruptions"] as const;

/** Jobs to be left out: those on which all that is given fits. */
export interface MatrixExclude {
  readonly kernel?: string;
  readonly platform?: string;
  readonly flavour?: string;
  readonly suite?: string;
}
