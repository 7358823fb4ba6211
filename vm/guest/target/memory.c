// SPDX-License-Identifier: MIT
// The target's stores and loads.
#include <linux/uio.h>

#include "target.h"

#define WORDS_PER_PAGE (PAGE_BYTES / 4)
#define STEP 0x9e3779b1u

// The other statement of this function is lib/model/state/page_content.ts.
static u32 mix_seed(u32 seed, u64 address)
{
	u32 x = ((u32)address ^ (u32)(address >> 32) * STEP ^ seed) * 0x85ebca6bu;

	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ x >> 16;
}

void memory_fill(u64 address, u64 pages, u32 seed, u64 stride)
{
	for (u64 k = 0; k < pages; k++, address += stride * PAGE_BYTES) {
		volatile u32 *words = (volatile u32 *)(unsigned long)address;
		u32 x = mix_seed(seed, address);

		for (u32 i = 0; i < WORDS_PER_PAGE; i++, x += STEP)
			words[i] = x;
	}
}

s64 memory_check(u64 address, u64 pages, u32 seed, u64 stride)
{
	for (u64 k = 0; k < pages; k++, address += stride * PAGE_BYTES) {
		const volatile u32 *words = (const volatile u32 *)(unsigned long)address;
		u32 x = mix_seed(seed, address);

		for (u32 i = 0; i < WORDS_PER_PAGE; i++, x += STEP)
			if (words[i] != x)
				return (s64)(1 + k * WORDS_PER_PAGE + i);
	}
	return 0;
}

void memory_read(u64 address, u64 pages, u64 stride)
{
	for (u64 k = 0; k < pages; k++, address += stride * PAGE_BYTES)
		(void)*(const volatile u8 *)(unsigned long)address;
}

void memory_poke(u64 address, u64 length, u64 value)
{
	if (length > sizeof(value))
		target_die(DIED_OF_OP);
	memcpy((void *)(unsigned long)address, &value, (size_t)length);
}

// The digest without its top bit, so that no result of it looks like an error.
s64 memory_hash(u64 address, u64 length)
{
	return (s64)(hash_of((const void *)(unsigned long)address, (size_t)length) & ~0ULL >> 1);
}

// Appends length and bytes, padded to 8. Memory that cannot be read gives -EFAULT in place of the length.
void memory_report(u64 address, u64 length)
{
	static u8 padding[7];
	const struct iovec parts[] = {
		{ &length, sizeof(length) },
		{ (void *)(unsigned long)address, (size_t)length },
		{ padding, (size_t)(-length & 7) },
	};
	long expected = (long)(parts[0].iov_len + parts[1].iov_len + parts[2].iov_len);
	long before = SYS(lseek, RESULTS_FD, 0, 2 /* SEEK_END */);
	long written = SYS(writev, RESULTS_FD, parts, ARRAY_SIZE(parts));

	if (written == expected)
		return;
	if (SYS(ftruncate, RESULTS_FD, before) < 0)
		target_die(DIED_OF_RESULTS);
	target_append(-EFAULT);
}
