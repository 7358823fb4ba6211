// SPDX-License-Identifier: MIT

/**
 * Whose code writes the image. `port` is this project's kernel code on Linux 5.10 and later. `v11` is the code as
 * posted in December 2008 on Linux 2.6.28: its known errors, and what that kernel does otherwise, belong to it.
 */
export type Dialect = "port" | "v11";
