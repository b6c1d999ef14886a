/* The architectures of GGUF files that weft knows, as tables, and their keys in a file. */
#include "convert/gguf_kinds.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NORMS                                                                                                          \
    {"embedding.token", {"token_embd.weight"}, false}, {"norm1.weight", {"attn_norm.weight"}, false},                  \
        {"norm1.bias", {"attn_norm.bias"}, false}, {"attention.output.weight", {"attn_output.weight"}, false},         \
        {"attention.output.bias", {"attn_output.bias"}, false}, {"norm2.weight", {"ffn_norm.weight"}, false},          \
        {"norm2.bias", {"ffn_norm.bias"}, false}, {"mlp.down.weight", {"ffn_down.weight"}, false},                     \
        {"mlp.down.bias", {"ffn_down.bias"}, false}, {"final_norm.weight", {"output_norm.weight"}, false},             \
        {"final_norm.bias", {"output_norm.bias"}, false},                                                              \
    {                                                                                                                  \
        "head.weight", {"output.weight"}, false                                                                        \
    }
#define PARTS                                                                                                          \
    {"attention.qkv.weight", {"attn_q.weight", "attn_k.weight", "attn_v.weight"}, false},                              \
        {"attention.qkv.bias", {"attn_q.bias", "attn_k.bias", "attn_v.bias"}, false},                                  \
        {"attention.query_norm.weight", {"attn_q_norm.weight"}, false},                                                \
    {                                                                                                                  \
        "attention.key_norm.weight", {"attn_k_norm.weight"}, false                                                     \
    }
#define UP                                                                                                             \
    {"mlp.up.weight", {"ffn_up.weight"}, false},                                                                       \
    {                                                                                                                  \
        "mlp.up.bias", {"ffn_up.bias"}, false                                                                          \
    }

static const weft_family_tensor gated[] = {NORMS,
                                           PARTS,
                                           {"mlp.up.weight", {"ffn_gate.weight", "ffn_up.weight"}, false},
                                           {"mlp.up.bias", {"ffn_gate.bias", "ffn_up.bias"}, false},
                                           {NULL, {NULL}, false}};
static const weft_family_tensor plain[] = {NORMS, PARTS, UP, {NULL, {NULL}, false}};
static const weft_family_tensor fused[] = {NORMS,
                                           UP,
                                           {"embedding.position", {"position_embd.weight"}, false},
                                           {"attention.qkv.weight", {"attn_qkv.weight"}, false},
                                           {"attention.qkv.bias", {"attn_qkv.bias"}, false},
                                           {NULL, {NULL}, false}};

#undef NORMS
#undef PARTS
#undef UP

static const char layers[] = "blk.", mean_square[] = "attention.layer_norm_rms_epsilon",
                  mean[] = "attention.layer_norm_epsilon";

static const weft_gguf_architecture gpt2 = {"gpt2", "gpt2", NULL, mean, false, {.layers = layers, .tensors = fused}};
static const weft_gguf_architecture llama = {"llama",     "llama", "mistral",
                                             mean_square, true,    {.layers = layers, .tensors = gated}};
static const weft_gguf_architecture qwen2 = {"qwen2",     "qwen2", NULL,
                                             mean_square, false,   {.layers = layers, .tensors = gated}};
static const weft_gguf_architecture qwen3 = {"qwen3",     "qwen3", NULL,
                                             mean_square, false,   {.layers = layers, .tensors = gated}};
static const weft_gguf_architecture starcoder2 = {"starcoder2", "starcoder2", NULL,
                                                  mean,         false,        {.layers = layers, .tensors = plain}};

const weft_gguf_architecture *const *weft_gguf_architectures(void)
{
    static const weft_gguf_architecture *const all[] = {&gpt2, &llama, &qwen2, &qwen3, &starcoder2, NULL};
    return all;
}

int64_t weft_gguf_paired(const weft_gguf_architecture *architecture, const weft_model_config *model,
                         const weft_parameter *parameter, int part)
{
    bool turned = architecture->interleaved && strstr(parameter->name, ".attention.qkv.");
    return turned && part < 2 ? model->head_width : 0; /* queries and keys */
}

const char *weft_gguf_key_name(const weft_gguf_architecture *architecture, const char *key)
{
    static const char *const names[][2] = {{"layers", "block_count"},
                                           {"width", "embedding_length"},
                                           {"heads", "attention.head_count"},
                                           {"kv_heads", "attention.head_count_kv"},
                                           {"context", "context_length"},
                                           {"feed_forward", "feed_forward_length"},
                                           {"window", "attention.sliding_window"},
                                           {"head_width", "attention.key_length"}};
    if (strcmp(key, "norm_epsilon") == 0) return architecture->norm_epsilon;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], key) == 0) return names[i][1];
    return NULL;
}

bool weft_gguf_key_is_known(const weft_gguf_architecture *architecture, const char *name)
{
    static const char *const names[] = {
        "block_count",       "embedding_length",    "attention.head_count", "attention.head_count_kv",
        "context_length",    "feed_forward_length", "attention.key_length", "attention.value_length",
        "attention.causal",  "vocab_size",          "expert_count",         "expert_used_count",
        "tensor_data_layout"};
    static const char *const rotary[] = {"attention.sliding_window",
                                         "rope.dimension_count",
                                         "rope.freq_base",
                                         "rope.scale_linear",
                                         "rope.scaling.type",
                                         "rope.scaling.factor",
                                         "rope.scaling.original_context_length",
                                         "rope.scaling.finetuned",
                                         "rope.scaling.attn_factor",
                                         "rope.scaling.yarn_ext_factor",
                                         "rope.scaling.yarn_attn_factor",
                                         "rope.scaling.yarn_beta_fast",
                                         "rope.scaling.yarn_beta_slow",
                                         "rope.scaling.yarn_log_multiplier"};
    if (strcmp(name, architecture->norm_epsilon) == 0) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    for (size_t i = 0; i < sizeof rotary / sizeof *rotary; i++)
        if (strcmp(rotary[i], name) == 0) return weft_family_find(architecture->family)->rotary;
    return false;
}

const weft_gguf_value *weft_gguf_key(const weft_gguf *file, const weft_gguf_architecture *architecture,
                                     const char *name)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", architecture->name, name);
    return weft_gguf_value_find(file, key);
}

weft_status weft_gguf_copy_number(const weft_gguf *file, const weft_gguf_value *value, const char *key, weft_json *json,
                                  weft_error *error)
{
    double number = 0;
    int64_t whole = 0;
    TRY(weft_gguf_number(file, value, &number, error));
    if (!isfinite(number)) FAIL(error, WEFT_INVALID, "%s: %s: is not finite", weft_gguf_path(file), value->key);
    if (value->kind == WEFT_GGUF_FLOAT32) {
        weft_text_add_float(weft_json_item(json, key), (float)number);
    } else if (value->kind == WEFT_GGUF_FLOAT64) {
        weft_json_number(json, key, number);
    } else {
        TRY(weft_gguf_whole(file, value, &whole, error));
        weft_json_int(json, key, whole);
    }
    return WEFT_OK;
}
