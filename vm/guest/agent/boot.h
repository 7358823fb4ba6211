// SPDX-License-Identifier: MIT
// From the kernel's first jump to a guest that answers.
#ifndef CKPTEST_BOOT_H
#define CKPTEST_BOOT_H

#include "../common/types.h"

#define WORK_DIRECTORY "/work"
#define RUN_DIRECTORY "/run/ckptest"
#define PROGRAM_PATH RUN_DIRECTORY "/program"
#define RESULTS_PATH RUN_DIRECTORY "/results"
#define IMAGE_PATH RUN_DIRECTORY "/image"

// Standard descriptors, and the file systems that everything else needs.
void boot_mount_all(void);

// Finds the two ports by name and opens them.
void boot_open_ports(int *control, int *data);

// Opens the serial line that stands for both ports where the kernel has no virtio.
int boot_open_serial(void);

// A fresh, empty tmpfs in place of the directory's old one.
void boot_empty_work(void);
void boot_empty_run(void);

// Says who is there.
void boot_say_hello(void);

#ifdef CKPTEST_HOST_TEST
// In place of a boot: own namespaces with `root` as the root directory, and unix sockets as the ports.
void boot_on_host(char **arguments, int *control, int *data);
#endif

#endif
