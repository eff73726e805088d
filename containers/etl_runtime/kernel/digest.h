/* Keyed 64-bit digests. Equal bytes always have equal digests, so a value that survives is always found; two values share
   one by chance once in 2^64, which stops a run that need not stop. The key is drawn for one run and kept nowhere. */
#ifndef ETL_DIGEST_H
#define ETL_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_TOKENS 4096 /* of a value; a longer one is looked for by its first ones */

typedef uint64_t u64;
typedef uint8_t byte;

typedef struct {
    u64 a, b, base;
    u64 powers[MOST_TOKENS + 1]; /* of base, which is odd */
} digest_key;

/* Both halves of the 128-bit product: every bit of the result depends on every bit of both. */
static inline u64 folded(u64 x, u64 y) {
    __uint128_t product = (__uint128_t)x * y;
    return (u64)product ^ (u64)(product >> 64);
}

static inline u64 load(const byte *at, size_t bytes) {
    u64 word = 0;
    memcpy(&word, at, bytes);
    return word;
}

/* 0 stands for NULL, so it is nobody's digest. */
static inline u64 not_null(u64 digest) { return digest ? digest : 1; }

static inline u64 digest_of(const byte *at, size_t size, u64 domain, const digest_key *key) {
    u64 digest = key->a ^ domain, left = size;
    for (; left > 16; left -= 16, at += 16) digest = folded(load(at, 8) ^ key->b, load(at + 8, 8) ^ digest);
    u64 first = load(at, left < 8 ? left : 8), second = left > 8 ? load(at + 8, left - 8) : 0;
    digest = folded(first ^ key->b, second ^ digest);
    return not_null(folded(digest ^ size, key->b ^ 0x9e3779b97f4a7c15u));
}

static inline u64 mixed(u64 digest, u64 with, const digest_key *key) {
    return not_null(folded(digest ^ key->a, with ^ key->b ^ 0xd1b54a32d192ed03u));
}

/* Numbers that a function has found, in memory that it asks for as it goes and its caller gives back. */
typedef struct {
    u64 *data;
    size_t size, room;
    int failed;
} list;

static inline void append(list *to, u64 number) {
    if (to->size == to->room) {
        size_t room = to->room ? 2 * to->room : 1024;
        u64 *data = realloc(to->data, room * sizeof(u64));
        if (!data) {
            to->failed = 1;
            return;
        }
        to->data = data;
        to->room = room;
    }
    to->data[to->size++] = number;
}

#endif
