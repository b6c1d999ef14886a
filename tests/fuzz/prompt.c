/* A prompt for models of bytes and of tokens. */
#include "fuzz.h"

#include "train/train.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    weft_config config = {.model.vocabulary = fuzz_below(&from, 2) ? 200 : 50000, .data.tokenizer = ""};
    char *prompt = fuzz_string(&from);
    weft_error error;
    weft_error_clear(&error);
    fuzz_check_refusal(weft_sample_check(&config, prompt, &error), &error);
    free(prompt);
    return 0;
}
