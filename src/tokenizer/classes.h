/* Classes of characters, by the tables that tiktoken and Hugging Face tokenizers use (Unicode 16). Threads: any. */
#ifndef WEFT_TOKENIZER_CLASSES_H
#define WEFT_TOKENIZER_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

typedef enum weft_class {
    WEFT_CLASS_OTHER,  /* controls, formats, what is not assigned */
    WEFT_CLASS_BLANK,  /* \s */
    WEFT_CLASS_NUMBER, /* \p{N} */
    WEFT_CLASS_UPPER,  /* \p{Lu} \p{Lt} */
    WEFT_CLASS_LOWER,  /* \p{Ll} */
    WEFT_CLASS_LETTER, /* \p{Lm} \p{Lo} */
    WEFT_CLASS_MARK,   /* \p{M} */
    WEFT_CLASS_SIGN,   /* \p{P} \p{S} */
    WEFT_CLASS_WORD,   /* a bit beside them: \w */
} weft_class;

enum { WEFT_CLASS_MASK = WEFT_CLASS_WORD - 1 };

/* The class of a code point, with the bit. */
unsigned weft_class_of(uint32_t point);

/* (128) the classes of ASCII without the bit. */
extern const unsigned char weft_ascii_classes[128];

/* The code point of the well-formed UTF-8 character at c, and its bytes. */
static inline uint32_t weft_utf8_point(const unsigned char *c, unsigned *out_length)
{
    if (c[0] < 0x80) {
        *out_length = 1;
        return c[0];
    }
    if (c[0] < 0xe0) {
        *out_length = 2;
        return (uint32_t)(c[0] & 0x1f) << 6 | (c[1] & 0x3f);
    }
    if (c[0] < 0xf0) {
        *out_length = 3;
        return (uint32_t)(c[0] & 0x0f) << 12 | (uint32_t)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    }
    *out_length = 4;
    return (uint32_t)(c[0] & 0x07) << 18 | (uint32_t)(c[1] & 0x3f) << 12 | (uint32_t)(c[2] & 0x3f) << 6 | (c[3] & 0x3f);
}

#endif
