// SPDX-License-Identifier: MIT
// The target program: carries out the ops that it reads from descriptor 3, one after the other. What it
// does to its own address space is what the ops say, plus its own few pages (stack, data), which are judged
// by observation.

#include "target.h"

#include <linux/fs.h>

#define OPS_AT_ONCE 32

u8 target_scratch[SCRATCH_BYTES] __attribute__((aligned(4096)));

static u64 slots[SLOT_COUNT];

// Where the next op starts in the program. Read with pread, so that forks do not share it.
static u64 position;

// The join at which this process ends, as a child that runs a part of the program.
static bool ends_at_join;
static u64 end_id;

void target_die(int code)
{
	SYS(exit_group, code);
	__builtin_unreachable();
}

void target_append(s64 value)
{
	if (SYS(write, RESULTS_FD, &value, sizeof(value)) != sizeof(value))
		target_die(DIED_OF_RESULTS);
}

s64 target_result(long result)
{
	return result < 0 && result >= -4095 ? result : (s64)(unsigned long)result;
}

// The next op of the stream, or one with OP_END after its end.
static const struct op *next_op(void)
{
	static const struct op end = { .code = OP_END };
	static struct op window[OPS_AT_ONCE];
	static u64 window_start;
	static u64 window_end;

	if (position < window_start || position + sizeof(struct op) > window_end) {
		long bytes = sys_pread(PROGRAM_FD, window, sizeof(window), position);

		if (bytes == 0)
			return &end;
		if (bytes < (long)sizeof(struct op))
			target_die(DIED_OF_STREAM);
		window_start = position;
		window_end = position + (u64)bytes;
	}
	const struct op *op = (const void *)((const u8 *)window + (size_t)(position - window_start));

	position += sizeof(struct op);
	return op;
}

static u64 argument(const struct op *op, int i)
{
	u64 value = op->a[i];

	if (op->flags >> (8 + i) & 1)
		return slots[value % SLOT_COUNT];
	if (op->flags >> i & 1)
		return (unsigned long)target_scratch + value;
	return value;
}

static void keep(const struct op *op, s64 result)
{
	if (op->flags >> 30 & 1)
		slots[op->flags >> 24 & 63] = (u64)result;
}

static u64 padded(u64 length)
{
	return (length + 7) & ~7ULL;
}

static void copy_data(const struct op *op)
{
	u64 offset = op->a[0];
	u64 length = op->a[1];

	if (length > SCRATCH_BYTES || offset > SCRATCH_BYTES - length)
		target_die(DIED_OF_OP);
	if (sys_pread(PROGRAM_FD, target_scratch + offset, (size_t)length, position) != (long)length)
		target_die(DIED_OF_STREAM);
	position += padded(length);
}

// Goes to the op behind a join; gives the position of the join itself.
static u64 skip_to_join(u64 id)
{
	for (;;) {
		u64 here = position;
		const struct op *op = next_op();

		if (op->code == OP_END)
			target_die(DIED_OF_STREAM);
		if (op->code == OP_DATA)
			position += padded(op->a[1]);
		if (op->code == OP_JOIN && op->a[1] == id)
			return here;
	}
}

// A program that execs itself goes on behind that op. What it must know is kept where neither memory nor
// arguments change by it: in the offset of the program file, as the positions of the next op and of the
// join where it ends.
#define POSITION_UNIT 8
#define POSITION_BITS 22

static s64 run_exec(void)
{
	u64 here = position;
	u64 join = ends_at_join ? skip_to_join(end_id) : 0;

	position = here;
	if ((here / POSITION_UNIT | join / POSITION_UNIT) >> POSITION_BITS != 0)
		return -EFBIG;
	u64 offset = join / POSITION_UNIT << POSITION_BITS | here / POSITION_UNIT;
	s64 error = sys_seek(PROGRAM_FD, offset, SEEK_SET);

	return error < 0 ? error : process_exec();
}

static void go_on_after_exec(void)
{
	s64 offset = sys_seek(PROGRAM_FD, 0, SEEK_CUR);

	if (offset <= 0)
		return;
	sys_seek(PROGRAM_FD, 0, SEEK_SET);
	position = ((u64)offset >> POSITION_BITS) * POSITION_UNIT;
	if (position != 0) {
		ends_at_join = true;
		end_id = next_op()->a[1];
	}
	position = ((u64)offset & ((1ULL << POSITION_BITS) - 1)) * POSITION_UNIT;
	target_append(0);
}

#define SIGNAL_MASK 0xff

// The child's pid is the result in each mode; the process that goes on with the program appends it.
static s64 run_fork(const struct op *op)
{
	u64 mode = argument(op, 0);
	u64 id = op->a[1];

	if (mode == FORK_PARENT)
		return process_fork_bystander();
	if (mode != FORK_CHILD && mode != FORK_RUN)
		target_die(DIED_OF_OP);
	u64 signal = argument(op, 2);
	long child = signal != 0 ? SYS(clone, signal & SIGNAL_MASK, 0, 0, 0, 0) : SYS(fork);

	if (child == 0) {
		if (mode == FORK_RUN) {
			ends_at_join = true;
			end_id = id;
		}
		return SYS(getpid);
	}
	if (child > 0 && mode == FORK_CHILD)
		process_end_like(child);
	if (child > 0)
		sys_wait(child, NULL, 0);
	else
		target_append(child);
	if (mode == FORK_RUN)
		skip_to_join(id);
	keep(op, child);
	return 0;
}

static s64 run_syscall(const struct op *op)
{
	long a[7];

	for (int i = 0; i < 7; i++)
		a[i] = (long)argument(op, i);
	if (op->code == OP_SYSCALL32)
		return process_syscall32(a);
	return target_result(sys_call(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

// Carries an op out. True when it has a result, which is to be kept and appended.
static bool run(const struct op *op, s64 *result)
{
	u64 first = argument(op, 0);
	u64 second = argument(op, 1);

	switch (op->code) {
	case OP_SYSCALL:
	case OP_SYSCALL32:
		*result = run_syscall(op);
		return true;
	case OP_AUXV:
		*result = process_auxiliary(first) + (s64)second;
		return true;
	case OP_VDSO:
		*result = process_use_vdso();
		return true;
	case OP_EXEC:
		// On success the new program appends the result.
		*result = run_exec();
		return true;
	case OP_FORK:
		// 0: the parent, whose child has appended the result.
		*result = run_fork(op);
		return *result != 0;
	case OP_LAR:
		*result = segment_access_rights((u32)first);
		return true;
	case OP_WRBASE:
		*result = segment_load_base(first, second);
		return true;
	case OP_CORE:
		*result = process_dump_core();
		return true;
	case OP_LSL:
		*result = segment_limit((u32)first);
		return true;
	case OP_SEGLOAD:
		*result = segment_load((u32)first, second, argument(op, 2), argument(op, 3) != 0);
		return true;
	case OP_THREAD:
		*result = process_start_sleeper(first, second);
		return true;
	case OP_CHECK:
		*result = memory_check(first, second, (u32)argument(op, 2), argument(op, 3));
		return true;
	case OP_HASH:
		*result = memory_hash(first, second);
		return true;
	case OP_GETPID:
		*result = SYS(getpid);
		return true;
	case OP_FILL:
		memory_fill(first, second, (u32)argument(op, 2), argument(op, 3));
		return false;
	case OP_READ:
		memory_read(first, second, argument(op, 3));
		return false;
	case OP_ZERO:
		memset((void *)(unsigned long)first, 0, (size_t)second);
		return false;
	case OP_POKE:
		memory_poke(first, second, argument(op, 2));
		return false;
	case OP_DATA:
		copy_data(op);
		return false;
	case OP_JOIN:
		if (ends_at_join && op->a[1] == end_id)
			target_die(0);
		return false;
	case OP_STOP:
		target_stop((u32)first, second, (const void *)(unsigned long)argument(op, 2), argument(op, 3));
		return false;
	case OP_EXIT:
		target_die((int)first);
	case OP_END:
		target_die(0);
	case OP_SWITCH:
		process_switch(first);
		return false;
	case OP_REPORT:
		memory_report(first, second);
		return false;
	default:
		target_die(DIED_OF_OP);
	}
}

__attribute__((noreturn)) void start(const unsigned long *stack);

void start(const unsigned long *stack)
{
	process_start(stack);
	go_on_after_exec();
	target_run();
}

void target_run(void)
{
	for (;;) {
		// A copy, since what runs may read on in the stream.
		struct op op = *next_op();
		s64 result;

		if (!run(&op, &result))
			continue;
		keep(&op, result);
		target_append(result);
	}
}
