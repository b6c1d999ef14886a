/* The families that weft knows, as tables. */
#include "convert/family.h"

#include <stdio.h>
#include <string.h>

#define MODEL(member) offsetof(weft_model_config, member)
#define WHOLE(name, member, absent, null)                                                                              \
    {                                                                                                                  \
        name, #member, WEFT_KEY_WHOLE, MODEL(member), absent, null                                                     \
    }
#define NUMBER(name, member, absent)                                                                                   \
    {                                                                                                                  \
        name, #member, WEFT_KEY_NUMBER, MODEL(member), absent, NULL                                                    \
    }
#define TRUTH(name, member, absent)                                                                                    \
    {                                                                                                                  \
        name, #member, WEFT_KEY_TRUTH, MODEL(member), absent, NULL                                                     \
    }

static const weft_family_key gpt2_keys[] = {
    WHOLE("n_layer", layers, NULL, NULL),
    WHOLE("n_embd", width, NULL, NULL),
    WHOLE("n_head", heads, NULL, NULL),
    WHOLE("n_inner", feed_forward, "0", "0"),
    WHOLE("vocab_size", vocabulary, NULL, NULL),
    WHOLE("n_positions", context, NULL, NULL),
    NUMBER("layer_norm_epsilon", norm_epsilon, "1.0e-05"),
    TRUTH("tie_word_embeddings", tied, "true"),
    {NULL, NULL, 0, 0, NULL, NULL},
};

/* What all that follow Llama have. */
#define LLAMA_KEYS(kv_heads_absent, norm_name, norm_absent, tied_absent)                                               \
    WHOLE("num_hidden_layers", layers, NULL, NULL), WHOLE("hidden_size", width, NULL, NULL),                           \
        WHOLE("num_attention_heads", heads, NULL, NULL), WHOLE("num_key_value_heads", kv_heads, kv_heads_absent, "0"), \
        WHOLE("intermediate_size", feed_forward, NULL, NULL), WHOLE("vocab_size", vocabulary, NULL, NULL),             \
        WHOLE("max_position_embeddings", context, NULL, NULL), NUMBER(norm_name, norm_epsilon, norm_absent),           \
        TRUTH("tie_word_embeddings", tied, tied_absent)
#define END                                                                                                            \
    {                                                                                                                  \
        NULL, NULL, 0, 0, NULL, NULL                                                                                   \
    }

static const weft_family_key llama_keys[] = {LLAMA_KEYS("0", "rms_norm_eps", "1.0e-06", "false"),
                                             WHOLE("head_dim", head_width, "0", "0"),
                                             TRUTH("attention_bias", bias, "false"), END};
static const weft_family_key mistral_keys[] = {LLAMA_KEYS(NULL, "rms_norm_eps", "1.0e-06", "false"),
                                               WHOLE("head_dim", head_width, "0", "0"),
                                               WHOLE("sliding_window", window, "4096", "0"), END};
static const weft_family_key qwen2_keys[] = {LLAMA_KEYS(NULL, "rms_norm_eps", "1.0e-06", "false"), END};
static const weft_family_key qwen3_keys[] = {LLAMA_KEYS(NULL, "rms_norm_eps", "1.0e-06", "false"),
                                             WHOLE("head_dim", head_width, "128", "0"), END};
static const weft_family_key starcoder2_keys[] = {LLAMA_KEYS(NULL, "norm_epsilon", "1.0e-05", "true"),
                                                  WHOLE("sliding_window", window, "0", "0"), END};

#undef MODEL
#undef WHOLE
#undef NUMBER
#undef TRUTH
#undef LLAMA_KEYS
#undef END

static const weft_family_word gpt2_words[] = {{"activation_function", "gelu_new|gelu_pytorch_tanh"},
                                              {"scale_attn_weights", "true"},
                                              {"scale_attn_by_inverse_layer_idx", "false"},
                                              {"reorder_and_upcast_attn", "false"},
                                              {"add_cross_attention", "false"},
                                              {NULL, NULL}};
static const weft_family_word llama_words[] = {
    {"hidden_act", "silu|swish"}, {"rope_interleaved", "false"}, {NULL, NULL}};
static const weft_family_word mistral_words[] = {{"hidden_act", "silu|swish"}, {NULL, NULL}};
static const weft_family_word qwen_words[] = {
    {"hidden_act", "silu|swish"}, {"use_sliding_window", "false"}, {"attention_bias", "false"}, {NULL, NULL}};
static const weft_family_word starcoder2_words[] = {
    {"hidden_act", "gelu_pytorch_tanh|gelu_new"}, {"use_bias", "true"}, {"mlp_type", "default"}, {NULL, NULL}};

static const weft_family_tensor gpt2_tensors[] = {
    {"embedding.token", {"transformer.wte.weight"}, false},
    {"embedding.position", {"transformer.wpe.weight"}, false},
    {"norm1.weight", {"ln_1.weight"}, false},
    {"norm1.bias", {"ln_1.bias"}, false},
    {"attention.qkv.weight", {"attn.c_attn.weight"}, true},
    {"attention.qkv.bias", {"attn.c_attn.bias"}, false},
    {"attention.output.weight", {"attn.c_proj.weight"}, true},
    {"attention.output.bias", {"attn.c_proj.bias"}, false},
    {"norm2.weight", {"ln_2.weight"}, false},
    {"norm2.bias", {"ln_2.bias"}, false},
    {"mlp.up.weight", {"mlp.c_fc.weight"}, true},
    {"mlp.up.bias", {"mlp.c_fc.bias"}, false},
    {"mlp.down.weight", {"mlp.c_proj.weight"}, true},
    {"mlp.down.bias", {"mlp.c_proj.bias"}, false},
    {"final_norm.weight", {"transformer.ln_f.weight"}, false},
    {"final_norm.bias", {"transformer.ln_f.bias"}, false},
    {"head.weight", {"lm_head.weight"}, false},
    {NULL, {NULL}, false},
};

#define ATTENTION                                                                                                      \
    {"embedding.token", {"model.embed_tokens.weight"}, false}, {"norm1.weight", {"input_layernorm.weight"}, false},    \
        {"norm1.bias", {"input_layernorm.bias"}, false},                                                               \
        {"attention.qkv.weight",                                                                                       \
         {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"},                            \
         false},                                                                                                       \
        {"attention.qkv.bias", {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"}, false},    \
        {"attention.query_norm.weight", {"self_attn.q_norm.weight"}, false},                                           \
        {"attention.key_norm.weight", {"self_attn.k_norm.weight"}, false},                                             \
        {"attention.output.weight", {"self_attn.o_proj.weight"}, false},                                               \
        {"attention.output.bias", {"self_attn.o_proj.bias"}, false},                                                   \
        {"norm2.weight", {"post_attention_layernorm.weight"}, false},                                                  \
        {"norm2.bias", {"post_attention_layernorm.bias"}, false}, {"final_norm.weight", {"model.norm.weight"}, false}, \
        {"final_norm.bias", {"model.norm.bias"}, false},                                                               \
    {                                                                                                                  \
        "head.weight", {"lm_head.weight"}, false                                                                       \
    }

static const weft_family_tensor llama_tensors[] = {
    ATTENTION,
    {"mlp.up.weight", {"mlp.gate_proj.weight", "mlp.up_proj.weight"}, false},
    {"mlp.up.bias", {"mlp.gate_proj.bias", "mlp.up_proj.bias"}, false},
    {"mlp.down.weight", {"mlp.down_proj.weight"}, false},
    {"mlp.down.bias", {"mlp.down_proj.bias"}, false},
    {NULL, {NULL}, false},
};
static const weft_family_tensor starcoder2_tensors[] = {
    ATTENTION,
    {"mlp.up.weight", {"mlp.c_fc.weight"}, false},
    {"mlp.up.bias", {"mlp.c_fc.bias"}, false},
    {"mlp.down.weight", {"mlp.c_proj.weight"}, false},
    {"mlp.down.bias", {"mlp.c_proj.bias"}, false},
    {NULL, {NULL}, false},
};

#undef ATTENTION

/* Masks and wave lengths that older versions kept with the weights. */
static const char *const gpt2_unused[] = {".attn.bias", ".attn.masked_bias", NULL};
static const char *const llama_unused[] = {".rotary_emb.inv_freq", NULL};

static const char llama_layers[] = "model.layers.";

static const weft_family gpt2 = {"gpt2",           "GPT2LMHeadModel", "  architecture: gpt2\n",
                                 "transformer.h.", "transformer.",    false,
                                 gpt2_keys,        gpt2_words,        gpt2_tensors,
                                 gpt2_unused};
static const weft_family llama = {
    "llama",       "LlamaForCausalLM", "  architecture: llama\n", llama_layers, NULL, true, llama_keys, llama_words,
    llama_tensors, llama_unused};
static const weft_family mistral = {"mistral",
                                    "MistralForCausalLM",
                                    "  architecture: llama\n",
                                    llama_layers,
                                    NULL,
                                    true,
                                    mistral_keys,
                                    mistral_words,
                                    llama_tensors,
                                    llama_unused};
static const weft_family qwen2 = {"qwen2",
                                  "Qwen2ForCausalLM",
                                  "  architecture: llama\n  qkv_bias: true\n",
                                  llama_layers,
                                  NULL,
                                  true,
                                  qwen2_keys,
                                  qwen_words,
                                  llama_tensors,
                                  llama_unused};
static const weft_family qwen3 = {"qwen3",
                                  "Qwen3ForCausalLM",
                                  "  architecture: llama\n  query_key_norm: true\n",
                                  llama_layers,
                                  NULL,
                                  true,
                                  qwen3_keys,
                                  qwen_words,
                                  llama_tensors,
                                  llama_unused};
static const weft_family starcoder2 = {"starcoder2",
                                       "Starcoder2ForCausalLM",
                                       "  architecture: gpt2\n  position: rotary\n",
                                       llama_layers,
                                       NULL,
                                       true,
                                       starcoder2_keys,
                                       starcoder2_words,
                                       starcoder2_tensors,
                                       llama_unused};

const weft_family *const *weft_families(void)
{
    static const weft_family *const families[] = {&gpt2, &llama, &mistral, &qwen2, &qwen3, &starcoder2, NULL};
    return families;
}

const weft_family *weft_family_find(const char *name)
{
    const weft_family *const *family = weft_families();
    while (*family && strcmp((*family)->name, name) != 0) family++;
    return *family;
}

/* A parameter's name without "layer.N.". */
static const char *kind_name(const weft_parameter *parameter)
{
    const char *name = parameter->name;
    return strncmp(name, "layer.", 6) == 0 ? strchr(name + 6, '.') + 1 : name;
}

int weft_family_bands(const weft_family *family, const weft_parameter *parameter, weft_band out[WEFT_FAMILY_PARTS],
                      bool *out_transposed)
{
    const char *kind = kind_name(parameter);
    const weft_family_tensor *row = family->tensors;
    while (row->parameter && strcmp(row->parameter, kind) != 0) row++;
    int count = 0;
    int64_t first = 0;
    for (; row->parameter && count < WEFT_FAMILY_PARTS && row->names[count]; count++) {
        weft_band *band = &out[count];
        bool single = count == 0 && !row->names[1];
        *band = (weft_band){.first = first, .rows = single ? parameter->shape[0] : parameter->bands[count]};
        if (kind == parameter->name)
            snprintf(band->name, sizeof band->name, "%s", row->names[count]);
        else
            snprintf(band->name, sizeof band->name, "%s%d.%s", family->layers, (int)parameter->layer,
                     row->names[count]);
        first += band->rows;
    }
    *out_transposed = row->transposed;
    return count;
}

const char *const weft_folder_files[] = {"tokenizer.json",
                                         "tokenizer_config.json",
                                         "tokenizer.model",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         "generation_config.json",
                                         "chat_template.jinja",
                                         "vocab.json",
                                         "merges.txt",
                                         "vocab.txt",
                                         NULL};
