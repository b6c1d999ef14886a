/* Of which family a model is that leaves. */
#include "convert/family.h"

#include <string.h>

/* The first family that has such models; key: what keeps Llama from it. */
static weft_status choose_first(const char *checkpoint, const weft_model_config *model, const weft_family **out,
                                weft_error *error)
{
    const char *key = NULL, *least = NULL;
    for (const weft_family *const *family = weft_families(); *family; family++) {
        TRY(weft_family_compare(*family, model, &key, error));
        *out = *family;
        if (!key) return WEFT_OK;
        if (strcmp((*family)->name, "llama") == 0) least = key;
    }
    FAIL(error, WEFT_INVALID,
         "%s: no family of Hugging Face that weft knows has such a model (of Llama it differs by model.%s)", checkpoint,
         least);
}

/* The family that the run came from; the longest sequence may have been cut for training. */
static weft_status choose_known(const weft_document *document, weft_model_config *model, const weft_family **out,
                                const char **out_key, weft_error *error)
{
    weft_text yaml;
    weft_config config;
    weft_text_init(&yaml);
    weft_text_add(&yaml, "data: {path: none}\nmodel:\n");
    weft_status status = weft_family_read(document, out, &yaml, error);
    if (status == WEFT_OK)
        status = weft_config_load_text(&config, weft_text_get(&yaml), yaml.length, document->name, NULL, 0, error);
    weft_text_fini(&yaml);
    if (status != WEFT_OK) return status;
    if ((*out)->rotary && config.model.context > model->context) model->context = config.model.context;
    weft_config_fini(&config);
    return weft_family_compare(*out, model, out_key, error);
}

weft_status weft_family_choose(const char *checkpoint, const weft_document *source, weft_model_config *model,
                               const weft_family **out, weft_error *error)
{
    const char *key = NULL;
    if (source) TRY(choose_known(source, model, out, &key, error));
    if (source && !key) return WEFT_OK;
    return choose_first(checkpoint, model, out, error);
}
