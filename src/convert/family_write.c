/* config.json of a model. Positions are written as all versions of transformers read them. */
#include "convert/family.h"

#include "base/json.h"

#include <string.h>

static const weft_family_key *find_key(const weft_family *family, const char *key)
{
    for (const weft_family_key *row = family->keys; row->name; row++)
        if (strcmp(row->key, key) == 0) return row;
    return NULL;
}

/* The model that the preset and nothing else makes. */
static weft_status preset_of(const weft_family *family, weft_config *out, weft_error *error)
{
    weft_text yaml;
    weft_text_init(&yaml);
    weft_text_add(&yaml, "data: {path: none}\nmodel:\n%s", family->preset);
    weft_status status = weft_text_check(&yaml, error);
    if (status == WEFT_OK)
        status = weft_config_load_text(out, weft_text_get(&yaml), yaml.length, family->name, NULL, 0, error);
    weft_text_fini(&yaml);
    return status;
}

weft_status weft_family_compare(const weft_family *family, const weft_model_config *model, const char **out_key,
                                weft_error *error)
{
    weft_config preset;
    TRY(preset_of(family, &preset, error));
    const weft_model_config *own = &preset.model;
    const struct {
        const char *key;
        bool differs;
    } rows[] = {{"norm", model->norm != own->norm},
                {"position", model->position != own->position},
                {"activation", model->activation != own->activation},
                {"bias", model->bias != own->bias},
                {"qkv_bias", model->qkv_bias != own->qkv_bias},
                {"query_key_norm", model->query_key_norm != own->query_key_norm},
                {"window", model->window != 0},
                {"kv_heads", model->kv_heads != model->heads},
                {"head_width", model->head_width * model->heads != model->width}};
    *out_key = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !*out_key; i++)
        if (rows[i].differs && !find_key(family, rows[i].key)) *out_key = rows[i].key;
    weft_config_fini(&preset);
    return WEFT_OK;
}

static void write_value(weft_json *json, const weft_family_key *key, const weft_model_config *model)
{
    const char *at = (const char *)model + key->offset;
    int64_t whole;
    if (key->kind == WEFT_KEY_TRUTH) {
        weft_json_truth(json, key->name, *(const bool *)(const void *)at);
    } else if (key->kind == WEFT_KEY_NUMBER) {
        weft_json_number(json, key->name, *(const double *)(const void *)at);
    } else {
        memcpy(&whole, at, sizeof whole);
        if (whole == 0)
            weft_json_null(json, key->name);
        else
            weft_json_int(json, key->name, whole);
    }
}

/* How the feed-forward net is activated; the others are what they are where they are missing. */
static void write_activation(weft_json *json, const weft_family_word *word)
{
    weft_text first;
    weft_text_init(&first);
    weft_text_add_bytes(&first, word->words, strcspn(word->words, "|"));
    weft_json_text(json, word->name, weft_text_get(&first));
    weft_text_fini(&first);
}

static void write_rotary(weft_json *json, const weft_model_config *model)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    weft_json_number(json, "rope_theta", model->rotary_base);
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_NONE) {
        weft_json_null(json, "rope_scaling");
        return;
    }
    weft_json_object(json, "rope_scaling", WEFT_JSON_LINES);
    weft_json_text(json, "rope_type", names[model->rotary_scaling]);
    for (const weft_family_key *key = weft_rotary_keys; key->name; key++) {
        bool by_factor = strcmp(key->key, "rotary_magnitude") == 0 && model->rotary_magnitude == 0;
        if (weft_rotary_has(model->rotary_scaling, key->name) && !by_factor) write_value(json, key, model);
    }
    weft_json_object_end(json);
}

/* As it was read; how deep a document nests is limited. */
static void write_node(weft_json *json, const char *key, const weft_node *node)
{
    if (node->kind == WEFT_NODE_TEXT && node->quoted) {
        weft_json_text(json, key, node->text);
    } else if (node->kind == WEFT_NODE_TEXT) {
        weft_text_add(weft_json_item(json, key), "%s", node->text);
    } else {
        bool map = node->kind == WEFT_NODE_MAP;
        if (map)
            weft_json_object(json, key, WEFT_JSON_LINES);
        else
            weft_json_list(json, key, WEFT_JSON_ROW);
        for (const weft_node *child = node->first; child; child = child->next)
            write_node(json, map ? child->key : NULL, child);
        if (map)
            weft_json_object_end(json);
        else
            weft_json_list_end(json);
    }
}

/* Those that this family reads, so that what is written can be read again. */
static void write_idle(weft_json *json, const weft_document *source)
{
    for (const weft_node *node = source->root->first; node; node = node->next)
        if (weft_family_is_idle(node->key)) write_node(json, node->key, node);
}

void weft_family_write(const weft_family *family, const weft_model_config *model, const weft_document *source,
                       weft_element element, weft_text *out)
{
    static const char *const types[] = {"float32", "bfloat16", "float16"};
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_list(&json, "architectures", WEFT_JSON_ROW);
    weft_json_text(&json, NULL, family->architecture);
    weft_json_list_end(&json);
    weft_json_text(&json, "model_type", family->name);
    for (const weft_family_key *key = family->keys; key->name; key++) write_value(&json, key, model);
    if (strcmp(family->name, "llama") == 0) weft_json_truth(&json, "mlp_bias", model->bias);
    write_activation(&json, family->words);
    if (family->rotary) write_rotary(&json, model);
    if (source) write_idle(&json, source);
    weft_json_text(&json, "torch_dtype", types[element]);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}
