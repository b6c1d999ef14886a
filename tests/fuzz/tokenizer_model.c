/* A tokenizer.model of SentencePiece. */
#include "fuzz.h"
#include "try_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_tokenizer("tokenizer.model", bytes, size, NULL);
    return 0;
}
