/* The keys of what a run starts from: they take the place of defaults, and what the user says must agree with them. */
#include "config/fields.h"

#include <string.h>

/* How a model that is never initialised would have been is no part of it. */
static bool is_given(const weft_field *field)
{
    return strncmp(field->key, "model.", strlen("model.")) == 0 && strcmp(field->key, "model.init_deviation") != 0;
}

static weft_status adopt_value(weft_config *config, int index, const char *value, weft_error *error)
{
    if (config->origins[index].kind != WEFT_ORIGIN_UNSET) return WEFT_OK;
    config->origins[index].kind = WEFT_ORIGIN_START;
    return weft_field_set(config, index, value, error);
}

/* With how its words are found, which belongs to it. */
static weft_status adopt_tokenizer(weft_config *config, const weft_config_start *start, weft_error *error)
{
    int index = weft_field_find("data.tokenizer");
    if (config->origins[index].kind != WEFT_ORIGIN_UNSET) return WEFT_OK;
    TRY(adopt_value(config, index, start->tokenizer, error));
    return adopt_value(config, weft_field_find("data.tokenizer_pattern"), start->config->data.tokenizer_pattern, error);
}

weft_status weft_config_adopt(weft_config *config, const weft_config_start *start, weft_error *error)
{
    weft_text value;
    weft_text_init(&value);
    weft_status status = WEFT_OK;
    for (int i = 0; i < weft_field_count() && status == WEFT_OK; i++) {
        if (!is_given(weft_field_get(i))) continue;
        value.length = 0;
        weft_field_print(start->config, i, false, &value);
        status = weft_text_check(&value, error);
        if (status == WEFT_OK) status = adopt_value(config, i, weft_text_get(&value), error);
    }
    weft_text_fini(&value);
    return status == WEFT_OK && start->tokenizer ? adopt_tokenizer(config, start, error) : status;
}

static weft_status compare(const weft_config *config, const weft_config_start *start, int index, weft_text *own,
                           weft_text *other, weft_error *error)
{
    const char *key = weft_field_get(index)->key;
    weft_field_print(config, index, false, own);
    weft_field_print(start->config, index, false, other);
    TRY(weft_text_check(own, error));
    TRY(weft_text_check(other, error));
    if (strcmp(weft_text_get(own), weft_text_get(other)) == 0) return WEFT_OK;
    bool shorter = config->model.context < start->config->model.context;
    if (strcmp(key, "model.context") == 0 && shorter) return WEFT_OK;
    return weft_config_complain(config, key, error, "is %s, but the model in %s has %s: leave it out",
                                weft_text_get(own), start->name, weft_text_get(other));
}

weft_status weft_config_agree(const weft_config *config, const weft_config_start *start, weft_error *error)
{
    weft_status status = WEFT_OK;
    for (int i = 0; i < weft_field_count() && status == WEFT_OK; i++) {
        if (!is_given(weft_field_get(i)) || config->origins[i].kind == WEFT_ORIGIN_START) continue;
        weft_text own, other;
        weft_text_init(&own);
        weft_text_init(&other);
        status = compare(config, start, i, &own, &other, error);
        weft_text_fini(&other);
        weft_text_fini(&own);
    }
    return status;
}
