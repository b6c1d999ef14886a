/* The metadata of a GGUF file that is written: the model's keys and the tokenizer's. */
#include "convert/gguf_keys.h"

#include "base/file.h"
#include "convert/place.h"
#include "tokenizer/gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_whole(const weft_gguf_leaving *it, const char *name, int64_t value)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", it->architecture->name, name);
    weft_gguf_put_whole(it->list, key, (uint32_t)value);
}

static void put_number(const weft_gguf_leaving *it, const char *name, double value)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", it->architecture->name, name);
    weft_gguf_put_number(it->list, key, value);
}

static void put_model(const weft_gguf_leaving *it)
{
    for (const weft_family_key *key = it->family->keys; key->name; key++) {
        const char *at = (const char *)it->model + key->offset, *name = weft_gguf_key_name(it->architecture, key->key);
        int64_t whole = 0;
        if (!name) continue; /* said by which tensors there are */
        if (key->kind == WEFT_KEY_NUMBER) {
            put_number(it, name, *(const double *)(const void *)at);
            continue;
        }
        memcpy(&whole, at, sizeof whole);
        if (whole > 0) put_whole(it, name, whole);
        if (whole > 0 && strcmp(key->key, "head_width") == 0) put_whole(it, "attention.value_length", whole);
    }
    put_whole(it, "vocab_size", it->model->vocabulary);
}

static void put_scaling(const weft_gguf_leaving *it, const char *type)
{
    char key[128];
    snprintf(key, sizeof key, "%s.rope.scaling.type", it->architecture->name);
    weft_gguf_put_string(it->list, key, type);
    put_number(it, "rope.scaling.factor", it->model->rotary_factor);
}

/* llama.cpp multiplies by what follows from the stretch, and then by this. */
static void put_yarn(const weft_gguf_leaving *it)
{
    const weft_model_config *model = it->model;
    int64_t context = model->rotary_context > 0 ? model->rotary_context : model->context;
    double usual = 0.1 * log(model->rotary_factor) + 1;
    put_scaling(it, "yarn");
    put_whole(it, "rope.scaling.original_context_length", context);
    if (model->rotary_magnitude > 0) put_number(it, "rope.scaling.attn_factor", model->rotary_magnitude / usual);
    if (model->rotary_fast != 32) put_number(it, "rope.scaling.yarn_beta_fast", model->rotary_fast);
    if (model->rotary_slow != 1) put_number(it, "rope.scaling.yarn_beta_slow", model->rotary_slow);
}

static weft_status put_rotary(const weft_gguf_leaving *it, weft_error *error)
{
    const weft_model_config *model = it->model;
    bool yarn = model->rotary_scaling == WEFT_CONFIG_SCALING_YARN;
    if (yarn && !model->rotary_truncate)
        FAIL(error, WEFT_INVALID, "llama.cpp has no yarn with model.rotary_truncate false");
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_LLAMA3 && !it->architecture->interleaved)
        FAIL(error, WEFT_INVALID, "llama.cpp has no model.rotary_scaling llama3 for models of %s",
             it->architecture->name);
    put_whole(it, "rope.dimension_count", model->head_width);
    put_number(it, "rope.freq_base", model->rotary_base);
    if (model->rotary_scaling == WEFT_CONFIG_SCALING_LINEAR) put_scaling(it, "linear");
    if (yarn) put_yarn(it);
    return WEFT_OK;
}

weft_status weft_gguf_put_keys(const weft_gguf_leaving *it, weft_gguf_type type, weft_error *error)
{
    static const uint32_t file_types[] = {
        [WEFT_GGUF_F32] = 0, [WEFT_GGUF_F16] = 1, [WEFT_GGUF_BF16] = 32, [WEFT_GGUF_Q8_0] = 7};
    weft_gguf_put_string(it->list, "general.architecture", it->architecture->name);
    weft_gguf_put_string(it->list, "general.type", "model");
    weft_gguf_put_whole(it->list, "general.file_type", file_types[type]);
    weft_gguf_put_whole(it->list, "general.quantization_version", 2);
    put_model(it);
    return it->family->rotary ? put_rotary(it, error) : WEFT_OK;
}

/* The number of a key of config.json, or the first of a list of them. */
static int64_t id_in(const weft_document *document, const char *key)
{
    const weft_node *node = document ? weft_node_get(document->root, key) : NULL;
    double number = -1;
    weft_error ignored;
    if (node && node->kind == WEFT_NODE_LIST) node = node->first;
    if (!node || node->kind != WEFT_NODE_TEXT) return -1;
    if (weft_node_number(document, node, &number, &ignored) != WEFT_OK) return -1;
    return number >= 0 && number <= INT32_MAX ? (int64_t)number : -1;
}

/* The token that tokenizer_config.json names, a text or a map with one, else what config.json has. */
static int64_t find_end(const weft_gguf_leaving *it, const weft_tokenizer *tokenizer, const weft_document *settings,
                        const char *name, const char *key)
{
    const weft_node *node = settings ? weft_node_get(settings->root, name) : NULL;
    if (node && node->kind == WEFT_NODE_MAP) node = weft_node_get(node, "content");
    int32_t id = -1;
    if (node && node->kind == WEFT_NODE_TEXT && node->quoted)
        id = weft_tokenizer_find(tokenizer, node->text, strlen(node->text));
    return id >= 0 ? id : id_in(it->document, key);
}

/* How a conversation is written, in a file of its own or in tokenizer_config.json. */
static weft_status put_chat(const weft_gguf_leaving *it, const weft_document *settings, weft_error *error)
{
    weft_text path, text;
    const weft_node *chat = settings ? weft_node_get(settings->root, "chat_template") : NULL;
    if (!it->source) return WEFT_OK;
    weft_text_init(&path);
    weft_text_init(&text);
    weft_text_add(&path, "%s/chat_template.jinja", it->source);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK && weft_path_exists(weft_text_get(&path)))
        status = weft_file_read(weft_text_get(&path), &text, error);
    else if (chat && chat->kind == WEFT_NODE_TEXT && chat->quoted)
        weft_text_add(&text, "%s", chat->text);
    if (status == WEFT_OK) status = weft_text_check(&text, error);
    if (status == WEFT_OK && text.length > 0)
        weft_gguf_put_string(it->list, "tokenizer.chat_template", weft_text_get(&text));
    weft_text_fini(&text);
    weft_text_fini(&path);
    return status;
}

static weft_status put_with(const weft_gguf_leaving *it, const weft_tokenizer *tokenizer, const weft_document *settings,
                            weft_error *error)
{
    const weft_gguf_ends ends = {.begin = find_end(it, tokenizer, settings, "bos_token", "bos_token_id"),
                                 .end = find_end(it, tokenizer, settings, "eos_token", "eos_token_id"),
                                 .padding = find_end(it, tokenizer, settings, "pad_token", "pad_token_id")};
    TRY(weft_gguf_tokenizer_put(tokenizer, it->model->vocabulary, ends, it->list, error));
    return put_chat(it, settings, error);
}

/* With what the source says besides its tokenizer. */
static weft_status put_settled(const weft_gguf_leaving *it, const weft_tokenizer *tokenizer, weft_error *error)
{
    weft_text path;
    weft_document settings;
    if (!it->source || !weft_place_holds(it->source, "tokenizer_config.json"))
        return put_with(it, tokenizer, NULL, error);
    weft_text_init(&path);
    weft_text_add(&path, "%s/tokenizer_config.json", it->source);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_document_read(&settings, weft_text_get(&path), error);
    weft_text_fini(&path);
    if (status != WEFT_OK) return status;
    status = put_with(it, tokenizer, &settings, error);
    weft_document_fini(&settings);
    return status;
}

static weft_status put_tokenizer(const weft_gguf_leaving *it, weft_error *error)
{
    weft_tokenizer *tokenizer = NULL;
    bool kept = it->source && weft_place_has_tokenizer(it->source);
    const char *path = kept ? it->source : it->config->data.tokenizer;
    if (!*path) FAIL(error, WEFT_INVALID, "the run has none");
    TRY(weft_tokenizer_create(path, kept ? NULL : it->config->data.tokenizer_pattern, &tokenizer, error));
    weft_status status = put_settled(it, tokenizer, error);
    weft_tokenizer_destroy(tokenizer);
    return status;
}

/* Without one the file is of use to programs that give token numbers. */
weft_status weft_gguf_put_tokenizer(const weft_gguf_leaving *it, weft_text *out_missing, weft_error *error)
{
    weft_error why;
    uint64_t values = it->list->value_count;
    size_t length = it->list->values.length;
    weft_error_clear(&why);
    weft_status status = put_tokenizer(it, &why);
    if (status == WEFT_OK) return WEFT_OK;
    if (status != WEFT_INVALID) FAIL(error, status, "%s", why.text);
    it->list->value_count = values; /* what was put before it failed */
    it->list->values.length = length;
    weft_gguf_put_string(it->list, "tokenizer.ggml.model", "none");
    weft_text_add(out_missing, "%s", why.text);
    return WEFT_OK;
}
