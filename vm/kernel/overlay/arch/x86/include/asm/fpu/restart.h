/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_X86_FPU_RESTART_H
#define _ASM_X86_FPU_RESTART_H

#include <linux/types.h>

bool fpu_restart_valid(const void *buf);
void fpu_restart(const void *buf, unsigned int size);

#endif /* _ASM_X86_FPU_RESTART_H */
