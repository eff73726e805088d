/* Rows of COPY text, cleaned: values of some columns made by the compiled functions, all else byte for byte. */
#include "documents.h"
#include "segment.h"

typedef struct {
    int32_t kind;
    int32_t target, source, key; /* numbers of columns */
    int64_t most;                /* characters of a value, or -1 */
    int64_t not_null;
    int64_t low, high;
    const named_function *function;
    const node *nodes;
    const byte *constant; /* a field of COPY text */
    size_t size;
} rule;

enum { FUNCTION, DOCUMENT, CONSTANT };

typedef struct {
    bytes rows;
    list declined; /* of each row: where it begins and ends, and how much was written before it */
} cleaned;

typedef struct {
    bytes value, key, work, decoded, made;
} room;

/* The characters of a field; 0 where it has an escape that pg_dump does not write. */
static int unescaped(field from, bytes *in, text *to) {
    static const char letters[] = "bfnrtv", means[] = "\b\f\n\r\t\v";
    *to = (text){from.at, from.size};
    const byte *at = from.at, *end = from.at + from.size, *escape = memchr(at, '\\', from.size);
    if (!escape) return 1;
    in->size = 0;
    for (; escape; escape = memchr(at, '\\', (size_t)(end - at))) {
        put(in, at, (size_t)(escape - at));
        at = escape + 1;
        if (at == end) return 0;
        const char *found = *at ? strchr(letters, *at) : NULL;
        if (*at != '\\' && !found) return 0;
        put(in, found ? means + (found - letters) : "\\", 1);
        at++;
    }
    put(in, at, (size_t)(end - at));
    *to = of_bytes(in);
    return !in->failed;
}

/* A document's text has no other character that COPY escapes: JSON does not allow them. */
static void put_doubled(bytes *to, text from) {
    const byte *at = from.at, *end = from.at + from.size;
    for (const byte *escape; (escape = memchr(at, '\\', (size_t)(end - at))); at = escape + 1) {
        put(to, at, (size_t)(escape + 1 - at));
        put(to, "\\", 1);
    }
    put(to, at, (size_t)(end - at));
}

static int made(const segment *in, size_t row, const rule *by, const keyring *keys, room *with, bytes *to) {
    if (by->kind == CONSTANT) {
        put(to, by->constant, by->size);
        return 1;
    }
    field value = field_of(in, row, (size_t)by->source), key = field_of(in, row, (size_t)by->key);
    if (value.null || key.null) {
        put(to, "\\N", 2);
        return !by->not_null;
    }
    call of = {keys, {NULL, 0}, {NULL, 0}, by->low, by->high, &with->work};
    if (!unescaped(value, &with->value, &of.value) || !unescaped(key, &with->key, &of.key)) return 0;
    if (by->kind == DOCUMENT) {
        if (of.value.at == value.at) return scrubbed_document(&of, by->nodes, &with->decoded, to);
        with->made.size = 0;
        if (!scrubbed_document(&of, by->nodes, &with->decoded, &with->made)) return 0;
        put_doubled(to, of_bytes(&with->made));
        return !with->made.failed;
    }
    size_t from = to->size;
    if (!by->function->run(&of, to) || to->failed) return 0;
    text result = {to->at + from, to->size - from};
    return by->most < 0 || result.size <= (size_t)by->most || characters(result) <= (size_t)by->most;
}

/* As pg_utf8_islegal has it, and no NUL. */
static int is_utf8(const byte *at, const byte *end) {
    while (at < end) {
        if ((size_t)(end - at) >= 8) {
            u64 word = load(at, 8);
            /* no byte from 0x80 on, and none that is 0 */
            if (!(((word - 0x0101010101010101u) | word) & 0x8080808080808080u)) {
                at += 8;
                continue;
            }
        }
        byte c = *at;
        int more = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;
        if (!c || more < 0 || end - at <= more) return 0;
        byte least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (int i = 1; i <= more; i++, least = 0x80, most = 0xbf)
            if (at[i] < least || at[i] > most) return 0;
        at += more + 1;
    }
    return 1;
}

/* Clean whole rows. A row that one of the rules declines, or that is no UTF-8, is left out and told. Returns how many are
   cleaned, or -1 where there is no memory. Rules are in the order of their targets. */
EXPORT int64_t etl_clean(const segment *in, const rule *rules, size_t count, const keyring *keys, cleaned *out) {
    room with = {0};
    bytes *rows = &out->rows;
    size_t last = in->rows * in->columns, start = 0;
    int64_t done = 0;
    int whole_utf8 = is_utf8(in->text, in->text + (last ? in->ends[last - 1] : 0));
    for (size_t row = 0; row < in->rows; row++) {
        size_t end = in->ends[(row + 1) * in->columns - 1] + 1, before = rows->size;
        const byte *kept = in->text + start;
        int whole = whole_utf8 || is_utf8(kept, in->text + end);
        for (size_t i = 0; whole && i < count; i++) {
            field old = field_of(in, row, (size_t)rules[i].target);
            put(rows, kept, (size_t)(old.at - kept));
            whole = made(in, row, rules + i, keys, &with, rows);
            kept = old.at + old.size;
        }
        if (whole) {
            put(rows, kept, (size_t)(in->text + end - kept));
            done++;
        } else {
            rows->size = before;
            append(&out->declined, start);
            append(&out->declined, end);
            append(&out->declined, before);
        }
        start = end;
    }
    bytes *used[] = {&with.value, &with.key, &with.work, &with.decoded, &with.made};
    int failed = rows->failed || out->declined.failed;
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        failed |= used[i]->failed;
        free(used[i]->at);
    }
    return failed ? -1 : done;
}

/* A function by its name, of those for a place, when it takes this first number; NULL where there is none. */
EXPORT const named_function *etl_function(const char *name, int place, int64_t low) {
    const named_function *const tables[] = {text_functions, other_functions};
    for (size_t table = 0; table < 2; table++)
        for (const named_function *is = tables[table]; is->name; is++)
            if (is->places & place && !strcmp(is->name, name) && low >= is->least && low <= is->most) return is;
    return NULL;
}
