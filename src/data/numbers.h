/*
 * Little-endian numbers as files of tokens hold them, at the speed of memory.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DATA_NUMBERS_H
#define WEFT_DATA_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weft_number_type {
    WEFT_NUMBER_NONE,
    WEFT_NUMBER_UINT8,
    WEFT_NUMBER_UINT16,
    WEFT_NUMBER_UINT32,
    WEFT_NUMBER_INT8,
    WEFT_NUMBER_INT16,
    WEFT_NUMBER_INT32,
    WEFT_NUMBER_INT64,
    WEFT_NUMBER_FLOAT32, /* whole numbers are tokens */
    WEFT_NUMBER_FLOAT64,
} weft_number_type;

uint32_t weft_number_width(weft_number_type type);   /* bytes */
uint64_t weft_number_largest(weft_number_type type); /* that the type can hold, as far as int32 goes */
double weft_number_at(const unsigned char *bytes, size_t index, weft_number_type type);

/* Whether all count numbers are whole and from 0 to last. */
bool weft_numbers_fit(const unsigned char *bytes, size_t count, weft_number_type type, uint32_t last);
/* The largest of count numbers that fit; 0 when there is none. */
uint32_t weft_numbers_largest(const unsigned char *bytes, size_t count, weft_number_type type);

/* count numbers that fit, as int32. out: (count). */
void weft_numbers_widen(const unsigned char *bytes, size_t count, weft_number_type type, int32_t *out);

#endif
