/* A value as words: maximal runs of letters, digits and bytes above ASCII, without regard to ASCII case. What stands
   between them does not count, so a name is found in a sentence, a JSON document, an array or a URL alike. */
#ifndef ETL_TOKENS_H
#define ETL_TOKENS_H

#include "marks.h"

#define LEAST_CHARACTERS 6 /* of a value that is looked for in every place: shorter ones stand everywhere by chance */
#define LEAST_DIGITS 9     /* the same, of one that is nothing but digits */

typedef struct {
    u64 sums[MOST_TOKENS * 4 + 1]; /* sums[i]: the polynomial of the first i words' digests */
    uint16_t characters[MOST_TOKENS * 4];
    byte digits[MOST_TOKENS * 4];
    size_t count;
    /* the word under way: the digest of its whole chunks of eight bytes, the chunk that is not whole, and its size */
    u64 digest, chunk;
    size_t size;
    int only_digits;
    const byte *readable; /* the memory that the value is in can be read up to here */
} tokens;

enum { TOKENS_ROOM = MOST_TOKENS * 4, CHUNK = 8 };

static inline void begin_word(tokens *to) {
    to->digest = to->chunk = to->size = 0;
    to->only_digits = 1;
}

static inline void begin(tokens *to, const byte *readable) {
    to->count = 0;
    to->sums[0] = 0;
    to->readable = readable;
    begin_word(to);
}

/* Letters of ASCII in lower case; its digits have that bit already. */
static inline u64 lower(u64 chunk) { return chunk | (0x2020202020202020u & ~((chunk & 0x8080808080808080u) >> 2)); }

static inline u64 chunk_in(u64 digest, u64 chunk, const digest_key *key) { return folded(digest ^ chunk ^ key->a, key->b); }

static inline void letter_in(tokens *to, byte c, const digest_key *key) {
    to->chunk |= (u64)c << 8 * (to->size % CHUNK);
    to->only_digits &= is_ascii_digit(c);
    if (++to->size % CHUNK) return;
    to->digest = chunk_in(to->digest, lower(to->chunk), key);
    to->chunk = 0;
}

static inline void word_in(tokens *to, u64 digest, size_t size, int only_digits, const digest_key *key) {
    size_t at = to->count++;
    to->sums[at + 1] = to->sums[at] * key->base + folded(digest ^ key->a, size ^ key->b);
    to->characters[at] = size < UINT16_MAX ? (uint16_t)size : UINT16_MAX;
    to->digits[at] = (byte)only_digits;
}

static inline void word_ends(tokens *to, const digest_key *key) {
    if (!to->size) return;
    /* The letters of a chunk that is not whole, and nothing behind them. */
    u64 letters = ((u64)1 << 8 * (to->size % CHUNK)) - 1;
    if (letters) to->digest = chunk_in(to->digest, lower(to->chunk) & letters, key);
    word_in(to, to->digest, to->size, to->only_digits, key);
    begin_word(to);
}

/* A word that stands in the value as it is. */
static inline void whole_word_in(tokens *to, const byte *at, size_t size, int only_digits, const digest_key *key) {
    u64 digest = 0;
    size_t left = size;
    for (; left > CHUNK; left -= CHUNK, at += CHUNK) digest = chunk_in(digest, lower(load(at, CHUNK)), key);
    u64 letters = ~(u64)0 >> 8 * (CHUNK - left);
    u64 chunk = to->readable - at >= CHUNK ? load(at, CHUNK) : load(at, left);
    word_in(to, chunk_in(digest, lower(chunk) & letters, key), size, only_digits, key);
}

static inline int hexadecimal(byte c) {
    if (is_ascii_digit(c)) return c - '0';
    c |= 32;
    return (byte)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

/* The bytes of a bytea, whose text is \x and two digits each; 0 where it is none. */
static inline size_t bytes_of(const byte *at, size_t size, byte *room) {
    size_t made = 0;
    if (size < 4 || size % 2 || at[0] != '\\' || at[1] != 'x') return 0;
    for (size_t i = 2; i < size; i += 2) {
        int high = hexadecimal(at[i]), low = hexadecimal(at[i + 1]);
        if (high < 0 || low < 0) return 0;
        room[made++] = (byte)(high << 4 | low);
    }
    return made;
}

/* The four digits of a \u escape, or -1. */
static inline long code_unit(const byte *at, const byte *end) {
    if (end - at < 4) return -1;
    long unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hexadecimal(at[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Feed a code point as UTF-8, and say how many bytes of input made it: a surrogate pair is two escapes. */
static inline size_t escaped_in(tokens *to, const byte *at, const byte *end, const digest_key *key) {
    long code = code_unit(at, end);
    size_t used = 4;
    if (code < 0) return 0;
    if (code >= 0xd800 && code < 0xdc00 && end - at >= 10 && at[4] == '\\' && at[5] == 'u') {
        long low = code_unit(at + 6, end);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            used = 10;
        }
    }
    if (code < 0x80) {
        if (is_word((byte)code)) letter_in(to, (byte)code, key);
        else word_ends(to, key);
    } else if (code < 0x800) {
        letter_in(to, (byte)(0xc0 | code >> 6), key);
        letter_in(to, (byte)(0x80 | (code & 0x3f)), key);
    } else if (code < 0x10000) {
        letter_in(to, (byte)(0xe0 | code >> 12), key);
        letter_in(to, (byte)(0x80 | (code >> 6 & 0x3f)), key);
        letter_in(to, (byte)(0x80 | (code & 0x3f)), key);
    } else {
        letter_in(to, (byte)(0xf0 | code >> 18), key);
        letter_in(to, (byte)(0x80 | (code >> 12 & 0x3f)), key);
        letter_in(to, (byte)(0x80 | (code >> 6 & 0x3f)), key);
        letter_in(to, (byte)(0x80 | (code & 0x3f)), key);
    }
    return used;
}

/* Letter by letter, until a word ends: one with an escape in it, or longer than what is marked at once. */
static inline const byte *letters_in(tokens *to, const byte *at, const byte *end, int escapes, const digest_key *key) {
    do {
        if (*at != '\\' || !escapes) {
            if (is_word(*at)) letter_in(to, *at, key);
            else word_ends(to, key);
        } else if (at + 1 < end && at[1] == 'u') {
            size_t used = escaped_in(to, at + 2, end, key);
            if (used) at += 1 + used;
            else word_ends(to, key);
        } else {
            word_ends(to, key);
            if (at + 1 < end && strchr("bfnrt\"/\\", at[1]) && at[1]) at++;
        }
        at++;
    } while (at < end && to->size);
    return at;
}

/* Add words until the bytes or the room end; where it stopped. With `escapes`, a backslash is JSON's: \n parts words and
   \u0041 is a letter. Call again from there once the words have been used, and word_ends after the last byte. */
static inline const byte *words_in(tokens *to, const byte *at, const byte *end, int escapes, const digest_key *key) {
    while (at < end) {
        marks here = marks_of_some(at, (size_t)(end - at), to->readable);
        u64 stops = here.words | (escapes ? here.backslashes : 0);
        size_t covered = end - at < MARKED ? (size_t)(end - at) : MARKED, next = 0;
        for (;;) {
            u64 rest = next < MARKED ? stops >> next : 0;
            if (to->count >= TOKENS_ROOM - 2) return at + next;
            if (!rest) {
                next = covered;
                break;
            }
            size_t first = next + (size_t)__builtin_ctzll(rest);
            u64 others = ~(here.words >> first);
            size_t size = others ? (size_t)__builtin_ctzll(others) : MARKED;
            next = first + size;
            if (!size || (next < covered && escapes && at[next] == '\\') || (next >= covered && first == 0 && at + next < end)) {
                /* A backslash, a word before one, or a word that is longer than all that is marked. */
                next = (size_t)(letters_in(to, at + first, end, escapes, key) - at);
                break;
            }
            if (next >= covered && at + next < end) {
                next = first; /* it may go on behind what is marked */
                break;
            }
            u64 bits = size < MARKED ? ((u64)1 << size) - 1 : ~(u64)0;
            whole_word_in(to, at + first, size, (here.digits >> first & bits) == bits, key);
        }
        at += next;
    }
    return end;
}

/* The digest of `length` words from number `first` on. */
static inline u64 gram(const tokens *of, size_t first, size_t length, const digest_key *key) {
    u64 polynomial = of->sums[first + length] - of->sums[first] * key->powers[length];
    return not_null(folded(polynomial ^ key->a, (length * 0xa0761d6478bd642fu) ^ key->b));
}

/* Memory for a value's characters, and as much again for the bytes that they may stand for. */
typedef struct {
    byte *at;
    size_t has;
} room;

static inline int has_room(room *for_a, size_t value) {
    if (value <= for_a->has) return 1;
    free(for_a->at);
    for_a->has = 2 * value;
    return (for_a->at = malloc(for_a->has)) != NULL;
}

/* COPY's text format undone, where there is anything to undo; `room` has place for `size` bytes. */
static inline const byte *unescaped(const byte *at, size_t *size, byte *room) {
    const byte *end = at + *size;
    if (!memchr(at, '\\', *size)) return at;
    byte *to = room;
    while (at < end) {
        byte c = *at++;
        if (c == '\\' && at < end) {
            static const char from[] = "bfnrtv", into[] = "\b\f\n\r\t\v";
            const char *found = strchr(from, c = *at++);
            if (found && c) c = (byte)into[found - from];
        }
        *to++ = c;
    }
    *size = (size_t)(to - room);
    return room;
}

#endif
