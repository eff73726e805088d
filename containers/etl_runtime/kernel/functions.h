/* The scrub functions of sql/, compiled: each gives the bytes that its SQL gives, or declines the value, which is then
   left to the SQL. */
#ifndef ETL_FUNCTIONS_H
#define ETL_FUNCTIONS_H

#include "sha256.h"

typedef struct {
    const byte *at;
    size_t size;
} text;

/* Bytes that grow; one that could not grow has `failed`. */
typedef struct {
    byte *at;
    size_t size, room;
    int failed;
} bytes;

static inline byte *grown(bytes *to, size_t by) {
    if (to->room - to->size < by) {
        size_t room = 2 * to->room + by + 256;
        byte *at = realloc(to->at, room);
        if (!at) {
            to->failed = 1;
            return NULL;
        }
        to->at = at;
        to->room = room;
    }
    byte *end = to->at + to->size;
    to->size += by;
    return end;
}

static inline void put(bytes *to, const void *at, size_t size) {
    byte *end = grown(to, size);
    if (end && size) memcpy(end, at, size);
}

static inline void put_text(bytes *to, const char *at) { put(to, at, strlen(at)); }

/* `width` digits of a number, zeros in front; its lower ones where it has more. */
static inline void put_digits(bytes *to, u64 number, int width) {
    byte *end = grown(to, (size_t)width);
    for (int i = width - 1; end && i >= 0; i--, number /= 10) end[i] = (byte)('0' + number % 10);
}

/* A function's arguments: the value, the key of a date shift, and the numbers that the rule gives. `work` is for what a
   function makes on its way. */
typedef struct {
    const keyring *keys;
    text value, key;
    int64_t low, high;
    bytes *work;
} call;

typedef int function(const call *of, bytes *to); /* 0: declined */

typedef struct {
    const char *name; /* and, behind it, how many numbers it takes, or the type that it is for */
    function *run;
    int64_t least, most; /* of `low` */
    int places;
} named_function;

/* A function for documents is one that scrub.apply knows, and its results need no escapes in JSON. */
enum { IN_COLUMNS = 1, IN_DOCUMENTS = 2 };

extern const named_function text_functions[], other_functions[];

static inline text of_bytes(const bytes *from) { return (text){from->at, from->size}; }

static inline u64 number_of(const byte *digest) {
    u64 number;
    memcpy(&number, digest, 8);
    return __builtin_bswap64(number) & 0x7fffffffffffffff;
}

/* How many characters UTF-8 has. */
static inline size_t characters(text value) {
    size_t count = 0;
    for (size_t i = 0; i < value.size; i++) count += (value.at[i] & 0xc0) != 0x80;
    return count;
}

/* Where the first `most` characters end. */
static inline size_t end_of(text value, size_t most) {
    size_t at = 0;
    for (; at < value.size; at++)
        if ((value.at[at] & 0xc0) != 0x80 && !most--) break;
    return at;
}

void put_hex(bytes *to, const byte *digest, size_t digits);

#endif
