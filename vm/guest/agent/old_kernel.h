// SPDX-License-Identifier: MIT
#ifndef CKPTEST_OLD_KERNEL_H
#define CKPTEST_OLD_KERNEL_H

// From now on this process is answered as by Linux 2.6.28.
void old_kernel_start(void);

#endif
