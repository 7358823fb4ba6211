// SPDX-License-Identifier: MIT
// The target: an interpreter of ops. The stream's other statement is vm/agent/target_program.ts.
#ifndef CKPTEST_TARGET_H
#define CKPTEST_TARGET_H

#include "../common/common.h"

enum {
	OP_END = 0,
	OP_SYSCALL = 1,
	OP_FILL = 2,
	OP_READ = 3,
	OP_ZERO = 4,
	OP_POKE = 5,
	OP_DATA = 6,
	OP_FORK = 7,
	OP_JOIN = 8,
	OP_STOP = 9,
	OP_EXIT = 10,
	OP_REPORT = 11,
	OP_LAR = 12,
	OP_LSL = 13,
	OP_SEGLOAD = 14,
	OP_THREAD = 15,
	OP_CHECK = 16,
	OP_HASH = 17,
	OP_GETPID = 18,
	OP_SYSCALL32 = 19,
	OP_AUXV = 20,
	OP_EXEC = 21,
	OP_VDSO = 22,
	OP_WRBASE = 23,
	OP_CORE = 24,
	OP_SWITCH = 40,
};

enum { FORK_CHILD = 0, FORK_PARENT = 1, FORK_RUN = 2 };

// Exit statuses of an interpreter that cannot go on.
enum {
	DIED_OF_OP = 120,
	DIED_OF_STREAM = 121,
	DIED_OF_RESULTS = 122,
	DIED_OF_EVENT = 123,
	DIED_OF_RESTART = 124,
	DIED_OF_CHANGE = 125,
	DIED_OF_CALL = 126,
};

// RESTARTED_FD: where this process is told what to become.
enum { PROGRAM_FD = 3, RESULTS_FD = 4, EVENT_FD = 5, IMAGE_FD = 6, RESTARTED_FD = 7 };

#define SCRATCH_BYTES (256UL << 10)
#define SLOT_COUNT 64

struct op {
	u32 code;
	// Bits 0 to 6: a[i] is relative to the scratch memory. Bits 8 to 14: a[i] is a slot's number.
	// Bits 24 to 29: the slot that keeps the result, if bit 30 is set.
	u32 flags;
	u64 a[7];
};

extern u8 target_scratch[SCRATCH_BYTES];

__attribute__((noreturn)) void target_die(int code);

// Carries out the rest of the program.
__attribute__((noreturn)) void target_run(void);

// Appends one number to the results file.
void target_append(s64 value);

// A system call's result: a value as it is, an error negative, with either word size.
s64 target_result(long result);

// memory.c. Addresses are of this process; `stride` is in pages.
void memory_fill(u64 address, u64 pages, u32 seed, u64 stride);
s64 memory_check(u64 address, u64 pages, u32 seed, u64 stride);
void memory_read(u64 address, u64 pages, u64 stride);
void memory_poke(u64 address, u64 length, u64 value);
s64 memory_hash(u64 address, u64 length);
void memory_report(u64 address, u64 length);

// process.c.
s64 process_fork_bystander(void);
enum { THREAD_PLAIN = 0, THREAD_PROCESS = 1, THREAD_LEADERLESS = 2, THREAD_CALLS = 3 };
s64 process_start_sleeper(u64 kind, u64 nr);
// The child continues at `function` on a stack of its own, which ends below `stack`, and never comes back.
long process_clone(unsigned long flags, void *stack, void (*function)(void));
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
__attribute__((noreturn)) void process_end_like(long child);
// How a child ends that is to dump core: its wait status.
s64 process_dump_core(void);
// So many waits for a thread: switches of tasks.
void process_switch(u64 times);
// A call by the 32-bit table, which a 64-bit program may use too; pointers must be below 4 GiB.
s64 process_syscall32(const long numbers[7]);
// 1: the vdso is there, and what calls go through it come back.
s64 process_use_vdso(void);
// Replaces this process by a fresh one of the same program. Returns only when that failed.
s64 process_exec(void);
// Keeps the kernel's words to a new program: arguments, environment, auxiliary vector.
void process_start(const unsigned long *stack);
// An entry of the auxiliary vector, or -ENOENT.
s64 process_auxiliary(u64 type);

// race.c: what the target does in place of a program when its first argument is "executes", "stops" or "large".
void race_run(char *const *arguments, char *const *environment);

// restart.c: what the target does in place of a program when its first argument is "restart".
__attribute__((noreturn)) void restart_run(char *const *arguments);

// segment.c. Where a fault goes on, with the signal's negative number as the result; 0: it ends the
// process.
extern unsigned long segment_recovery;
void segment_catch_faults(void);
// What was said of signals before is so again.
void segment_release_faults(void);
s64 segment_access_rights(u32 selector);
s64 segment_limit(u32 selector);
s64 segment_load(u32 selector, u64 which, u64 offset, bool access);
// Loads the base of FS (0) or GS (1) by an instruction, which takes any that is canonical. -ENOSYS without it.
s64 segment_load_base(u64 which, u64 base);

// stop.c: tells the agent, then stops this process, or goes on in a way of busy.c. `block` may be NULL.
void target_stop(u32 label, u64 kill_nr, const void *block, u64 busy);

// busy.c. The release word is cleared before the agent hears of it.
enum { BUSY_NOT = 0, BUSY_RUNNING = 1, BUSY_SLEEPING = 2, BUSY_VFORK = 3, BUSY_EXITED_LEADER = 4 };
void busy_prepare(void);
void busy_wait(u64 how);

#endif
