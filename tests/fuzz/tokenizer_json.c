/* A tokenizer.json or, with another first byte, a tiktoken file. */
#include "fuzz.h"
#include "try_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_tokenizer("tokenizer.json", bytes, size, size && bytes[0] != '{' ? "llama3" : NULL);
    return 0;
}
