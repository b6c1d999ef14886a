/* Work that does not depend on the machine or its load: basic blocks that ran so far, of all threads together where
 * only one runs. Code that is linked with it is built for that (tests/train/meson.build). */
#ifndef WEFT_TESTS_COUNT_BLOCKS_H
#define WEFT_TESTS_COUNT_BLOCKS_H

#include <stdint.h>

uint64_t count_blocks(void);

#endif
