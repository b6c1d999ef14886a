/* What the tests of data/ share: a folder that is made anew for each run, files in it, data opened and refused. */
#ifndef WEFT_TEST_DATA_FIXTURE_H
#define WEFT_TEST_DATA_FIXTURE_H

#include "data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int test_make_root(void **state); /* group set-up and tear-down of cmocka */
int test_remove_root(void **state);

const char *test_path(const char *name); /* in the folder; a few may be in use at once */
const char *test_put(const char *name, const void *bytes, size_t count);
const char *test_put_text(const char *name, const char *text);
void test_make_folder(const char *name);

/* Numbers of 1, 2, 4 or 8 bytes, little-endian or big-endian. */
const char *test_put_numbers(const char *name, const uint32_t *numbers, size_t count, int width, bool big);

/* Tokens of T, held-out share; vocabulary 2^30, seed 5. */
weft_data_options test_options(const char *path, int64_t tokens, double held_out);

weft_data *test_open(weft_data_options options);
void test_refuse(weft_data_options options, const char *words); /* with status WEFT_INVALID and these words */

/* Whether a message or a text has the words; fails with both when not. */
void test_says(const char *text, const char *words);

/* What weft_data_describe says, until the next call. */
const char *test_notes(const weft_data *data);

#endif
