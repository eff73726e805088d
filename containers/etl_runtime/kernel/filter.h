/* A Bloom filter in blocks of one cache line. It may say that it holds a digest that it does not; what it says is held
   against the digests themselves, so its size decides about speed alone. */
#ifndef ETL_FILTER_H
#define ETL_FILTER_H

#include "digest.h"

typedef struct {
    u64 *words; /* eight a block */
    u64 blocks; /* a power of two */
} filter;

static inline u64 *block_of(const filter *in, u64 digest) { return in->words + ((digest >> 36) & (in->blocks - 1)) * 8; }

static inline int holds(const filter *in, u64 digest) {
    const u64 *block = block_of(in, digest);
    for (int i = 0; i < 4; i++, digest >>= 9)
        if (!(block[digest >> 6 & 7] >> (digest & 63) & 1)) return 0;
    return 1;
}

#endif
