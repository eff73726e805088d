#include "filter.h"

EXPORT void etl_filter_add(const filter *to, const u64 *digests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i + 8 < count) __builtin_prefetch(block_of(to, digests[i + 8]), 1);
        u64 digest = digests[i], *block = block_of(to, digest);
        for (int bit = 0; bit < 4; bit++, digest >>= 9) block[digest >> 6 & 7] |= (u64)1 << (digest & 63);
    }
}

/* Copy the digests that the filter may hold to the front of `found`; how many. */
EXPORT size_t etl_filter_held(const filter *in, const u64 *digests, size_t count, u64 *found) {
    size_t held = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 8 < count) __builtin_prefetch(block_of(in, digests[i + 8]));
        if (digests[i] && holds(in, digests[i])) found[held++] = digests[i];
    }
    return held;
}
