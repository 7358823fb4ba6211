// SPDX-License-Identifier: MIT
#include "common.h"

#define MULTIPLIER_A 0x01000193u
#define MULTIPLIER_B 0x85ebca6bu

typedef u32 __attribute__((may_alias, aligned(1))) unaligned_u32;

void hash_start(struct hash *hash)
{
	*hash = (struct hash){ .a = 0x811c9dc5u, .b = 0x9747b28cu };
}

static inline void mix(u32 *a, u32 *b, u32 word)
{
	*a = (*a ^ word) * MULTIPLIER_A;
	*a ^= *a >> 15;
	*b = (*b + word) * MULTIPLIER_B;
	*b ^= *b >> 13;
}

void hash_update(struct hash *hash, const void *bytes, size_t length)
{
	const u8 *at = bytes;
	u32 a = hash->a;
	u32 b = hash->b;

	hash->length += length;
	while (hash->tail_bytes > 0 && length > 0) {
		hash->tail |= (u32)*at++ << (8 * hash->tail_bytes);
		length--;
		if (++hash->tail_bytes == 4) {
			mix(&a, &b, hash->tail);
			hash->tail_bytes = hash->tail = 0;
		}
	}
	for (; length >= 4; length -= 4, at += 4)
		mix(&a, &b, *(const unaligned_u32 *)at);
	while (length-- > 0)
		hash->tail |= (u32)*at++ << (8 * hash->tail_bytes++);
	hash->a = a;
	hash->b = b;
}

u64 hash_finish(struct hash *hash)
{
	if (hash->tail_bytes > 0)
		mix(&hash->a, &hash->b, hash->tail);
	hash->a ^= (u32)hash->length;
	hash->b += (u32)hash->length;
	return (u64)hash->a << 32 | hash->b;
}

u64 hash_of(const void *bytes, size_t length)
{
	struct hash hash;

	hash_start(&hash);
	hash_update(&hash, bytes, length);
	return hash_finish(&hash);
}

bool hash_is(struct hash *hash, const char *digits)
{
	char found[17];

	return text_equal(text_print(found, sizeof(found), "%016llx", hash_finish(hash)), digits);
}
