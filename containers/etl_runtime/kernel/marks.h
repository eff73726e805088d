/* Which of 64 bytes are a word's: bit n is for byte n. */
#ifndef ETL_MARKS_H
#define ETL_MARKS_H

#include "digest.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { MARKED = 64 };

typedef struct {
    u64 words, digits, backslashes; /* letters, digits and bytes above ASCII; of those the digits */
} marks;

static inline int is_ascii_digit(byte c) { return (byte)(c - '0') < 10; }
static inline int is_word(byte c) { return c & 0x80 || (byte)((c | 0x20) - 'a') < 26 || is_ascii_digit(c); }

static inline marks marks_of(const byte *at) {
    marks found = {0, 0, 0};
#if defined(__SSE2__)
    for (int part = 0; part < MARKED; part += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(at + part));
        __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
        __m128i letters = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
        __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        /* A byte above ASCII has its highest bit set, which is the one that movemask takes. */
        __m128i words = _mm_or_si128(_mm_or_si128(letters, digits), bytes);
        found.words |= (u64)(unsigned)_mm_movemask_epi8(words) << part;
        found.digits |= (u64)(unsigned)_mm_movemask_epi8(digits) << part;
        found.backslashes |= (u64)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))) << part;
    }
#else
    for (int i = 0; i < MARKED; i++) {
        found.words |= (u64)is_word(at[i]) << i;
        found.digits |= (u64)is_ascii_digit(at[i]) << i;
        found.backslashes |= (u64)(at[i] == '\\') << i;
    }
#endif
    return found;
}

/* Of the first `size` bytes alone. Fewer than 64 can be read where `readable` is before that. */
static inline marks marks_of_some(const byte *at, size_t size, const byte *readable) {
    marks found;
    if (readable - at >= MARKED) {
        found = marks_of(at);
    } else {
        byte whole[MARKED] = {0};
        memcpy(whole, at, size < MARKED ? size : MARKED);
        found = marks_of(whole);
    }
    if (size < MARKED) {
        u64 within = ((u64)1 << size) - 1;
        found.words &= within;
        found.digits &= within;
        found.backslashes &= within;
    }
    return found;
}

#endif
