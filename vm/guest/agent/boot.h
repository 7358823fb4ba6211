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
// Those of them that commands write to.
void boot_mount_writable(void);

// Finds the two ports by name and opens them.
void boot_open_ports(int *control, int *data);

// Opens the serial line that stands for both ports where the kernel has no virtio.
int boot_open_serial(void);

// A fresh, empty tmpfs in place of the directory's old one.
void boot_empty_work(void);
void boot_empty_run(void);

// Says who is there.
void boot_say_hello(void);

// In tests, in place of a boot: own namespaces with `root` as the root directory, and unix sockets as the ports
// (testing/host_boot.c).
void boot_on_host(const unsigned long *stack, int *control, int *data);

// Kernels hand parameters that they do not know to the first process, as its environment.
bool boot_is_told(const unsigned long *stack, const char *word);

#endif
