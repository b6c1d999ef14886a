/*
 * A batch of pieces (data/passages.h) as tokens: text and JSONL, chats by a template, fill-in-the-middle.
 *
 * Owns: an encoder its scratch, coded tokens theirs.  Lifetime: create to destroy.  Threads: an encoder belongs to one;
 * any number side by side.
 */
#ifndef WEFT_DATA_ENCODE_H
#define WEFT_DATA_ENCODE_H

#include "data/chat.h"
#include "data/passages.h"

/* Documents as three parts in another order: M. Bavarian et al., Efficient training of language models to fill in the
 * middle, arXiv 2207.14255. */
typedef struct weft_fill_middle {
    double rate;                    /* share of documents; 0: none */
    double suffix_first;            /* share of these: suffix, prefix, middle; the others: prefix, suffix, middle */
    int32_t prefix, middle, suffix; /* tokens in front of each part */
    uint64_t seed;
} weft_fill_middle;

typedef struct weft_encode_options {
    const weft_tokenizer *tokenizer;
    const char *field;              /* of JSONL: the text */
    const weft_chat_template *chat; /* JSONL holds chats; NULL: text */
    bool special;                   /* names of special tokens in a text are these tokens */
    bool begin;                     /* with the tokenizer's beginning of a text */
    int32_t end_of_text;            /* behind each document; -1: none */
    weft_fill_middle fill;
} weft_encode_options;

typedef struct weft_coded {
    weft_token_list tokens;
    bool *learnt; /* (tokens.count), where a chat template says it, else NULL */
    size_t learnt_capacity;
    size_t *past; /* (pieces) behind the last token of each */
    size_t past_capacity;
} weft_coded;

void weft_coded_fini(weft_coded *coded);

typedef struct weft_passage_encoder weft_passage_encoder;

weft_status weft_passage_encoder_create(const weft_encode_options *options, weft_passage_encoder **out,
                                        weft_error *error) WEFT_CHECKED;
void weft_passage_encoder_destroy(weft_passage_encoder *encoder); /* accepts NULL */

/* documents: how many began before this batch: with the seed it says which are rearranged. WEFT_INVALID names file and
 * line of what cannot be encoded. */
weft_status weft_passage_encoder_run(weft_passage_encoder *encoder, const weft_passage_batch *batch, uint64_t documents,
                                     weft_coded *out, weft_error *error) WEFT_CHECKED;

#endif
