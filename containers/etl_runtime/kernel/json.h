/* The leaves of a JSON document that paths lead to, as scrub.json finds them (sql/json.sql has the rules of each step).

   Every step of every path is a state; states that hold at a node are bits of a set. A path's last state holds for every
   leaf below. The document is Postgres's own text of a json or jsonb value, so it is well-formed. */
#ifndef ETL_JSON_H
#define ETL_JSON_H

#include "segment.h"

enum { KEY = 1, ANY_KEY, ANY_ELEMENT, ELEMENT, DESCEND, LEAF };
enum { STATE_WORDS = 8, MOST_STATES = 64 * STATE_WORDS, MOST_DEPTH = 6000 };

typedef struct {
    int32_t kind;
    int32_t number; /* of ELEMENT */
    const byte *name; /* of KEY and DESCEND: as it stands in the document's text, escapes and all */
    size_t size;
} step;

typedef struct {
    const step *steps; /* path after path, each with a LEAF at its end */
    size_t count;
} paths;

typedef struct {
    u64 words[STATE_WORDS];
} states;

typedef void leaf_found(void *context, const byte *at, size_t size);

typedef struct {
    const paths *of;
    const byte *at, *end;
    leaf_found *found;
    void *context;
    int depth;
    int broken;
} reader;

static inline void hold(states *in, size_t state) { in->words[state / 64] |= (u64)1 << (state % 64); }
static inline int held(const states *in, size_t state) { return in->words[state / 64] >> (state % 64) & 1; }
static inline int any(const states *in) {
    u64 all = 0;
    for (int i = 0; i < STATE_WORDS; i++) all |= in->words[i];
    return all != 0;
}

static inline void blanks(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r')) in->at++;
}

static inline int next_is(reader *in, byte c) {
    blanks(in);
    if (in->at == in->end || *in->at != c) return 0;
    in->at++;
    return 1;
}

/* What stands between the quotes. */
static inline field text_in(reader *in) {
    field text = {++in->at, 0, 0};
    while (in->at < in->end && *in->at != '"') in->at += *in->at == '\\' ? 2 : 1;
    if (in->at >= in->end) {
        in->broken = 1;
        in->at = in->end;
        return text;
    }
    text.size = (size_t)(in->at++ - text.at);
    return text;
}

/* Where an object or a scalar stands and a list was expected, [*] and [0] mean the thing itself. */
static inline states itself(const reader *in, states now) {
    for (size_t state = 0; state + 1 < in->of->count; state++) {
        const step *is = in->of->steps + state;
        if (held(&now, state) && (is->kind == ANY_ELEMENT || (is->kind == ELEMENT && is->number == 0)))
            hold(&now, state + 1);
    }
    return now;
}

static inline states below_key(const reader *in, const states *now, field name) {
    states next = {{0}};
    for (size_t state = 0; state < in->of->count; state++) {
        if (!held(now, state)) continue;
        const step *is = in->of->steps + state;
        int named = is->size == name.size && !memcmp(is->name, name.at, name.size);
        if (is->kind == LEAF) hold(&next, state);
        else if (is->kind == ANY_KEY || (is->kind == KEY && named)) hold(&next, state + 1);
        else if (is->kind == DESCEND) hold(&next, named ? state + 1 : state);
    }
    return next;
}

static inline states below_element(const reader *in, const states *now, int32_t number) {
    states next = {{0}};
    for (size_t state = 0; state < in->of->count; state++) {
        if (!held(now, state)) continue;
        const step *is = in->of->steps + state;
        if (is->kind == ANY_ELEMENT) hold(&next, state + 1);
        else if (is->kind != ELEMENT) hold(&next, state);
        else if (is->number == number) hold(&next, state + 1);
    }
    return next;
}

/* Over a value that no path leads into. */
static void pass_over(reader *in) {
    size_t open = 0;
    do {
        if (in->at >= in->end) {
            in->broken = 1;
            return;
        }
        byte c = *in->at;
        if (c == '"') {
            text_in(in);
            continue;
        }
        if (c == '{' || c == '[') open++;
        else if (open && (c == '}' || c == ']')) open--;
        else if (!open && strchr(",}] \n\t\r", c)) return;
        in->at++;
        if (!open && (c == '}' || c == ']')) return;
    } while (open || in->at < in->end);
}

static void node(reader *in, states now) {
    blanks(in);
    if (!any(&now)) {
        pass_over(in);
        return;
    }
    if (in->broken || in->at >= in->end || ++in->depth > MOST_DEPTH) {
        in->broken = 1;
        return;
    }
    byte c = *in->at;
    if (c == '{') {
        now = itself(in, now);
        in->at++;
        while (!in->broken && !next_is(in, '}')) {
            if (in->at >= in->end || *in->at != '"') {
                in->broken = 1;
                return;
            }
            field name = text_in(in);
            if (!next_is(in, ':')) in->broken = 1;
            node(in, below_key(in, &now, name));
            next_is(in, ',');
        }
    } else if (c == '[') {
        in->at++;
        for (int32_t number = 0; !in->broken && !next_is(in, ']'); number++) {
            node(in, below_element(in, &now, number));
            next_is(in, ',');
        }
    } else {
        field value = {in->at, 0, 0};
        if (c == '"') {
            value = text_in(in);
        } else {
            while (in->at < in->end && !strchr(",]} \n\t\r", *in->at)) in->at++;
            value.size = (size_t)(in->at - value.at);
            value.null = value.size == 4 && !memcmp(value.at, "null", 4);
            if (!value.size) in->broken = 1;
        }
        now = itself(in, now);
        for (size_t state = 0; !value.null && state < in->of->count; state++)
            if (held(&now, state) && in->of->steps[state].kind == LEAF) {
                in->found(in->context, value.at, value.size);
                break;
            }
    }
    in->depth--;
}

#endif
