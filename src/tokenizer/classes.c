#include "tokenizer/classes.h"

/* class_blocks: blocks of 128 characters, each kept once; class_index: the block of each 128. */
#include "tokenizer/classes.def"

enum { BLOCK = 128, POINTS = 0x110000 };

const unsigned char weft_ascii_classes[BLOCK] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 7, 7, 7, 7, 7, 7,
    7, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 7, 7, 7, 7, 7,
    7, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 7, 7, 7, 7, 0,
};

unsigned weft_class_of(uint32_t point)
{
    return point < POINTS ? class_blocks[class_index[point / BLOCK] * BLOCK + point % BLOCK] : WEFT_CLASS_OTHER;
}
