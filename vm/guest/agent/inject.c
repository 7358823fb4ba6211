// SPDX-License-Identifier: MIT
// System calls that a stopped process is made to carry out, for what no other interface tells of it: its break, its
// LDT, and what it does about signals. Nothing of it is to be seen afterwards. The instruction that enters the kernel
// lies right before the one that it returns to, or, when it is stopped outside of a system call, somewhere in what it
// may execute. Its registers are put back, and with them the call that is to be restarted. Signals wait, all but
// SIGKILL and SIGSTOP. Answers go through a mapping of its own, a shared one, which joins no neighbour and needs no
// page of the process.
#include "agent.h"

#include <asm/ptrace-abi.h>
#include <asm/signal.h>
#include <linux/mman.h>
#include <linux/ptrace.h>
#include <linux/wait.h>

#define LDT_BYTES 65536
// What one page table maps, at most: one that maps nothing else goes with the mapping.
#define TABLE_SPAN (4UL << 20)
#define LDT_ENTRY_BYTES 8
// In the upper half of an entry: what LAR shows of it, and whether its limit counts pages.
#define RIGHTS 0x00f0ff00u
#define GRANULARITY (1u << 23)
// Entries that are held against LAR and LSL.
#define MAX_CHECKED 32
#define LONGEST_WAIT_MS 500
#define EAGER_LOOKS 100
#define KERNEL_SIGSET_BYTES 8
#define TRAP_FLAG 0x100
#define UNBLOCKABLE (1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1))
// Linux 6.4: include/uapi/linux/ptrace.h.
#define GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
// Linux 5.13, and in struct rseq, whose first version has 32 bytes, the place of rseq_cs.
#define GET_RSEQ_CONFIGURATION 0x420f
#define RSEQ_BYTES 32
#define RSEQ_CS_OFFSET 8

// Places in what PTRACE_GETREGS gives.
#ifdef __x86_64__
enum {
	AT_BP = 4, AT_BX, AT_R11, AT_R10, AT_R9, AT_R8, AT_AX, AT_CX, AT_DX, AT_SI, AT_DI, AT_ORIG_AX, AT_IP, AT_CS,
	AT_FLAGS, AT_SS = 20, REGISTERS = 27,
};
static const u8 CHANGED[] = {
	AT_BP, AT_BX, AT_R11, AT_R10, AT_R9, AT_R8, AT_AX, AT_CX, AT_DX, AT_SI, AT_DI, AT_ORIG_AX, AT_IP, AT_FLAGS,
	AT_SS,
};
#else
enum { AT_BX, AT_CX, AT_DX, AT_SI, AT_DI, AT_BP, AT_AX, AT_ORIG_AX = 11, AT_IP, AT_CS, AT_FLAGS, REGISTERS = 17 };
static const u8 CHANGED[] = { AT_BX, AT_CX, AT_DX, AT_SI, AT_DI, AT_BP, AT_AX, AT_ORIG_AX, AT_IP, AT_FLAGS };
#endif

// A way into the kernel: code segment, instruction, numbers of system calls and registers of their arguments.
struct entry {
	u16 cs;
	u8 code[2];
	u16 brk, mmap, munmap, modify_ldt, sigaltstack, rt_sigaction;
	u8 arguments[6];
};

static const struct entry ENTRIES[] = {
#ifdef __x86_64__
	{ 0x33, { 0x0f, 0x05 }, 12, 9, 11, 154, 131, 13, { AT_DI, AT_SI, AT_DX, AT_R10, AT_R8, AT_R9 } },
#endif
	// On a 64-bit kernel, and on a 32-bit one.
	{ 0x23, { 0xcd, 0x80 }, 45, 192, 91, 123, 186, 174, { AT_BX, AT_CX, AT_DX, AT_SI, AT_DI, AT_BP } },
	{ 0x73, { 0xcd, 0x80 }, 45, 192, 91, 123, 186, 174, { AT_BX, AT_CX, AT_DX, AT_SI, AT_DI, AT_BP } },
};

struct injection {
	int pid;
	int memory;
	const struct entry *entry;
	u64 code_at;
	unsigned long registers[REGISTERS];
	// Where the kernel tells the process on which processor it is, each time that it goes on; 0: nowhere.
	u64 rseq_at;
	unsigned long rseq[RSEQ_BYTES / sizeof(long)];
	// Whose actions it is to tell, one bit for each signal; NEVER: nothing of signals.
	u64 signals;
	// A signal that came in spite of all, for when the process goes on.
	int signal;
};

// Where the process may execute an instruction without having a page brought in for that; 0: nowhere.
static u64 find_code(const struct injection *injection, const u8 code[2])
{
	int pagemap = (int)proc_open(injection->pid, "pagemap");
	u8 *page = channel_buffer;
	struct mapping mapping;
	const char *maps;
	u64 found = 0;
	long more = proc_maps(injection->pid, &maps);

	while (more >= 0 && found == 0 && (more = maps_next(&maps, &mapping)) > 0) {
		u64 end = mapping.is_executable ? mapping.end : 0;

		for (u64 at = mapping.start; found == 0 && at < end; at += PAGE_BYTES) {
			u64 entry = 0;

			sys_pread(pagemap, &entry, sizeof(entry), at / PAGE_BYTES * sizeof(entry));
			if (entry >> 63 == 0 ||
			    sys_pread(injection->memory, page, PAGE_BYTES, at) != (long)PAGE_BYTES)
				continue;
			for (size_t i = 0; i + 1 < PAGE_BYTES && found == 0; i++)
				if (page[i] == code[0] && page[i + 1] == code[1])
					found = at + i;
		}
	}
	sys_close(pagemap);
	return found;
}

// Whether the process is, or was last, in a critical section (rseq), which it forgets when it goes on elsewhere. A
// kernel that does not tell is believed to have none: that harms nobody where the only thread is stopped.
static bool is_critical(struct injection *injection)
{
	u64 configuration[3] = { 0 };
	u64 section = 0;

	SYS(ptrace, GET_RSEQ_CONFIGURATION, injection->pid, sizeof(configuration), configuration);
	if (configuration[0] != 0 &&
	    sys_pread(injection->memory, injection->rseq, RSEQ_BYTES, configuration[0]) == RSEQ_BYTES)
		injection->rseq_at = configuration[0];
	memcpy(&section, (u8 *)injection->rseq + RSEQ_CS_OFFSET, sizeof(section));
	return section != 0;
}

static const struct entry *find_entry(struct injection *injection)
{
	const unsigned long *registers = injection->registers;
	bool is_in_call = (long)registers[AT_ORIG_AX] >= 0;
	u8 code[2] = { 0 };

	if (is_critical(injection))
		return NULL;
	injection->code_at = registers[AT_IP] - sizeof(code);
	if (is_in_call)
		sys_pread(injection->memory, code, sizeof(code), injection->code_at);
	for (size_t i = 0; i < ARRAY_SIZE(ENTRIES); i++) {
		if (ENTRIES[i].cs != registers[AT_CS])
			continue;
		if (!is_in_call)
			injection->code_at = find_code(injection, ENTRIES[i].code);
		if (is_in_call ? memcmp(ENTRIES[i].code, code, sizeof(code)) == 0 : injection->code_at != 0)
			return &ENTRIES[i];
	}
	return NULL;
}

// Whether a call can be made without a trace: no filter sees it, nothing traps it, and the mask of signals, which takes
// the place of one that is put back at the end of a call, can be put back.
static bool is_possible(const struct injection *injection, u64 mask)
{
	char status[4096];
	u64 dispatch[4] = { 0 };
	unsigned long dr7 = ~0UL;

	if (proc_read(injection->pid, "status", status, sizeof(status)) < 0)
		return false;
	u64 pending = proc_status_number(status, "\nSigPnd:\t") | proc_status_number(status, "\nShdPnd:\t");

	SYS(ptrace, GET_SYSCALL_USER_DISPATCH_CONFIG, injection->pid, sizeof(dispatch), dispatch);
	SYS(ptrace, PTRACE_PEEKUSR, injection->pid, DEBUG_REGISTERS_OFFSET + 7 * sizeof(long), &dr7);
	return proc_status_number(status, "\nSeccomp:\t") == 0 && proc_status_number(status, "\nSigBlk:\t") == mask &&
		(pending & UNBLOCKABLE) == 0 && dispatch[0] == 0 && (dr7 & 0xff) == 0 &&
		(injection->registers[AT_FLAGS] & TRAP_FLAG) == 0;
}

static long put_registers(const struct injection *injection, const unsigned long *registers)
{
	for (size_t i = 0; i < ARRAY_SIZE(CHANGED); i++) {
		long error = SYS(ptrace, PTRACE_POKEUSR, injection->pid, CHANGED[i] * sizeof(long),
				 registers[CHANGED[i]]);

		if (error < 0)
			return error;
	}
	return 0;
}

// Lets the process go on to the begin, or the end, of a system call. One that a cgroup has frozen gets nowhere, and is
// then stopped again where it was.
static long go_to_call(struct injection *injection)
{
	bool is_late = false;

	for (;;) {
		long error = SYS(ptrace, is_late ? PTRACE_INTERRUPT : PTRACE_SYSCALL, injection->pid, 0, 0);
		int status = 0;

		for (int ms = 0; error == 0; ms++) {
			error = sys_wait(injection->pid, &status, is_late ? 0 : WNOHANG);
			if (error != 0 || ms == LONGEST_WAIT_MS)
				break;
			if (ms < EAGER_LOOKS)
				SYS(sched_yield);
			else
				sys_sleep_ms(1);
		}
		if (error == 0) {
			is_late = true;
			continue;
		}
		if (error < 0 || (status & 0xff) != 0x7f)
			return error < 0 ? error : -ESRCH;
		if (status >> 8 == (SIGTRAP | 0x80))
			return 0;
		if (status >> 16 != PTRACE_EVENT_STOP) {
			injection->signal = status >> 8 & 0xff;
			return -EINTR;
		}
		// One that was stopped traps once more for that, and has not moved then.
		if (is_late)
			return -EAGAIN;
	}
}

// Has the process go on from `registers` to a call and through it; gives what it has in its registers then, or the
// error that kept it from that.
static long run_through_call(struct injection *injection, unsigned long *registers)
{
	registers[AT_ORIG_AX] = ~0UL;
	long error = put_registers(injection, registers);

	if (error >= 0)
		error = go_to_call(injection);
	if (error >= 0)
		error = go_to_call(injection);
	return error < 0 ? error : SYS(ptrace, PTRACE_GETREGS, injection->pid, 0, registers);
}

// Makes a call, and gives what the process finds in its register, or the error that kept it from being made.
static long make_call(struct injection *injection, u16 nr, const unsigned long arguments[6], unsigned long *result)
{
	unsigned long registers[REGISTERS];

	memcpy(registers, injection->registers, sizeof(registers));
	registers[AT_AX] = nr;
	registers[AT_IP] = (unsigned long)injection->code_at;
	for (int i = 0; i < 6; i++)
		registers[injection->entry->arguments[i]] = arguments[i];
	long error = run_through_call(injection, registers);

	*result = injection->entry->code[0] == 0xcd ? (u32)registers[AT_AX] : registers[AT_AX];
	return error;
}

#define CALL(injection, name, result, ...) \
	make_call(injection, (injection)->entry->name, (const unsigned long[6]){ __VA_ARGS__ }, result)

// The entries up to the last one that is not empty; of an LDT with none, the first.
static void send_ldt(const u8 *bytes)
{
	size_t length = LDT_BYTES;

	while (length > 1 && bytes[length - 1] == 0)
		length--;
	blob_of("ldt", bytes, (length + LDT_ENTRY_BYTES - 1) / LDT_ENTRY_BYTES * LDT_ENTRY_BYTES);
}

// Holds entries that are set against what the processor says of them to the process, by LAR and LSL at an address where
// it may execute what is written there. They leave no number of a call in eax: rights are larger, and -1 stays where
// there are none.
static long check_ldt(struct injection *injection, const u8 *ldt, unsigned long at)
{
	const u8 *call = injection->entry->code;
	// lar %ecx, %eax; lsl %ecx, %edx; the call
	const u8 code[8] = { 0x0f, 0x02, 0xc1, 0x0f, 0x03, 0xd1, call[0], call[1] };
	unsigned long words[sizeof(code) / sizeof(long)];
	long error = 0;

	memcpy(words, code, sizeof(code));
	for (size_t i = 0; error >= 0 && i < ARRAY_SIZE(words); i++)
		error = SYS(ptrace, PTRACE_POKEDATA, injection->pid, at + i * sizeof(long), words[i]);
	for (u32 i = 0, checked = 0; error >= 0 && i < LDT_BYTES / LDT_ENTRY_BYTES && checked < MAX_CHECKED; i++) {
		unsigned long registers[REGISTERS];
		u32 entry[2];

		memcpy(entry, ldt + i * LDT_ENTRY_BYTES, sizeof(entry));
		if (entry[0] == 0 && entry[1] == 0)
			continue;
		checked++;
		memcpy(registers, injection->registers, sizeof(registers));
		registers[AT_AX] = registers[AT_DX] = ~0UL;
		registers[AT_CX] = i << 3 | 7;
		registers[AT_IP] = at;
		error = run_through_call(injection, registers);
		u32 limit = (entry[0] & 0xffff) | (entry[1] & 0xf0000);

		if (entry[1] & GRANULARITY)
			limit = limit << 12 | 0xfff;
		u32 rights = (u32)registers[AT_ORIG_AX];
		u32 said = (u32)registers[AT_DX];

		if (error >= 0 && (((rights ^ entry[1]) & RIGHTS) != 0 || said != limit))
			error = failed(-EIO, "entry %u of the LDT is %08x%08x: LAR and LSL say %x %x", i, entry[1],
				       entry[0], rights, said);
	}
	return error;
}

// Makes calls with a buffer of the process, which is gone afterwards.
static long with_buffer(struct injection *injection, long (*calls)(struct injection *, unsigned long buffer))
{
	unsigned long result;
	unsigned long at;
	long error = CALL(injection, mmap, &at, 0, 2 * TABLE_SPAN, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, ~0UL, 0);

	// Without memory, or beyond its limits: then it is not told.
	if (error < 0 || at % PAGE_BYTES != 0)
		return error;
	error = calls(injection, (at + TABLE_SPAN - 1) & -TABLE_SPAN);
	long unmapped = CALL(injection, munmap, &result, at, 2 * TABLE_SPAN);

	if (unmapped >= 0 && result != 0)
		unmapped = (s32)result;
	return error < 0 ? error : unmapped;
}

static long read_ldt_entries(struct injection *injection, unsigned long buffer)
{
	unsigned long result;
	long error = CALL(injection, modify_ldt, &result, 0, buffer, LDT_BYTES);

	if (error < 0 || (s32)result <= 0 ||
	    sys_pread(injection->memory, channel_buffer, LDT_BYTES, buffer) != LDT_BYTES)
		return error;
	send_ldt(channel_buffer);
	return check_ldt(injection, channel_buffer, buffer);
}

static long read_ldt(struct injection *injection)
{
	unsigned long result;
	// An address that cannot be: only where there is an LDT does the kernel try it.
	long error = CALL(injection, modify_ldt, &result, 0, ~0UL, LDT_ENTRY_BYTES);

	if (error < 0)
		return error;
	if (result == 0)
		blob_of("ldt", "", 0);
	return (s32)result == -EFAULT ? with_buffer(injection, read_ldt_entries) : 0;
}

// The stack for signals, and the actions of those that were asked for, each behind its number: structs of the process's
// word size.
static long read_actions(struct injection *injection, unsigned long buffer)
{
	bool is_wide = injection->entry->code[0] != 0xcd;
	size_t size = is_wide ? 32 : 20;
	unsigned long result;
	u8 *bytes = channel_buffer;
	long error = CALL(injection, sigaltstack, &result, 0, buffer);

	if (error < 0 || result != 0)
		return error;
	if (sys_pread(injection->memory, bytes, is_wide ? 24 : 12, buffer) < 0)
		return -EIO;
	blob_of("sigaltstack", bytes, is_wide ? 24 : 12);
	for (u32 signal = 1; signal <= KERNEL_SIGSET_BYTES * 8; signal++) {
		if ((injection->signals >> (signal - 1) & 1) == 0)
			continue;
		error = CALL(injection, rt_sigaction, &result, signal, 0, buffer, KERNEL_SIGSET_BYTES);
		if (error < 0)
			return error;
		memcpy(bytes, &signal, sizeof(signal));
		if (result != 0 || sys_pread(injection->memory, bytes + sizeof(signal), size, buffer) != (long)size)
			return -EIO;
		bytes += sizeof(signal) + size;
	}
	blob_of("sigactions", channel_buffer, (u64)(bytes - channel_buffer));
	return 0;
}

static long inject(struct injection *injection)
{
	unsigned long brk;
	long error = CALL(injection, brk, &brk, 0);

	if (error < 0)
		return error;
	u64 told = brk;

	blob_of("brk", &told, sizeof(told));
	error = read_ldt(injection);
	return error >= 0 && injection->signals != NEVER ? with_buffer(injection, read_actions) : error;
}

// Lets the process be as it was. Any error of it is worse than one before.
static long undo(const struct injection *injection, const u64 *mask)
{
	unsigned long registers[REGISTERS];
	long error = put_registers(injection, injection->registers);

	for (size_t i = 0; error >= 0 && injection->rseq_at != 0 && i < ARRAY_SIZE(injection->rseq); i++)
		error = SYS(ptrace, PTRACE_POKEDATA, injection->pid, injection->rseq_at + i * sizeof(long),
			    injection->rseq[i]);
	if (error >= 0)
		error = SYS(ptrace, PTRACE_SETSIGMASK, injection->pid, KERNEL_SIGSET_BYTES, mask);
	if (error >= 0)
		error = SYS(ptrace, PTRACE_SETOPTIONS, injection->pid, 0, 0);
	if (error >= 0)
		error = SYS(ptrace, PTRACE_GETREGS, injection->pid, 0, registers);
	if (error >= 0 && memcmp(registers, injection->registers, sizeof(registers)) != 0)
		error = -EIO;
	return error < 0 ? failed(error, "undoing calls") : 0;
}

long inject_calls(int pid, u64 signals, int *signal)
{
	struct injection injection = { .pid = pid, .memory = (int)proc_open(pid, "mem"), .signals = signals };
	static const u64 all = ~0ULL;
	u64 mask = 0;
	long error = 0;

	// Linux 3.11 brought the mask, after all else that is needed.
	if (injection.memory >= 0 && SYS(ptrace, PTRACE_GETREGS, pid, 0, injection.registers) >= 0 &&
	    SYS(ptrace, PTRACE_GETSIGMASK, pid, KERNEL_SIGSET_BYTES, &mask) >= 0)
		injection.entry = find_entry(&injection);
	if (injection.entry != NULL && is_possible(&injection, mask)) {
		error = SYS(ptrace, PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
		if (error >= 0)
			error = SYS(ptrace, PTRACE_SETSIGMASK, pid, KERNEL_SIGSET_BYTES, &all);
		if (error >= 0)
			error = inject(&injection);
		long undone = undo(&injection, &mask);

		if (error >= 0 || error == -EINTR || error == -EAGAIN)
			error = undone;
	}
	sys_close(injection.memory);
	*signal = injection.signal;
	return error;
}
