// SPDX-License-Identifier: MIT
// Lockstep: the guest stands still wherever it needs the host, so that nothing depends on how long the host takes.
// QEMU stops it at a breakpoint of its own, and the host (vm/agent/lockstep.ts) puts what it has to say into memory.
#include "agent.h"

#include <linux/mman.h>

// Where the host has the breakpoint: no program of a guest has anything there.
#define LOCKSTEP_ADDRESS 0x3ff00000UL
// Less than half of what a socket holds for a reader that is late, which counts more than the bytes of a write: a port
// that is full is waited for.
#define MAX_UNREAD 65536UL
#define MAX_WRITE 32768UL
#define WRITE_OVERHEAD 1024UL

static struct {
	// One byte for the breakpoint, behind which the guest goes on, and a return.
	u8 code[64];
	u64 channel;
	u64 address;
	u64 room;
	u64 written;
	u64 given;
} *mailbox;

static size_t unread;

void lockstep_start(void)
{
	static const u8 code[] = { 0x90, 0xc3 };

	mailbox = (void *)SYS(mmap, LOCKSTEP_ADDRESS, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if ((unsigned long)mailbox != LOCKSTEP_ADDRESS)
		fatal("no memory for the lockstep", (long)mailbox);
	memcpy(mailbox->code, code, sizeof(code));
}

bool lockstep_is_on(void)
{
	return mailbox != NULL;
}

static void stand_still(int channel, void *bytes, size_t length)
{
	mailbox->channel = (u64)channel;
	mailbox->address = (unsigned long)bytes;
	mailbox->room = length;
	unread = 0;
	((void (*)(void))(unsigned long)mailbox->code)();
	__asm__ volatile("" ::: "memory");
}

size_t lockstep_read(int channel, void *bytes, size_t length)
{
	volatile u8 *at = bytes;

	// The host writes to what is mapped, whoever else has the page.
	for (size_t i = 0; i < length; i += PAGE_BYTES)
		at[i] = at[i];
	at[length - 1] = at[length - 1];
	stand_still(channel, bytes, length);
	return (size_t)mailbox->given;
}

size_t lockstep_part(size_t length)
{
	return mailbox == NULL || length < MAX_WRITE ? length : MAX_WRITE;
}

void lockstep_wrote(int channel, size_t length)
{
	if (mailbox == NULL || channel != CHANNEL_DATA)
		return;
	mailbox->written += length;
	unread += length + WRITE_OVERHEAD;
	if (unread >= MAX_UNREAD)
		stand_still(channel, NULL, 0);
}
