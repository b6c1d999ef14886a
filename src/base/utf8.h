/*
 * UTF-8 (Unicode 15, table 3-7: no longer form than needed, no surrogates, nothing above U+10FFFF).
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_BASE_UTF8_H
#define WEFT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character at c, of which so many bytes may be read; 0 where there is none. */
int weft_utf8_length(const unsigned char *c, size_t room);

/* Bytes of the character at text, which ends with a zero byte, and its code point; 0 at the end or where there is none.
 */
int weft_utf8_next(const char *text, uint32_t *out_code);

/* The bytes of a code point that is one of Unicode; returns their number, 1 to 4. */
int weft_utf8_encode(uint32_t code, char out[4]);

/* Control characters, and what YAML does not take as it stands or takes for the end of a line. */
bool weft_utf8_needs_escape(uint32_t code);

#endif
