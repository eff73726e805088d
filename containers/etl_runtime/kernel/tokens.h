/* A value as words: maximal runs of letters, digits and bytes above ASCII, without regard to ASCII case. What stands
   between them does not count, so a name is found in a sentence, a JSON document, an array or a URL alike. */
#ifndef ETL_TOKENS_H
#define ETL_TOKENS_H

#include "digest.h"

#define LEAST_CHARACTERS 6 /* of a value that is looked for in every place: shorter ones stand everywhere by chance */
#define LEAST_DIGITS 9     /* the same, of one that is nothing but digits */

typedef struct {
    u64 sums[MOST_TOKENS * 4 + 1]; /* sums[i]: the polynomial of the first i words' digests */
    uint16_t characters[MOST_TOKENS * 4];
    byte digits[MOST_TOKENS * 4];
    size_t count;
    /* the word under way */
    u64 word;
    size_t size;
    int only_digits;
} tokens;

enum { TOKENS_ROOM = MOST_TOKENS * 4 };

static const byte LETTER[256] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f',
    ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n',
    ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v',
    ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd',
    ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't',
    ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};

static inline byte letter(byte c) { return c & 0x80 ? c : LETTER[c]; }

static inline void begin(tokens *to) {
    to->count = 0;
    to->sums[0] = 0;
    to->word = to->size = 0;
    to->only_digits = 1;
}

static inline void letter_in(tokens *to, byte c) {
    to->word = (to->word ^ c) * 0x100000001b3u + 0x9e3779b97f4a7c15u;
    to->size++;
    to->only_digits &= (byte)(c - '0') < 10;
}

static inline void word_ends(tokens *to, const digest_key *key) {
    if (!to->size) return;
    size_t at = to->count++;
    to->sums[at + 1] = to->sums[at] * key->base + folded(to->word ^ key->a, to->size ^ key->b);
    to->characters[at] = to->size < UINT16_MAX ? (uint16_t)to->size : UINT16_MAX;
    to->digits[at] = (byte)to->only_digits;
    to->word = to->size = 0;
    to->only_digits = 1;
}

static inline int hexadecimal(byte c) {
    if ((byte)(c - '0') < 10) return c - '0';
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
        byte c = LETTER[code];
        if (c) letter_in(to, c);
        else word_ends(to, key);
    } else if (code < 0x800) {
        letter_in(to, (byte)(0xc0 | code >> 6));
        letter_in(to, (byte)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        letter_in(to, (byte)(0xe0 | code >> 12));
        letter_in(to, (byte)(0x80 | (code >> 6 & 0x3f)));
        letter_in(to, (byte)(0x80 | (code & 0x3f)));
    } else {
        letter_in(to, (byte)(0xf0 | code >> 18));
        letter_in(to, (byte)(0x80 | (code >> 12 & 0x3f)));
        letter_in(to, (byte)(0x80 | (code >> 6 & 0x3f)));
        letter_in(to, (byte)(0x80 | (code & 0x3f)));
    }
    return used;
}

/* Add words until the bytes or the room end; where it stopped. With `escapes`, a backslash is JSON's: \n parts words and
   \u0041 is a letter. Call again from there once the words have been used, and word_ends after the last byte. */
static inline const byte *words_in(tokens *to, const byte *at, const byte *end, int escapes, const digest_key *key) {
    for (; at < end; at++) {
        byte c = letter(*at);
        if (c) {
            letter_in(to, c);
            continue;
        }
        if (*at != '\\' || !escapes) {
            word_ends(to, key);
        } else if (at + 1 < end && at[1] == 'u') {
            size_t used = escaped_in(to, at + 2, end, key);
            if (used) at += 1 + used;
            else word_ends(to, key);
        } else {
            word_ends(to, key);
            if (at + 1 < end && strchr("bfnrt\"/\\", at[1]) && at[1]) at++;
        }
        if (to->count >= TOKENS_ROOM - 2) return at + 1;
    }
    return end;
}

/* The digest of `length` words from number `first` on. */
static inline u64 gram(const tokens *of, size_t first, size_t length, const digest_key *key) {
    u64 polynomial = of->sums[first + length] - of->sums[first] * key->powers[length];
    return not_null(folded(polynomial ^ key->a, (length * 0xa0761d6478bd642fu) ^ key->b));
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
