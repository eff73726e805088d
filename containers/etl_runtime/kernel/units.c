/* What a column's values are looked for by: whole, element by element, or the leaves that JSON paths lead to. */
#include "json.h"
#include "tokens.h"

enum { WHOLE, ELEMENTS, LEAVES };

typedef struct {
    const digest_key *key;
    u64 domain;    /* of the column: its digests are its own */
    u64 row;       /* the row's, or 0: then a value counts wherever it stands in the column */
    const u64 *constants; /* digests of what the rule writes for everyone, which gives nothing away */
    size_t constants_count;
    list *units, *grams, *starts; /* grams and starts: NULL where the values are looked for in their own column alone */
    byte *lengths; /* [MOST_TOKENS + 1]: of the grams that were found, in words */
    tokens *words;
    const byte *readable; /* the memory that a value is in */
    u64 place; /* of the unit in its row's value, from 1: another one's may be this one's original by chance */
} collector;

/* The value as words, in one reading of its backslashes. */
static void gram_in(collector *to, const byte *at, size_t size, int escapes) {
    tokens *words = to->words;
    begin(words, to->readable);
    const byte *stopped = words_in(words, at, at + size, escapes, to->key);
    if (stopped == at + size) word_ends(words, to->key);
    size_t count = words->count < MOST_TOKENS ? words->count : MOST_TOKENS, characters = 0;
    int digits = 1;
    for (size_t i = 0; i < count; i++) {
        characters += words->characters[i];
        digits &= words->digits[i];
    }
    if (characters < (digits ? LEAST_DIGITS : LEAST_CHARACTERS)) return;
    append(to->grams, gram(words, 0, count, to->key));
    append(to->starts, gram(words, 0, count < 3 ? count : 3, to->key));
    to->lengths[count] = 1;
}

static void unit_in(void *context, const byte *at, size_t size) {
    collector *to = context;
    to->place++;
    if (!size) return;
    u64 digest = digest_of(at, size, to->domain, to->key);
    for (size_t i = 0; i < to->constants_count; i++)
        if (to->constants[i] == digest) return;
    append(to->units, to->row ? mixed(digest, to->row + to->place * 0x9e3779b97f4a7c15u, to->key) : digest);
    if (!to->grams) return;
    gram_in(to, at, size, 1);
    /* In a document the same text has its backslashes doubled, and reads there as this does without escapes. */
    if (memchr(at, '\\', size)) gram_in(to, at, size, 0);
}

static void element_in(collector *to, const byte *at, size_t size) {
    if (size != 4 || memcmp(at, "NULL", 4)) unit_in(to, at, size);
}

/* The elements of an array, a range or an hstore: what stands between quotes, or between commas, braces and arrows. */
static void elements_in(collector *to, const byte *at, size_t size) {
    const byte *end = at + size, *start = at;
    int quoted = 0;
    for (; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            if (quoted) unit_in(to, start, (size_t)(at - start));
            quoted = !quoted;
            start = at + 1;
        } else if (!quoted && memchr("{},[]()=> ", *at, 10)) {
            element_in(to, start, (size_t)(at - start));
            start = at + 1;
        }
    }
    if (start < end && !quoted) element_in(to, start, (size_t)(end - start));
}

/* Gather one column of a segment. `rows`: a digest a row that values are tied to, or NULL; a row whose digest is 0 has no
   identity, and its values count wherever they stand. Returns 0, -1 for want of memory, -2 - n where row n is no JSON. */
EXPORT int64_t etl_collect(const segment *in, size_t column, int mode, const paths *of, const u64 *rows, u64 domain,
                           const u64 *constants, size_t constants_count, list *units, list *grams, list *starts,
                           byte *lengths, const digest_key *key) {
    collector to = {key, domain, 0, constants, constants_count, units, grams, starts, lengths, malloc(sizeof(tokens)), NULL, 0};
    room memory = {NULL, 0};
    int64_t result = to.words ? 0 : -1;
    for (size_t row = 0; row < in->rows && !result; row++) {
        field value = field_of(in, row, column);
        if (value.null || !value.size) continue;
        to.row = rows ? rows[row] : 0;
        to.place = 0;
        if (!has_room(&memory, value.size)) result = -1;
        if (result) break;
        size_t size = value.size;
        const byte *at = unescaped(value.at, &size, memory.at);
        to.readable = at == value.at ? text_end(in) : memory.at + memory.has;
        if (mode == ELEMENTS) {
            elements_in(&to, at, size);
        } else if (mode == LEAVES) {
            reader document = {of, at, at + size, unit_in, &to, 0, 0};
            states first = {{0}};
            hold(&first, 0);
            for (size_t state = 0; state + 1 < of->count; state++)
                if (of->steps[state].kind == LEAF) hold(&first, state + 1);
            node(&document, first);
            if (document.broken) result = -2 - (int64_t)row;
        } else {
            unit_in(&to, at, size);
            size_t made = grams ? bytes_of(at, size, memory.at + memory.has / 2) : 0;
            to.readable = memory.at + memory.has;
            if (made) gram_in(&to, memory.at + memory.has / 2, made, 0);
        }
        if (units->failed || (grams && (grams->failed || starts->failed))) result = -1;
    }
    free(to.words);
    free(memory.at);
    return result;
}
