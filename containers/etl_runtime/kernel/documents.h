/* What scrub.json does to a jsonb value, on the value's own text. */
#ifndef ETL_DOCUMENTS_H
#define ETL_DOCUMENTS_H

#include "functions.h"

/* What holds at a value of a document: the keys whose values something holds for, something for each element, or a
   function for every leaf below. */
typedef struct {
    int32_t kind;
    int32_t below, next;  /* numbers of nodes: the first one below this, and the next one beside it; 0: none */
    const byte *key;      /* of a value under a key, as it stands in the document's text, escapes and all */
    size_t size;
    const named_function *function; /* of LEAVES */
} node;

enum { KEYS, ELEMENTS, LEAVES };

int scrubbed_document(const call *of, const node *nodes, bytes *decoded, bytes *to);

#endif
