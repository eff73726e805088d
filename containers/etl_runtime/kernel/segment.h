/* Whole rows of COPY text, and where their fields end. */
#ifndef ETL_SEGMENT_H
#define ETL_SEGMENT_H

#include "digest.h"

typedef struct {
    const byte *text;
    const uint32_t *ends; /* of rows * columns fields: where the tab or the line end behind each is */
    size_t rows, columns;
} segment;

typedef struct {
    const byte *at;
    size_t size;
    int null;
} field;

static inline field field_of(const segment *in, size_t row, size_t column) {
    size_t number = row * in->columns + column;
    uint32_t start = number ? in->ends[number - 1] + 1 : 0;
    field found = {in->text + start, in->ends[number] - start, 0};
    found.null = found.size == 2 && found.at[0] == '\\' && found.at[1] == 'N';
    return found;
}

/* Where the text can be read up to. */
static inline const byte *text_end(const segment *in) {
    size_t fields = in->rows * in->columns;
    return in->text + (fields ? in->ends[fields - 1] + 1 : 0);
}

#endif
