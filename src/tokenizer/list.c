#include "tokenizer/parts.h"

#include <string.h>

void weft_token_list_fini(weft_token_list *tokens)
{
    weft_free(tokens->ids);
    *tokens = (weft_token_list){0};
}

weft_status weft_token_list_add(weft_token_list *tokens, int32_t id, weft_error *error)
{
    TRY(weft_grow(&tokens->ids, &tokens->capacity, tokens->count + 1, sizeof *tokens->ids, error));
    tokens->ids[tokens->count++] = id;
    return WEFT_OK;
}

void weft_token_list_join(weft_token_list *tokens, const weft_token_list *more)
{
    if (more->count) memcpy(tokens->ids + tokens->count, more->ids, more->count * sizeof *more->ids);
    tokens->count += more->count;
}
