/* The metadata of a GGUF file as a config.json. What is not known is refused: it may change what the model computes. */
#include "convert/gguf_kinds.h"

#include <stdio.h>
#include <string.h>

/* A file that is being described. */
typedef struct describing {
    const weft_gguf *file;
    const weft_gguf_architecture *architecture;
    const weft_family *family;
    weft_json *json;
    weft_error *error;
} describing;

static weft_status find_architecture(const weft_gguf *file, const weft_gguf_architecture **out, weft_error *error)
{
    const weft_gguf_value *value = weft_gguf_value_find(file, "general.architecture");
    weft_gguf_text name = {NULL, 0};
    if (!value) FAIL(error, WEFT_INVALID, "%s: general.architecture is missing", weft_gguf_path(file));
    TRY(weft_gguf_string(file, value, &name, error));
    for (const weft_gguf_architecture *const *row = weft_gguf_architectures(); *row; row++) {
        *out = *row;
        if (weft_gguf_text_is(name, (*row)->name)) return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID,
         "%s: general.architecture: weft knows gpt2, llama, qwen2, qwen3 and starcoder2, not '%.*s'",
         weft_gguf_path(file), (int)(name.length < 40 ? name.length : 40), name.bytes);
}

/* A whole number of the file; WEFT_INVALID where it is missing. */
static weft_status get_whole(const describing *it, const char *name, int64_t *out)
{
    const weft_gguf_value *value = weft_gguf_key(it->file, it->architecture, name);
    if (value) return weft_gguf_whole(it->file, value, out, it->error);
    FAIL(it->error, WEFT_INVALID, "%s: %s.%s is missing", weft_gguf_path(it->file), it->architecture->name, name);
}

/* The same; what it is where it is missing stands in *out. */
static weft_status get_optional(const describing *it, const char *name, int64_t *out)
{
    return weft_gguf_key(it->file, it->architecture, name) ? get_whole(it, name, out) : WEFT_OK;
}

static weft_status refuse(const describing *it, const char *name, const char *what)
{
    FAIL(it->error, WEFT_INVALID, "%s: %s.%s: %s", weft_gguf_path(it->file), it->architecture->name, name, what);
}

/* Keys that may only have one value. */
static weft_status check_fixed(const describing *it)
{
    int64_t experts = 0;
    bool causal = true;
    const weft_gguf_value *value = weft_gguf_key(it->file, it->architecture, "attention.causal");
    TRY(get_optional(it, "expert_count", &experts));
    if (experts > 0) return refuse(it, "expert_count", "it is a mixture of experts, which weft does not train");
    if (value) TRY(weft_gguf_truth(it->file, value, &causal, it->error));
    return causal ? WEFT_OK : refuse(it, "attention.causal", "weft knows true only");
}

/* Those of the architecture; keys of others, of tokenizers, of programs and about the file say nothing of the model. */
static weft_status check_known(const describing *it)
{
    size_t length = strlen(it->architecture->name);
    for (size_t i = 0; i < weft_gguf_value_count(it->file); i++) {
        const char *key = weft_gguf_value_get(it->file, i)->key;
        if (strncmp(key, it->architecture->name, length) != 0 || key[length] != '.') continue;
        if (weft_gguf_key_is_known(it->architecture, key + length + 1)) continue;
        FAIL(it->error, WEFT_INVALID, "%s: %.80s: weft does not know what this key does to the model",
             weft_gguf_path(it->file), key);
    }
    return WEFT_OK;
}

/* The width of queries' and keys' heads, which values' and rotations must have too. */
static weft_status get_head_width(const describing *it, int64_t *out)
{
    int64_t width = 0, heads = 0;
    TRY(get_whole(it, "embedding_length", &width));
    TRY(get_whole(it, "attention.head_count", &heads));
    if (heads < 1 || width < heads) return refuse(it, "attention.head_count", "must be from 1 to embedding_length");
    *out = width / heads;
    TRY(get_optional(it, "attention.key_length", out));
    if (*out < 1 || *out > INT32_MAX) return refuse(it, "attention.key_length", "out of range");
    int64_t values = *out, turned = *out, own = width / heads;
    TRY(get_optional(it, "attention.value_length", &values));
    TRY(get_optional(it, "rope.dimension_count", &turned));
    if (values != *out) return refuse(it, "attention.value_length", "differs from that of keys");
    if (turned != *out) return refuse(it, "rope.dimension_count", "weft turns whole heads only");
    for (const weft_family_key *key = it->family->keys; key->name; key++)
        if (strcmp(key->key, "head_width") == 0) own = *out;
    if (own != *out) return refuse(it, "attention.key_length", "such models have embedding_length / head_count");
    return WEFT_OK;
}

static const weft_gguf_tensor *find_bias(const describing *it, const char *name)
{
    char tensor[64];
    snprintf(tensor, sizeof tensor, "blk.0.%s.bias", name);
    return weft_gguf_find(it->file, tensor);
}

static weft_status write_vocabulary(const describing *it, const char *name)
{
    const weft_gguf_tensor *token = weft_gguf_find(it->file, "token_embd.weight");
    if (!token || token->dimensions != 2)
        FAIL(it->error, WEFT_INVALID, "%s: has no matrix \"token_embd.weight\"", weft_gguf_path(it->file));
    weft_json_int(it->json, name, token->shape[0]);
    return WEFT_OK;
}

/* What a file says by which tensors it has, or in another way than by a key of the same meaning. */
static weft_status write_special(const describing *it, const weft_family_key *key, bool *out_done)
{
    int64_t whole = 0;
    *out_done = true;
    if (strcmp(key->key, "vocabulary") == 0) return write_vocabulary(it, key->name);
    if (strcmp(key->key, "tied") == 0) {
        weft_json_truth(it->json, key->name, !weft_gguf_find(it->file, "output.weight"));
    } else if (strcmp(key->key, "bias") == 0) {
        weft_json_truth(it->json, key->name, find_bias(it, "attn_q") != NULL);
        weft_json_truth(it->json, "mlp_bias", find_bias(it, "ffn_up") != NULL);
    } else if (strcmp(key->key, "head_width") == 0) {
        TRY(get_head_width(it, &whole));
        weft_json_int(it->json, key->name, whole);
    } else if (strcmp(key->key, "kv_heads") == 0) {
        TRY(get_whole(it, "attention.head_count", &whole));
        TRY(get_optional(it, "attention.head_count_kv", &whole));
        weft_json_int(it->json, key->name, whole);
    } else {
        *out_done = false;
    }
    return WEFT_OK;
}

static weft_status write_key(const describing *it, const weft_family_key *key)
{
    bool done = false;
    int64_t whole = 0;
    TRY(write_special(it, key, &done));
    if (done) return WEFT_OK;
    const char *name = weft_gguf_key_name(it->architecture, key->key);
    const weft_gguf_value *value = weft_gguf_key(it->file, it->architecture, name);
    if (!value && strcmp(key->key, "window") == 0) {
        weft_json_null(it->json, key->name);
        return WEFT_OK;
    }
    if (value && key->kind == WEFT_KEY_NUMBER)
        return weft_gguf_copy_number(it->file, value, key->name, it->json, it->error);
    TRY(get_whole(it, name, &whole));
    weft_json_int(it->json, key->name, whole);
    return WEFT_OK;
}

/* Which tokens begin and end a text. */
static weft_status write_ends(const describing *it)
{
    static const char *const names[][2] = {{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                           {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                           {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int64_t id = 0;
        const weft_gguf_value *value = weft_gguf_value_find(it->file, names[i][1]);
        if (!value) continue;
        TRY(weft_gguf_whole(it->file, value, &id, it->error));
        weft_json_int(it->json, names[i][0], id);
    }
    return WEFT_OK;
}

static weft_status write_keys(const describing *it)
{
    int64_t width = 0;
    TRY(check_known(it));
    TRY(check_fixed(it));
    TRY(get_head_width(it, &width));
    weft_json_list(it->json, "architectures", WEFT_JSON_ROW);
    weft_json_text(it->json, NULL, it->family->architecture);
    weft_json_list_end(it->json);
    weft_json_text(it->json, "model_type", it->family->name);
    for (const weft_family_key *key = it->family->keys; key->name; key++) TRY(write_key(it, key));
    if (it->family->rotary) TRY(weft_gguf_rotary(it->file, it->architecture, width / 2, it->json, it->error));
    return write_ends(it);
}

weft_status weft_gguf_config(const weft_gguf *file, const weft_gguf_architecture **out, weft_text *json,
                             weft_error *error)
{
    TRY(find_architecture(file, out, error));
    weft_json writer = weft_json_begin(json, WEFT_JSON_WIDE);
    describing it = {.file = file, .architecture = *out, .json = &writer, .error = error};
    bool windowed = weft_gguf_key(file, *out, "attention.sliding_window") && (*out)->windowed;
    it.family = weft_family_find(windowed ? (*out)->windowed : (*out)->family);
    weft_json_object(&writer, NULL, WEFT_JSON_LINES);
    TRY(write_keys(&it));
    weft_json_object_end(&writer);
    weft_text_add(json, "\n");
    return weft_text_check(json, error);
}
