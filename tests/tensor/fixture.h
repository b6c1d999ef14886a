/* What the tests of safetensors files share: a file in a folder that is made anew for each run, and small tensors. */
#ifndef WEFT_TEST_TENSOR_FIXTURE_H
#define WEFT_TEST_TENSOR_FIXTURE_H

#include "base/file.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern char root[], file_path[64];

int make_root(void **state); /* group set-up and tear-down of cmocka */
int remove_root(void **state);

enum { SAMPLES = 5 };
extern const weft_tensor_entry samples[SAMPLES];

void write_samples(uint64_t *checksum, uint64_t *bytes);
weft_safetensors *accepted(void); /* the file, which opens */

#endif
