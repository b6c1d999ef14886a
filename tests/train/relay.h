/* A checkpoint handed on without training: the workers of a layout read it, and write what they have read. */
#ifndef TESTS_TRAIN_RELAY_H
#define TESTS_TRAIN_RELAY_H

#include "layouts.h"

/* From the latest checkpoint in the folder `from` into run->folder, by threads. */
weft_status test_relay(const char *from, const test_run *run, const char *corpus, const test_layout *layout,
                       weft_error *error);

#endif
