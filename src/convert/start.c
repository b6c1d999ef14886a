/* Configurations of runs that start from weights that exist. */
#include "checkpoint/checkpoint.h"
#include "convert/weights.h"

bool weft_start_is_wanted(const weft_config *config)
{
    return *config->run.start && !weft_checkpoint_exists(config->run.folder);
}

/* What a run goes on from is not what it started from: that may be gone. */
static weft_status find(void *context, const char *start, const char *folder, weft_config_start *out, weft_error *error)
{
    weft_weights **weights = context;
    TRY(weft_weights_open(weft_checkpoint_exists(folder) ? folder : start, -1, weights, error));
    *out = (weft_config_start){.config = weft_weights_config(*weights),
                               .name = weft_weights_path(*weights),
                               .tokenizer = weft_weights_tokenizer(*weights)};
    return WEFT_OK;
}

weft_status weft_start_load(weft_config *config, const char *path, const char *const *overrides, int override_count,
                            weft_error *error)
{
    weft_weights *weights = NULL;
    weft_status status = weft_config_load_from(config, find, &weights, path, overrides, override_count, error);
    weft_weights_close(weights);
    return status;
}
