#include "cli/sharding.h"

#include <string.h>

static weft_status find_shard(const char *name, weft_shard *out, weft_error *error)
{
    const char *const *names = weft_shard_names();
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (weft_shard)i;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "--shard: expects none, optimizer, gradients or weights, not '%s'", name);
}

weft_status weft_cli_sharding(const weft_arguments *arguments, weft_lower_options *lower, weft_error *error)
{
    int64_t data = 1, tensor = 1, buffers = 2;
    const char *shard = weft_arguments_get(arguments, "shard");
    bool early = weft_arguments_has(arguments, "reduce-early");
    TRY(weft_arguments_int(arguments, "data", 1, 1, INT32_MAX, &data, error));
    TRY(weft_arguments_int(arguments, "tensor", 1, 1, INT32_MAX, &tensor, error));
    TRY(weft_arguments_int(arguments, "buffers", 2, 1, INT32_MAX, &buffers, error));
    if (shard) TRY(find_shard(shard, &lower->shard, error));
    if (data == 1 && lower->shard != WEFT_SHARD_NONE)
        FAIL(error, WEFT_INVALID, "--shard %s needs workers to divide among: give --data 2 or more", shard);
    if (early && lower->shard < WEFT_SHARD_GRADIENTS)
        FAIL(error, WEFT_INVALID, "--reduce-early needs --shard gradients or weights: others keep whole gradients");
    lower->data = (int32_t)data;
    lower->tensor = (int32_t)tensor;
    lower->weight_buffers = lower->shard == WEFT_SHARD_WEIGHTS ? (int32_t)buffers : 0;
    lower->gradient_buffers = early ? (int32_t)buffers : 0;
    return WEFT_OK;
}
