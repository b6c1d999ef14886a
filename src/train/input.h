/*
 * What a run reads: its data, and the tokenizer that text goes through. Text is tokenised when the input is opened,
 * unless a cache has it. Internal to train/.
 *
 * Owns: data, tokenizer and tables.  Lifetime: open to close.  Threads: one opens and closes, any may read.
 */
#ifndef WEFT_TRAIN_INPUT_H
#define WEFT_TRAIN_INPUT_H

#include "data/data.h"
#include "tokenizer/tokenizer.h"
#include "train/train.h"

typedef struct weft_input {
    weft_data *data;
    weft_tokenizer *tokenizer; /* NULL: none */
    int32_t *lengths;          /* (model.vocabulary) bytes of text that each token stands for; NULL: not known */
    weft_arena arena;
} weft_input;

/* options: stop and observer are asked and told while text is tokenised; NULL: what no cache has is not tokenised,
 * *data stays NULL, and a note says so. WEFT_INVALID by key of what is wrong; WEFT_STOPPED after a wish to stop. On
 * error nothing is left to close. */
weft_status weft_input_open(weft_input *input, const weft_config *config, const weft_train_options *options,
                            weft_text *notes, weft_error *error) WEFT_CHECKED;
void weft_input_close(weft_input *input);

/* *out is NULL where the configuration names none. WEFT_INVALID by key: there is no such tokenizer, it is another one
 * than data.tokenizer_fingerprint says, it has more tokens than the model. */
weft_status weft_input_tokenizer(const weft_config *config, weft_tokenizer **out, weft_error *error) WEFT_CHECKED;

#endif
