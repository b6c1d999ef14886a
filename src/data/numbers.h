/*
 * Little-endian numbers of 1, 2 or 4 bytes, as files of tokens hold them, at the speed of memory.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_DATA_NUMBERS_H
#define WEFT_DATA_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

uint32_t weft_number_at(const unsigned char *bytes, size_t index, uint32_t width);

/* The largest of count numbers; 0 when there is none. */
uint32_t weft_numbers_largest(const unsigned char *bytes, size_t count, uint32_t width);

/* count numbers as int32; those that are larger than it can hold wrap round. out: (count). */
void weft_numbers_widen(const unsigned char *bytes, size_t count, uint32_t width, int32_t *out);

#endif
