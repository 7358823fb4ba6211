// SPDX-License-Identifier: MIT
// The digest of blocks on the wire; its other statement is vm/block_hash.ts. It finds accidents, not
// forgery.
#ifndef CKPTEST_HASH_H
#define CKPTEST_HASH_H

#include "types.h"

struct hash {
	u32 a;
	u32 b;
	u32 tail;
	u32 tail_bytes;
	u64 length;
};

void hash_start(struct hash *hash);
void hash_update(struct hash *hash, const void *bytes, size_t length);
// The two lanes, a in the high half. The hash must not be updated after it.
u64 hash_finish(struct hash *hash);
u64 hash_of(const void *bytes, size_t length);
// Whether it is, finished, the digest with these 16 digits.
bool hash_is(struct hash *hash, const char *digits);

#endif
