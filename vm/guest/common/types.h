// SPDX-License-Identifier: MIT
#ifndef CKPTEST_TYPES_H
#define CKPTEST_TYPES_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define PAGE_BYTES 4096UL
// What a target tells of itself, on its event pipe.
struct event {
	u32 is_busy; // it goes on in place of a stop
	u32 label;
	u64 pid;
	u64 scratch;
	u64 resume_address;
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
