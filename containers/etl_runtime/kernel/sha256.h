/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104) of it. */
#ifndef ETL_SHA256_H
#define ETL_SHA256_H

#include "digest.h"

enum { BLOCK_BYTES = 64, DIGEST_BYTES = 32 };

typedef struct {
    uint32_t words[8];
} sha256_state;

typedef struct {
    sha256_state state;
    byte block[BLOCK_BYTES];
    size_t held;
    u64 bytes;
} sha256;

extern const sha256_state sha256_initial;

/* From a state that has taken in so many whole blocks. */
void sha256_begin(sha256 *hash, const sha256_state *after, u64 blocks);
void sha256_add(sha256 *hash, const void *at, size_t size);
void sha256_end(sha256 *hash, byte digest[DIGEST_BYTES]);

/* The states after a key's two pads, and the key of permutations: what scrub_functions.py writes into the SQL. */
typedef struct {
    sha256_state inner, outer;
    byte round_key[DIGEST_BYTES];
} keyring;

void hmac(const keyring *keys, const char *domain, const byte *at, size_t size, byte digest[DIGEST_BYTES]);

#endif
