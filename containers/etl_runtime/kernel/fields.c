#include "segment.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline int64_t field_ends(uint32_t at, int line, uint32_t *ends, size_t number, size_t columns) {
    ends[number] = at;
    return line == ((number + 1) % columns == 0);
}

/* Find where each field ends. Returns the rows, or -1 - n where row n has not `columns` fields or does not end. `ends` has
   room for `room` of them. */
EXPORT int64_t etl_fields(const byte *text, size_t size, size_t columns, uint32_t *ends, size_t room) {
    size_t number = 0, at = 0;
#if defined(__SSE2__)
    const __m128i tab = _mm_set1_epi8('\t'), line = _mm_set1_epi8('\n');
    for (; at + 16 <= size; at += 16) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(text + at));
        unsigned lines = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(chunk, line));
        unsigned both = lines | (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(chunk, tab));
        for (; both; both &= both - 1, number++) {
            unsigned bit = (unsigned)__builtin_ctz(both);
            if (number == room || !field_ends((uint32_t)(at + bit), lines >> bit & 1, ends, number, columns))
                return -1 - (int64_t)(number / columns);
        }
    }
#endif
    for (; at < size; at++) {
        if (text[at] != '\t' && text[at] != '\n') continue;
        if (number == room || !field_ends((uint32_t)at, text[at] == '\n', ends, number, columns))
            return -1 - (int64_t)(number / columns);
        number++;
    }
    if (number % columns || (size && text[size - 1] != '\n')) return -1 - (int64_t)(number / columns);
    return (int64_t)(number / columns);
}

/* Digest one column's fields as they stand, 0 for NULL. With `trimmed`, blanks at the end do not count: character(n). With
   `domain`, equal values of two columns differ. */
EXPORT void etl_digests(const segment *in, size_t column, int trimmed, u64 domain, const digest_key *key, u64 *digests) {
    for (size_t row = 0; row < in->rows; row++) {
        field value = field_of(in, row, column);
        while (trimmed && value.size && value.at[value.size - 1] == ' ') value.size--;
        digests[row] = value.null ? 0 : digest_of(value.at, value.size, domain, key);
    }
}

/* Mix another column's digests into the first one's; NULL in either makes NULL. */
EXPORT void etl_mix(u64 *digests, const u64 *with, size_t rows, const digest_key *key) {
    for (size_t row = 0; row < rows; row++)
        digests[row] = digests[row] && with[row] ? mixed(digests[row], with[row], key) : 0;
}

EXPORT void etl_free(u64 *data) { free(data); }

EXPORT size_t etl_key_size(void) { return sizeof(digest_key); }

EXPORT void etl_key(digest_key *key, u64 a, u64 b, u64 base) {
    key->a = a;
    key->b = b;
    key->base = base | 1;
    key->powers[0] = 1;
    for (size_t i = 1; i <= MOST_TOKENS; i++) key->powers[i] = key->powers[i - 1] * key->base;
}
