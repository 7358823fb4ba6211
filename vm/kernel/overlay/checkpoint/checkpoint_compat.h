/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that this code is kept for, in one place.
 * This is the one for 6.1.
 */
#ifndef _CHECKPOINT_COMPAT_H
#define _CHECKPOINT_COMPAT_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched.h>

/* the file behind a struct fd */
#define cr_fd_file(f)		((f).file)

/* raw scheduler state of a task */
#define cr_task_state(t)	READ_ONCE((t)->__state)

/* path by which user space knows a mapped file */
#define cr_file_path(file)	(&(file)->f_path)

/* vfs_iter_write() leaves protection against freezing to its caller */
#define cr_file_start_write(file)	file_start_write(file)
#define cr_file_end_write(file)		file_end_write(file)

#endif /* _CHECKPOINT_COMPAT_H */
