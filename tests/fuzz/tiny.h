/* What the fuzz targets of tokenising share: a tokenizer of bytes with the special tokens of all chat templates.
 * Threads: one. */
#ifndef WEFT_TESTS_FUZZ_TINY_H
#define WEFT_TESTS_FUZZ_TINY_H

#include "data/chat.h"

enum { TINY_END = 260, TINY_FIM_PREFIX, TINY_FIM_SUFFIX, TINY_FIM_MIDDLE, TINY_TEMPLATES = 4 };

const weft_tokenizer *tiny_tokenizer(void);               /* made once, borrowed */
const weft_chat_template *tiny_template(uint32_t number); /* 0 .. TINY_TEMPLATES - 1 */

#endif
