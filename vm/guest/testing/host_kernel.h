// SPDX-License-Identifier: MIT
#ifndef CKPTEST_HOST_KERNEL_H
#define CKPTEST_HOST_KERNEL_H

// From now on this process is answered as by Linux 2.6.28.
void old_kernel_start(void);
// From now on an LDT is read with another limit in its second entry.
void wrong_ldt_start(void);

#endif
