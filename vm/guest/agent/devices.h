// SPDX-License-Identifier: MIT
// Device files by hand, for kernels without devtmpfs (before 2.6.32, or configured so).
#ifndef CKPTEST_DEVICES_H
#define CKPTEST_DEVICES_H

// Makes in /dev what the kernel lists in /sys, or in any case the few that the agent itself needs.
void devices_make(void);

#endif
