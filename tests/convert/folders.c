#include "folders.h"

#include "base/random.h"

#include <stdio.h>
#include <string.h>

char root[] = "/tmp/weft-convert-XXXXXX";

int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

int remove_root(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(root, &error) == WEFT_OK ? 0 : -1;
}

const char *const families[FAMILIES] = {"gpt2",    "llama", "llama3.1", "llama-bias",
                                        "mistral", "qwen2", "qwen3",    "starcoder2"};

enum { C = 16, F = 10, V = 23, T = 16, LAYERS = 2, H = 4, G = 2 };

#define SIZES                                                                                                          \
    "\"hidden_size\": 16, \"intermediate_size\": 10, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "           \
    "\"num_key_value_heads\": 2, \"vocab_size\": 23, \"max_position_embeddings\": 16, \"bos_token_id\": 1, "           \
    "\"torch_dtype\": \"float32\", \"transformers_version\": \"4.46.0\", \"use_cache\": true"

/* What config.json says; D, and what the tensors have besides. */
static const struct {
    const char *config;
    int64_t D;
    bool untied, output_bias, qkv_bias, mlp_bias, norm_bias, heads_norm, gated;
} rows[FAMILIES] = {
    {"{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"n_embd\": 16, \"n_layer\": 2, \"n_head\": "
     "4, "
     "\"n_positions\": 16, \"n_ctx\": 16, \"vocab_size\": 23, \"activation_function\": \"gelu_new\", \"n_inner\": "
     "null, "
     "\"layer_norm_epsilon\": 1e-05, \"attn_pdrop\": 0.1, \"task_specific_params\": {\"a\": {\"do_sample\": true}}}",
     3, .output_bias = true, .qkv_bias = true, .mlp_bias = true, .norm_bias = true},
    {"{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"hidden_act\": \"silu\", "
     "\"rms_norm_eps\": 1e-05, \"rope_theta\": 500000.0, \"rope_scaling\": null, \"tie_word_embeddings\": false, "
     "\"attention_bias\": false, \"pretraining_tp\": 1, \"head_dim\": 4, " SIZES "}",
     4, .untied = true, .gated = true},
    {"{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"rms_norm_eps\": 1e-05, "
     "\"tie_word_embeddings\": true, \"head_dim\": 6, \"eos_token_id\": [2, 3], "
     "\"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500000.0, \"factor\": 8.0, \"low_freq_factor\": "
     "1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8}, " SIZES "}",
     6, .gated = true},
    {"{\"model_type\": \"llama\", \"rms_norm_eps\": 1e-06, \"attention_bias\": true, \"mlp_bias\": true, "
     "\"head_dim\": 2, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}, " SIZES "}",
     2, .untied = true, .output_bias = true, .qkv_bias = true, .mlp_bias = true, .gated = true},
    {"{\"model_type\": \"mistral\", \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"head_dim\": 4, "
     "\"sliding_window\": 7, \"tie_word_embeddings\": false, " SIZES "}",
     4, .untied = true, .gated = true},
    {"{\"model_type\": \"qwen2\", \"rms_norm_eps\": 1e-06, \"use_sliding_window\": false, \"sliding_window\": 9, "
     "\"max_window_layers\": 1, \"layer_types\": [\"full_attention\", \"full_attention\"], \"tie_word_embeddings\": "
     "false, \"rope_theta\": 1000000.0, \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"original_max_position_embeddings\": 4, \"mscale\": 1.0, \"mscale_all_dim\": 0.5}, " SIZES "}",
     0, .untied = true, .qkv_bias = true, .gated = true},
    {"{\"model_type\": \"qwen3\", \"rms_norm_eps\": 1e-06, \"head_dim\": 8, \"attention_bias\": false, "
     "\"tie_word_embeddings\": true, \"rope_theta\": 1000000, \"hidden_act\": \"silu\", " SIZES "}",
     8, .heads_norm = true, .gated = true},
    {"{\"model_type\": \"starcoder2\", \"norm_epsilon\": 1e-05, \"use_bias\": true, \"hidden_act\": "
     "\"gelu_pytorch_tanh\", \"sliding_window\": null, " SIZES "}",
     0, .output_bias = true, .qkv_bias = true, .mlp_bias = true, .norm_bias = true},
};

void folder_add(made_folder *folder, const char *name, int32_t dimensions, int64_t r, int64_t c)
{
    assert_true(folder->count < FOLDER_TENSORS);
    folder_tensor *tensor = &folder->tensors[folder->count++];
    *tensor = (folder_tensor){.dimensions = dimensions, .shape = {r, c}};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    int64_t elements = dimensions == 2 ? r * c : r;
    tensor->values = malloc((size_t)elements * sizeof *tensor->values);
    assert_non_null(tensor->values);
    weft_random_key key = weft_random_key_make(4, name);
    for (int64_t i = 0; i < elements; i++) { /* as the smallest type holds them */
        float value = (float)weft_random_normal(key, (uint64_t)i);
        tensor->values[i] = weft_fp16_to_float(weft_fp16_from_float(weft_bf16_to_float(weft_bf16_from_float(value))));
    }
}

static void add(made_folder *folder, int32_t dimensions, int64_t r, int64_t c, const char *format, ...)
    WEFT_PRINTF(5, 6);
static void add(made_folder *folder, int32_t dimensions, int64_t r, int64_t c, const char *format, ...)
{
    char name[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    folder_add(folder, name, dimensions, r, c);
}

/* Weight (out, in) and bias of a product. */
static void add_product(made_folder *folder, const char *name, int layer, int64_t out, int64_t in, bool bias)
{
    add(folder, 2, out, in, "model.layers.%d.%s.weight", layer, name);
    if (bias) add(folder, 1, out, 0, "model.layers.%d.%s.bias", layer, name);
}

static void add_norm(made_folder *folder, const char *name, bool bias)
{
    add(folder, 1, C, 0, "%s.weight", name);
    if (bias) add(folder, 1, C, 0, "%s.bias", name);
}

static void add_gpt2(made_folder *folder)
{
    folder_add(folder, "transformer.wte.weight", 2, V, C);
    folder_add(folder, "transformer.wpe.weight", 2, T, C);
    static const struct {
        const char *name;
        int64_t in, out;
    } products[] = {{"attn.c_attn", C, 3 * C}, {"attn.c_proj", C, C}, {"mlp.c_fc", C, 4 * C}, {"mlp.c_proj", 4 * C, C}};
    for (int layer = 0; layer < LAYERS; layer++) {
        char name[64];
        for (int i = 1; i <= 2; i++) {
            snprintf(name, sizeof name, "transformer.h.%d.ln_%d", layer, i);
            add_norm(folder, name, true);
        }
        for (int i = 0; i < 4; i++) {
            add(folder, 2, products[i].in, products[i].out, "transformer.h.%d.%s.weight", layer, products[i].name);
            add(folder, 1, products[i].out, 0, "transformer.h.%d.%s.bias", layer, products[i].name);
        }
    }
    add_norm(folder, "transformer.ln_f", true);
}

static void add_llama(made_folder *folder, int row)
{
    int64_t D = rows[row].D ? rows[row].D : C / H;
    folder_add(folder, "model.embed_tokens.weight", 2, V, C);
    for (int layer = 0; layer < LAYERS; layer++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.%d.input_layernorm", layer);
        add_norm(folder, name, rows[row].norm_bias);
        snprintf(name, sizeof name, "model.layers.%d.post_attention_layernorm", layer);
        add_norm(folder, name, rows[row].norm_bias);
        add_product(folder, "self_attn.q_proj", layer, H * D, C, rows[row].qkv_bias);
        add_product(folder, "self_attn.k_proj", layer, G * D, C, rows[row].qkv_bias);
        add_product(folder, "self_attn.v_proj", layer, G * D, C, rows[row].qkv_bias);
        add_product(folder, "self_attn.o_proj", layer, C, H * D, rows[row].output_bias);
        if (rows[row].heads_norm) {
            add(folder, 1, D, 0, "model.layers.%d.self_attn.q_norm.weight", layer);
            add(folder, 1, D, 0, "model.layers.%d.self_attn.k_norm.weight", layer);
        }
        if (rows[row].gated) add_product(folder, "mlp.gate_proj", layer, F, C, rows[row].mlp_bias);
        add_product(folder, rows[row].gated ? "mlp.up_proj" : "mlp.c_fc", layer, F, C, rows[row].mlp_bias);
        add_product(folder, rows[row].gated ? "mlp.down_proj" : "mlp.c_proj", layer, C, F, rows[row].mlp_bias);
    }
    add_norm(folder, "model.norm", rows[row].norm_bias);
    if (rows[row].untied) folder_add(folder, "lm_head.weight", 2, V, C);
}

void folder_make(made_folder *folder, const char *where, const char *family)
{
    int row = 0;
    while (strcmp(families[row], family) != 0) row++;
    *folder = (made_folder){.family = families[row], .files = 1};
    snprintf(folder->path, sizeof folder->path, "%s/%s", where, family);
    snprintf(folder->config, sizeof folder->config, "%s", rows[row].config);
    if (row == 0)
        add_gpt2(folder);
    else
        add_llama(folder, row);
}

void file_put(const char *folder, const char *name, const char *text)
{
    char path[256];
    weft_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(weft_file_write(path, text, strlen(text), &error), WEFT_OK);
}

char *file_get(const char *folder, const char *name)
{
    char path[256];
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (weft_file_read(path, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    char *copy = strdup(weft_text_get(&text));
    assert_non_null(copy);
    weft_text_fini(&text);
    return copy;
}

/* Tensors from first on, as many as one file has. */
static void write_file(const made_folder *folder, int first, int count, const char *name)
{
    weft_tensor_entry entries[FOLDER_TENSORS];
    char path[256];
    weft_error error;
    for (int i = 0; i < count; i++) {
        const folder_tensor *from = &folder->tensors[first + i];
        size_t elements = (size_t)(from->dimensions == 2 ? from->shape[0] * from->shape[1] : from->shape[0]);
        size_t bytes = elements * weft_element_bytes(folder->element);
        void *data = malloc(bytes);
        assert_non_null(data);
        weft_element_from_float(folder->element, from->values, elements, data);
        entries[i] = (weft_tensor_entry){.name = from->name,
                                         .element = folder->element,
                                         .dimensions = from->dimensions,
                                         .shape = {from->shape[0], from->shape[1]},
                                         .data = data,
                                         .bytes = bytes};
    }
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    if (weft_safetensors_write(path, entries, (size_t)count, NULL, NULL, &error) != WEFT_OK) fail_msg("%s", error.text);
    for (int i = 0; i < count; i++) free((void *)(uintptr_t)entries[i].data);
}

void folder_write(const made_folder *folder)
{
    weft_error error;
    weft_text index;
    assert_int_equal(weft_folder_remove(folder->path, &error), WEFT_OK);
    assert_int_equal(weft_folder_create(folder->path, &error), WEFT_OK);
    file_put(folder->path, "config.json", folder->config);
    if (folder->files == 1) {
        write_file(folder, 0, folder->count, "model.safetensors");
        return;
    }
    weft_text_init(&index);
    weft_text_add(&index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int f = 0, first = 0; f < folder->files; f++) {
        int count = (folder->count - first) / (folder->files - f);
        char name[64];
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", f + 1, folder->files);
        write_file(folder, first, count, name);
        for (int i = first; i < first + count; i++)
            weft_text_add(&index, "%s\"%s\": \"%s\"", i ? ", " : "", folder->tensors[i].name, name);
        first += count;
    }
    weft_text_add(&index, "}}\n");
    file_put(folder->path, "model.safetensors.index.json", weft_text_get(&index));
    weft_text_fini(&index);
}

void folder_free(made_folder *folder)
{
    for (int i = 0; i < folder->count; i++) free(folder->tensors[i].values);
    folder->count = 0;
}

folder_tensor *folder_find(made_folder *folder, const char *name)
{
    for (int i = 0; i < folder->count; i++)
        if (strcmp(folder->tensors[i].name, name) == 0) return &folder->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

void folder_replace(made_folder *folder, const char *old, const char *text)
{
    char rest[sizeof folder->config];
    char *at = strstr(folder->config, old);
    if (!at) fail_msg("%s does not hold %s", folder->family, old);
    snprintf(rest, sizeof rest, "%s", at + strlen(old));
    snprintf(at, sizeof folder->config - (size_t)(at - folder->config), "%s%s", text, rest);
}
