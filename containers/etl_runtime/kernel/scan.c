/* Looks every value of every column for what was collected, wherever in the value it stands. */
#include "filter.h"
#include "segment.h"
#include "tokens.h"

typedef struct {
    const digest_key *key;
    const filter *in;
    const uint16_t *lengths; /* of the grams, in words, ascending, those of more than three */
    size_t lengths_count;
    int wanted[4]; /* whether there are grams of one, two and three words */
    list *found; /* digest, column, digest, column … */
    tokens *words;
    u64 column;
} scanner;

enum { AHEAD = 64 };

static inline void look(const scanner *by, u64 digest) {
    if (!holds(by->in, digest)) return;
    append(by->found, digest);
    append(by->found, by->column);
}

/* The values that begin with word number `first` and the two behind it. */
static void look_further(const scanner *by, size_t first) {
    size_t left = by->words->count - first;
    for (size_t i = 0; i < by->lengths_count && by->lengths[i] <= left; i++)
        look(by, gram(by->words, first, by->lengths[i], by->key));
}

/* Every run of words that begins with one of the first `count`. */
static void look_from(const scanner *by, size_t count) {
    const tokens *words = by->words;
    u64 runs[3][AHEAD];
    for (size_t block = 0; block < count; block += AHEAD) {
        size_t here = count - block < AHEAD ? count - block : AHEAD;
        for (size_t i = 0; i < here; i++) {
            size_t at = block + i, characters = 0;
            int digits = 1;
            for (size_t length = 1; length <= 3; length++) {
                u64 digest = 0;
                if (at + length <= words->count) {
                    characters += words->characters[at + length - 1];
                    digits &= words->digits[at + length - 1];
                    /* Three words begin a longer value whatever their own length. */
                    int enough = length == 3 || characters >= (digits ? LEAST_DIGITS : LEAST_CHARACTERS);
                    if (enough && (by->wanted[length] || (length == 3 && by->lengths_count))) {
                        digest = gram(words, at, length, by->key);
                        __builtin_prefetch(block_of(by->in, digest));
                    }
                }
                runs[length - 1][i] = digest;
            }
        }
        for (size_t i = 0; i < here; i++) {
            if (runs[0][i]) look(by, runs[0][i]);
            if (runs[1][i]) look(by, runs[1][i]);
            if (runs[2][i] && holds(by->in, runs[2][i])) {
                if (by->wanted[3]) look(by, runs[2][i]);
                look_further(by, block + i);
            }
        }
    }
}

static void look_at(scanner *by, const byte *at, size_t size, int escapes, const byte *readable) {
    const byte *end = at + size;
    tokens *words = by->words;
    begin(words, readable);
    for (;;) {
        at = words_in(words, at, end, escapes, by->key);
        if (at == end) break;
        /* Too long to be held at once: what begins in the last words is looked at with those that follow. */
        size_t done = words->count - MOST_TOKENS, kept = MOST_TOKENS;
        look_from(by, done);
        memmove(words->sums, words->sums + done, (kept + 1) * sizeof *words->sums);
        memmove(words->characters, words->characters + done, kept * sizeof *words->characters);
        memmove(words->digits, words->digits + done, kept);
        words->count = kept;
    }
    word_ends(words, by->key);
    look_from(by, words->count);
}

/* Look all columns of a segment through. Returns 0, or -1 for want of memory. */
EXPORT int64_t etl_scan(const segment *in, const filter *of, const uint16_t *lengths, size_t lengths_count, list *found,
                        const digest_key *key) {
    scanner by = {key, of, lengths, lengths_count, {0}, found, malloc(sizeof(tokens)), 0};
    room memory = {NULL, 0};
    int64_t result = by.words ? 0 : -1;
    for (; by.lengths_count && *by.lengths <= 3; by.lengths++, by.lengths_count--) by.wanted[*by.lengths] = 1;
    for (size_t row = 0; row < in->rows && !result; row++) {
        for (by.column = 0; by.column < in->columns; by.column++) {
            field value = field_of(in, row, by.column);
            if (value.size < LEAST_CHARACTERS) continue;
            if (!has_room(&memory, value.size)) result = -1;
            if (result) break;
            size_t size = value.size;
            const byte *at = unescaped(value.at, &size, memory.at);
            look_at(&by, at, size, 1, at == value.at ? text_end(in) : memory.at + memory.has);
            size_t made = bytes_of(at, size, memory.at + memory.has / 2);
            if (made) look_at(&by, memory.at + memory.has / 2, made, 0, memory.at + memory.has);
        }
        if (found->failed) result = -1;
    }
    free(by.words);
    free(memory.at);
    return result;
}
