/* The parts of a tokenizer.json around its model, by their types. WEFT_INVALID names the part and what is wrong in it
 * or not known. Threads: any. */
#ifndef WEFT_TOKENIZER_JSON_PARTS_H
#define WEFT_TOKENIZER_JSON_PARTS_H

#include "tokenizer/parts.h"

#include <jansson.h>

weft_status weft_json_read_normalizer(weft_tokenizer *tokenizer, const json_t *json, weft_error *error) WEFT_CHECKED;

/* *out_byte_level: words are bytes, not characters. */
weft_status weft_json_read_pre_tokenizer(weft_tokenizer *tokenizer, const json_t *json, bool *out_byte_level,
                                         weft_error *error) WEFT_CHECKED;
weft_status weft_json_read_decoder(weft_tokenizer *tokenizer, const json_t *json, weft_error *error) WEFT_CHECKED;
weft_status weft_json_read_post_processor(weft_tokenizer *tokenizer, const json_t *json,
                                          weft_error *error) WEFT_CHECKED;

/* A member that is true or false; *out stays as it is where there is none, or null. */
weft_status weft_parts_truth(const json_t *json, const char *name, bool *out, weft_error *error) WEFT_CHECKED;

#endif
