// SPDX-License-Identifier: MIT

/** Kernel series that the port has hooks and options for, and that Debian has the source of. */
export const PORTED_SERIES = ["5.10", "6.1", "6.12"] as const;

/** One of {@linkcode PORTED_SERIES}. */
export type PortedSeries = (typeof PORTED_SERIES)[number];

/** The series that is meant where none is named. */
export const DEFAULT_SERIES: PortedSeries = "6.1";
