#include "documents.h"

enum { MOST_DEPTH = 500 };

typedef struct {
    const call *of;
    const node *nodes;
    bytes *decoded, *to;
    const byte *at, *end;
    const byte *kept; /* from here on nothing has been written yet */
    int depth;
} walk;

static int value(walk *in, const node *now);

/* Behind the text that begins here; NULL where it does not end. */
static const byte *behind_text(const walk *in) {
    const byte *at = in->at + 1;
    while (at < in->end && *at != '"') at += *at == '\\' ? 2 : 1;
    return at < in->end ? at + 1 : NULL;
}

static int follows(walk *in, const char *these) {
    size_t size = strlen(these);
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, these, size)) return 0;
    in->at += size;
    return 1;
}

/* The characters of a JSON text; 0 where it has an escape that Postgres does not write. */
static int characters_of(bytes *to, const byte *at, const byte *end) {
    static const char from[] = "\"\\bfnrt", means[] = "\"\\\b\f\n\r\t";
    to->size = 0;
    while (at < end) {
        const byte *escape = memchr(at, '\\', (size_t)(end - at));
        put(to, at, (size_t)((escape ? escape : end) - at));
        if (!escape) break;
        at = escape + 1;
        const char *found = at < end && *at ? strchr(from, *at) : NULL;
        if (!found) return 0;
        put(to, means + (found - from), 1);
        at++;
    }
    return 1;
}

static int leaf(walk *in, const named_function *function) {
    const byte *start = in->at;
    int is_text = *start == '"';
    if (is_text) {
        if (!(in->at = behind_text(in))) return 0;
        if (!characters_of(in->decoded, start + 1, in->at - 1)) return 0;
    } else {
        while (in->at < in->end && !strchr(",]}", *in->at)) in->at++;
        if (in->at == start) return 0;
        if (in->at - start == 4 && !memcmp(start, "null", 4)) return 1;
        in->decoded->size = 0;
        put(in->decoded, start, (size_t)(in->at - start));
    }
    put(in->to, in->kept, (size_t)(start - in->kept));
    call of = *in->of;
    of.value = of_bytes(in->decoded);
    put(in->to, "\"", 1);
    if (in->decoded->failed || !function->run(&of, in->to)) return 0;
    put(in->to, "\"", 1);
    in->kept = in->at;
    return 1;
}

static int scalar(walk *in, const node *now) {
    if (now && now->kind == LEAVES) return leaf(in, now->function);
    const byte *start = in->at;
    if (*in->at == '"') return (in->at = behind_text(in)) != NULL;
    while (in->at < in->end && !strchr(",]}", *in->at)) in->at++;
    return in->at > start;
}

static const node *under(const walk *in, const node *now, const byte *key, size_t size) {
    if (!now || now->kind == LEAVES) return now;
    for (int32_t number = now->below; number; number = in->nodes[number].next) {
        const node *found = in->nodes + number;
        if (found->size == size && !memcmp(found->key, key, size)) return found;
    }
    return NULL;
}

static int object(walk *in, const node *now) {
    in->at++;
    if (follows(in, "}")) return 1;
    do {
        const byte *key = in->at + 1;
        if (in->at >= in->end || *in->at != '"' || !(in->at = behind_text(in))) return 0;
        const node *found = under(in, now, key, (size_t)(in->at - 1 - key));
        if (!follows(in, ": ") || !value(in, found)) return 0;
    } while (follows(in, ", "));
    return follows(in, "}");
}

static int array(walk *in, const node *now) {
    in->at++;
    if (follows(in, "]")) return 1;
    if (now && now->kind == ELEMENTS) now = in->nodes + now->below;
    do {
        if (!value(in, now)) return 0;
    } while (follows(in, ", "));
    return follows(in, "]");
}

/* Where something is for each element and the value is no array, it is for the value itself; where it is for keys and
   the value is an array, it is for each element: as in JSON path's lax mode. */
static int value(walk *in, const node *now) {
    if (in->at >= in->end || in->depth == MOST_DEPTH) return 0;
    in->depth++;
    byte first = *in->at;
    while (first != '[' && now && now->kind == ELEMENTS) now = in->nodes + now->below;
    int whole = first == '{' ? object(in, now) : first == '[' ? array(in, now) : scalar(in, now);
    in->depth--;
    return whole;
}

/* The value's text is as Postgres writes jsonb; 0 where it is not, or a function declines. */
int scrubbed_document(const call *of, const node *nodes, bytes *decoded, bytes *to) {
    walk in = {of, nodes, decoded, to, of->value.at, of->value.at + of->value.size, of->value.at, 0};
    if (!value(&in, nodes) || in.at != in.end) return 0;
    put(to, in.kept, (size_t)(in.end - in.kept));
    return 1;
}
