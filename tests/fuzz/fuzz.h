/*
 * What fuzz targets share. A target is a file with LLVMFuzzerTestOneInput: any bytes at all must not crash it, hang it,
 * leak, or break a property that it checks. libFuzzer drives it (make fuzz), or replay.c, which runs it over the inputs
 * that are kept in corpus/ (the fast tests).
 *
 * Threads: one.
 */
#ifndef WEFT_TESTS_FUZZ_FUZZ_H
#define WEFT_TESTS_FUZZ_FUZZ_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Aborts with the words when a property does not hold. */
void fuzz_check(bool holds, const char *words);

/* Aborts unless a status that is not WEFT_OK comes with one line of text, and is one that bad input can cause. */
void fuzz_check_refusal(weft_status status, const weft_error *error);

/* Bytes as numbers; zeros once they are used up. */
typedef struct fuzz_source {
    const uint8_t *at;
    size_t left;
} fuzz_source;

uint32_t fuzz_below(fuzz_source *from, uint32_t sides); /* 0 .. sides - 1; sides up to 65536 */

/* The bytes up to the next zero byte, or all that are left, as a string of the caller's to free. */
char *fuzz_string(fuzz_source *from);

/* A folder of this process, removed at its end, and a file in it with these bytes; both borrowed. */
const char *fuzz_folder(void);
const char *fuzz_file(const char *name, const uint8_t *bytes, size_t size);

#endif
