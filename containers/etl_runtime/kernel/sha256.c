#include "sha256.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

const sha256_state sha256_initial = {
    {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t turned(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

static void portably(sha256_state *state, const byte *block) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        memcpy(w + i, block + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t low = w[i - 15], high = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turned(low, 7) ^ turned(low, 18) ^ low >> 3) +
               (turned(high, 17) ^ turned(high, 19) ^ high >> 10);
    }
    memcpy(v, state->words, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t1 = v[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + constants[i] + w[i];
        uint32_t t2 = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state->words[i] += v[i];
}

#if defined(__x86_64__)
/* By the SHA extensions, which keep the eight words as (f, e, b, a) and (h, g, d, c) from the lowest lane on:
   https://www.intel.com/content/www/us/en/developer/articles/technical/intel-sha-extensions.html */
__attribute__((target("sha,sse4.1"))) static void by_instructions(sha256_state *state, const byte *block) {
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i *words = (__m128i *)state->words;
    __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128(words), 0x1b), hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
    __m128i feba = _mm_unpackhi_epi64(hgfe, dcba), hgdc = _mm_unpacklo_epi64(hgfe, dcba);
    const __m128i feba_before = feba, hgdc_before = hgdc;
    __m128i w[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (i < 4) {
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + i), big_endian);
        } else {
            __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i - 4], w[i - 3]), _mm_alignr_epi8(w[i - 1], w[i - 2], 4));
            w[i] = _mm_sha256msg2_epu32(sum, w[i - 1]);
        }
        __m128i input = _mm_add_epi32(w[i], _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
        hgdc = _mm_sha256rnds2_epu32(hgdc, feba, input);
        feba = _mm_sha256rnds2_epu32(feba, hgdc, _mm_shuffle_epi32(input, 0x0e));
    }
    feba = _mm_add_epi32(feba, feba_before);
    hgdc = _mm_add_epi32(hgdc, hgdc_before);
    _mm_storeu_si128(words, _mm_shuffle_epi32(_mm_unpackhi_epi64(hgdc, feba), 0x1b));
    _mm_storeu_si128(words + 1, _mm_shuffle_epi32(_mm_unpacklo_epi64(hgdc, feba), 0x1b));
}

static int has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}
#endif

static void (*compress)(sha256_state *, const byte *) = portably;

/* Before any thread can call: when the library is loaded. */
__attribute__((constructor)) static void choose(void) {
#if defined(__x86_64__)
    if (has_instructions()) compress = by_instructions;
#endif
}

void sha256_begin(sha256 *hash, const sha256_state *after, u64 blocks) {
    hash->state = *after;
    hash->held = 0;
    hash->bytes = blocks * BLOCK_BYTES;
}

void sha256_add(sha256 *hash, const void *from, size_t size) {
    const byte *at = from;
    hash->bytes += size;
    while (size) {
        size_t part = BLOCK_BYTES - hash->held < size ? BLOCK_BYTES - hash->held : size;
        memcpy(hash->block + hash->held, at, part);
        at += part;
        size -= part;
        hash->held += part;
        if (hash->held == BLOCK_BYTES) {
            compress(&hash->state, hash->block);
            hash->held = 0;
        }
    }
}

void sha256_end(sha256 *hash, byte digest[DIGEST_BYTES]) {
    u64 bits = __builtin_bswap64(hash->bytes * 8);
    hash->block[hash->held++] = 0x80;
    if (hash->held > BLOCK_BYTES - 8) {
        memset(hash->block + hash->held, 0, BLOCK_BYTES - hash->held);
        compress(&hash->state, hash->block);
        hash->held = 0;
    }
    memset(hash->block + hash->held, 0, BLOCK_BYTES - 8 - hash->held);
    memcpy(hash->block + BLOCK_BYTES - 8, &bits, 8);
    compress(&hash->state, hash->block);
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(hash->state.words[i]);
        memcpy(digest + 4 * i, &word, 4);
    }
}

void hmac(const keyring *keys, const char *domain, const byte *at, size_t size, byte digest[DIGEST_BYTES]) {
    sha256 hash;
    sha256_begin(&hash, &keys->inner, 1);
    sha256_add(&hash, domain, strlen(domain));
    sha256_add(&hash, at, size);
    sha256_end(&hash, digest);
    sha256_begin(&hash, &keys->outer, 1);
    sha256_add(&hash, digest, DIGEST_BYTES);
    sha256_end(&hash, digest);
}

EXPORT size_t etl_keyring_size(void) { return sizeof(keyring); }

/* Of HMAC's two pads, a block each, and the key of permutations. */
EXPORT void etl_keyring(keyring *keys, const byte *inner_pad, const byte *outer_pad, const byte *round_key) {
    keys->inner = keys->outer = sha256_initial;
    compress(&keys->inner, inner_pad);
    compress(&keys->outer, outer_pad);
    memcpy(keys->round_key, round_key, DIGEST_BYTES);
}

/* For tests. */
EXPORT void etl_hmac(const keyring *keys, const char *domain, const byte *at, size_t size, byte *digest) {
    hmac(keys, domain, at, size, digest);
}

/* For tests: without the processor's instructions, or with them where it has them. */
EXPORT int etl_sha256_portably(int portably_only) {
    compress = portably;
    if (!portably_only) choose();
    return compress == portably;
}
