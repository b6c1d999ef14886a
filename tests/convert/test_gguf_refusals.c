/*
 * What is no GGUF file that weft can train from: one line that names file and key or tensor, and nothing is written;
 * what llama.cpp has no word for; and how a model like Llama 3.1 is known by the waves that it stretches.
 */
#include "base/file.h"
#include "convert/convert.h"
#include "convert/gguf_kinds.h"
#include "folders.h"
#include "tensor/gguf_write.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A key that is put in the place of the small model's own of this name, or besides. */
typedef struct change {
    const char *key;  /* NULL: none */
    const char *text; /* or a number */
    double number;
    bool gone, truth;
} change;

/* A tensor of the small model. */
typedef struct small_tensor {
    const char *name;
    int64_t rows, columns; /* columns 0: a vector */
} small_tensor;

static const small_tensor tensors[] = {
    {"token_embd.weight", 5, 8},        {"output_norm.weight", 8, 0},    {"blk.0.attn_norm.weight", 8, 0},
    {"blk.0.attn_q.weight", 8, 8},      {"blk.0.attn_k.weight", 8, 8},   {"blk.0.attn_v.weight", 8, 8},
    {"blk.0.attn_output.weight", 8, 8}, {"blk.0.ffn_norm.weight", 8, 0}, {"blk.0.ffn_gate.weight", 4, 8},
    {"blk.0.ffn_up.weight", 4, 8},      {"blk.0.ffn_down.weight", 8, 4}, {"rope_freqs.weight", 2, 0},
};
enum { TENSORS = sizeof tensors / sizeof *tensors, MOST = 16, BYTES = 4096 };

/* Zeros, but for one value. */
typedef struct values {
    float one;
    size_t tensor;
    float row[64];
} values;

static weft_status give(void *context, size_t tensor, size_t from, size_t left, const void **out, size_t *out_count,
                        weft_error *error)
{
    values *it = context;
    (void)error;
    memset(it->row, 0, sizeof it->row);
    if (tensor == it->tensor && from == 0) it->row[0] = it->one;
    *out = it->row;
    *out_count = left < sizeof it->row ? left : sizeof it->row;
    return WEFT_OK;
}

static void put(weft_gguf_list *list, const change *it)
{
    if (it->gone) return;
    if (it->text)
        weft_gguf_put_string(list, it->key, it->text);
    else if (it->truth)
        weft_gguf_put_truth(list, it->key, it->number != 0);
    else if (it->number == floor(it->number))
        weft_gguf_put_whole(list, it->key, (uint32_t)it->number);
    else
        weft_gguf_put_number(list, it->key, it->number);
}

static void put_keys(weft_gguf_list *list, const change *other)
{
    static const change own[] = {{"general.architecture", "llama", 0, false, false},
                                 {"llama.block_count", NULL, 1, false, false},
                                 {"llama.context_length", NULL, 16, false, false},
                                 {"llama.embedding_length", NULL, 8, false, false},
                                 {"llama.feed_forward_length", NULL, 4, false, false},
                                 {"llama.attention.head_count", NULL, 2, false, false},
                                 {"llama.attention.layer_norm_rms_epsilon", NULL, 1.5e-5, false, false},
                                 {"general.name", "small", 0, false, false}};
    bool put_before = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        bool same = other->key && strcmp(own[i].key, other->key) == 0;
        put_before |= same;
        put(list, same ? other : &own[i]);
    }
    if (other->key && !put_before) put(list, other);
}

/* but: a tensor that has another size, or is there besides; its rows 0: it is left out. */
static void write_small(const char *path, const change *other, const small_tensor *but, const values *numbers)
{
    weft_gguf_list list;
    weft_error error;
    values given = *numbers;
    size_t sizes[MOST], count = 0;
    bool used = !but;
    weft_gguf_list_init(&list);
    put_keys(&list, other);
    for (size_t i = 0; i <= TENSORS; i++) {
        const small_tensor *it = i < TENSORS ? &tensors[i] : but;
        bool same = but && i < TENSORS && strcmp(but->name, it->name) == 0;
        if (same) it = but;
        if ((i == TENSORS && used) || it->rows == 0) continue;
        if (i < TENSORS && strcmp(it->name, "rope_freqs.weight") == 0 && !same) continue;
        used |= same;
        const int64_t shape[] = {it->rows, it->columns};
        if (it->name == tensors[0].name) given.tensor = count;
        sizes[count++] = weft_gguf_put_tensor(&list, it->name, WEFT_GGUF_F32, it->columns ? 2 : 1, shape);
    }
    const weft_gguf_source source = {&given, give};
    if (weft_gguf_write(&list, sizes, &source, path, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_gguf_list_fini(&list);
}

static weft_status open_and_import(const char *path, const char *run, weft_error *error)
{
    weft_gguf_model *model = NULL;
    weft_text missing;
    weft_text_init(&missing);
    weft_status status = weft_gguf_model_open(path, 0, &model, error);
    if (status == WEFT_OK) status = weft_gguf_import(model, run, &missing, error);
    weft_gguf_model_close(model);
    weft_text_fini(&missing);
    return status;
}

/* words NULL: it is taken. */
static void check(const change *other, const small_tensor *but, const values *numbers, const char *words)
{
    char path[64], run[64];
    weft_error error;
    weft_error_clear(&error);
    snprintf(path, sizeof path, "%s/a.gguf", root);
    snprintf(run, sizeof run, "%s/run", root);
    write_small(path, other, but, numbers);
    weft_status status = open_and_import(path, run, &error);
    if (!words && status == WEFT_OK) {
        assert_int_equal(weft_folder_remove(run, &error), WEFT_OK);
        return;
    }
    assert_false(weft_path_exists(run));
    if (!words || status != WEFT_INVALID || !strstr(error.text, words) ||
        strncmp(error.text, path, strlen(path)) != 0 || strchr(error.text, '\n'))
        fail_msg("%s: \"%s\" does not say \"%s\"", other->key ? other->key : but->name,
                 status == WEFT_OK ? "accepted" : error.text, words ? words : "that it is well");
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        change other;
        const char *words;
    } rows[] = {
        {{NULL, NULL, 0, false, false}, NULL},
        {{"general.architecture", NULL, 0, true, false}, "general.architecture is missing"},
        {{"general.architecture", NULL, 3, false, false}, "general.architecture: a text is expected here"},
        {{"general.architecture", "falcon", 0, false, false},
         "weft knows gpt2, llama, qwen2, qwen3 and starcoder2, not 'falcon'"},
        {{"llama.block_count", NULL, 0, true, false}, "llama.block_count is missing"},
        {{"llama.block_count", "one", 0, false, false}, "llama.block_count: a whole number is expected here"},
        {{"llama.block_count", NULL, 0, false, false}, "num_hidden_layers: must be a whole number from 1 on"},
        {{"llama.block_count", NULL, 2, false, false}, "has no tensor \"blk.1."},
        {{"llama.context_length", NULL, 1.5, false, false}, "llama.context_length: a whole number is expected here"},
        {{"llama.embedding_length", NULL, 4, false, false}, "has not the shape that its keys ask for"},
        {{"llama.attention.head_count", NULL, 0, false, false}, "must be from 1 to embedding_length"},
        {{"llama.attention.head_count", NULL, 8, false, false}, "even"},
        {{"llama.attention.head_count_kv", NULL, 3, false, false}, "kv_heads"},
        {{"llama.attention.head_count_kv", NULL, 1, false, false}, "(4, 8)"},
        {{"llama.attention.key_length", NULL, 8, false, false}, "(16, 8)"},
        {{"llama.attention.value_length", NULL, 8, false, false}, "llama.attention.value_length: differs"},
        {{"llama.rope.dimension_count", NULL, 2, false, false}, "rope.dimension_count: weft turns whole heads only"},
        {{"llama.rope.dimension_count", NULL, 4, false, false}, NULL},
        {{"llama.rope.freq_base", NULL, 0.5, false, false}, "model.rotary_base"},
        {{"llama.rope.scaling.type", "longrope", 0, false, false}, "weft knows none, linear and yarn, not 'longrope'"},
        {{"llama.rope.scaling.factor", NULL, 2.5, false, false}, NULL},
        {{"llama.rope.scaling.factor", NULL, 0, false, false}, "rope.scaling.factor: must be greater than 0"},
        {{"llama.rope.scaling.attn_factor", NULL, 1.5, false, false}, "attn_factor: weft knows 1 only but for yarn"},
        {{"llama.expert_count", NULL, 8, false, false}, "expert_count: it is a mixture of experts"},
        {{"llama.expert_count", NULL, 0, false, false}, NULL},
        {{"llama.attention.causal", NULL, 0, false, true}, "attention.causal: weft knows true only"},
        {{"llama.attention.scale", NULL, 0.5, false, false}, "llama.attention.scale: weft does not know"},
        {{"llama.logit_scale", NULL, 0.5, false, false}, "llama.logit_scale: weft does not know"},
        {{"llama.attention.sliding_window", NULL, 4, false, false}, NULL},
        {{"general.file_type", NULL, 3, false, false}, NULL},
        {{"quantize.imatrix.file", "x", 0, false, false}, NULL},
        {{"split.count", NULL, 2, false, false}, "is one of 2 parts"},
    };
    const values zeros = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(&rows[i].other, NULL, &zeros, rows[i].words);
}

static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        small_tensor but;
        const char *words;
    } rows[] = {
        {{"token_embd.weight", 0, 0}, "has no matrix \"token_embd.weight\""},
        {{"token_embd.weight", 8, 0}, "has no matrix \"token_embd.weight\""},
        {{"output_norm.weight", 0, 0}, "has no tensor \"output_norm.weight\""},
        {{"output_norm.weight", 4, 0}, "\"output_norm.weight\" has not the shape that its keys ask for, (8)"},
        {{"blk.0.attn_q.weight", 8, 4}, "\"blk.0.attn_q.weight\" has not the shape that its keys ask for, (8, 8)"},
        {{"blk.0.attn_q.bias", 8, 0}, "attention_bias and mlp_bias"},
        {{"blk.0.ffn_gate_inp.weight", 4, 8}, "tensor \"blk.0.ffn_gate_inp.weight\" is none that a model"},
        {{"blk.7.attn_q.weight", 8, 8}, "tensor \"blk.7.attn_q.weight\" is none that a model"},
        {{"output.weight", 5, 8}, NULL},
        {{"output.weight", 6, 8}, "\"output.weight\" has not the shape"},
        {{"rope_freqs.weight", 3, 0}, "\"rope_freqs.weight\" has not half a head's width"},
        {{"rope_freqs.weight", 2, 0}, "stretches positions in a way that weft does not know"},
    };
    const values zeros = {0};
    const change none = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(&none, &rows[i].but, &zeros, rows[i].words);
    const values bad[] = {{.one = NAN}, {.one = INFINITY}};
    for (int i = 0; i < 2; i++)
        check(&none, NULL, &bad[i],
              "tensor \"token_embd.weight\" holds a number that is not finite (row 0, column 0 of embedding.token)");
}

static weft_status give_factors(void *context, size_t tensor, size_t from, size_t left, const void **out,
                                size_t *out_count, weft_error *error)
{
    (void)tensor;
    (void)error;
    *out = (const char *)context + from;
    *out_count = left;
    return WEFT_OK;
}

/* Factors of a model come back as what made them, or as what makes the same. */
static void check_waves(double base, double factor, double low, double high, int64_t context, const char *words)
{
    enum { PAIRS = 64 };
    char path[64];
    float factors[PAIRS];
    weft_gguf_list list;
    weft_gguf *file = NULL;
    weft_text text;
    weft_error error;
    const int64_t shape[] = {PAIRS};
    const weft_gguf_source source = {factors, give_factors};
    const weft_model_config model = {.rotary_base = base,
                                     .rotary_factor = factor,
                                     .rotary_low = low,
                                     .rotary_high = high,
                                     .rotary_context = context};
    weft_gguf_wave_factors(&model, PAIRS, factors);
    snprintf(path, sizeof path, "%s/waves.gguf", root);
    weft_gguf_list_init(&list);
    weft_gguf_put_number(&list, "llama.rope.freq_base", base);
    size_t size = weft_gguf_put_tensor(&list, "rope_freqs.weight", WEFT_GGUF_F32, 1, shape);
    assert_int_equal(weft_gguf_write(&list, &size, &source, path, &error), WEFT_OK);
    weft_gguf_list_fini(&list);
    weft_text_init(&text);
    weft_json json = weft_json_begin(&text, WEFT_JSON_TIGHT);
    assert_int_equal(weft_gguf_open(path, &file, &error), WEFT_OK);
    if (weft_gguf_rotary(file, weft_gguf_architectures()[1], PAIRS, &json, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    if (!strstr(weft_text_get(&text), words)) fail_msg("%s does not say %s", weft_text_get(&text), words);
    weft_gguf_close(file);
    weft_text_fini(&text);
}

static void test_waves(void **state)
{
    (void)state;
    check_waves(500000, 8, 1, 4, 8192,
                "\"factor\":8,\n\"low_freq_factor\":1,\n\"high_freq_factor\":4,\n"
                "\"original_max_position_embeddings\":8192\n}");
    check_waves(500000, 32, 1, 4, 8192, "\"factor\":32,\n\"low_freq_factor\":1,\n\"high_freq_factor\":4,\n");
    check_waves(10000, 4, 2, 8, 4096, "\"high_freq_factor\":4,\n\"original_max_position_embeddings\":2048\n}");
    check_waves(500000, 8, 1, 3.5, 6000, "\"high_freq_factor\":3.5,\n\"original_max_position_embeddings\":6000\n}");
}

/* What leaves for llama.cpp has to be something that it knows. */
static void test_exports(void **state)
{
    (void)state;
    static const struct {
        const char *family, *old, *text, *words;
    } rows[] = {
        {"qwen2", "\"mscale\": 1.0", "\"truncate\": false", "llama.cpp has no yarn with model.rotary_truncate false"},
        {"qwen3", "\"rope_theta\": 1000000",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}",
         "llama.cpp has no model.rotary_scaling llama3 for models of qwen3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char run[64], path[64];
        weft_error error;
        weft_text missing;
        made_folder made;
        weft_folder *folder = NULL;
        folder_make(&made, root, rows[i].family);
        folder_replace(&made, rows[i].old, rows[i].text);
        folder_write(&made);
        snprintf(run, sizeof run, "%s/run-%zu", root, i);
        snprintf(path, sizeof path, "%s/%zu.gguf", root, i);
        if (weft_folder_open(made.path, 0, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_int_equal(weft_import(folder, run, &error), WEFT_OK);
        weft_folder_close(folder);
        weft_text_init(&missing);
        weft_status status = weft_gguf_export(run, path, WEFT_GGUF_F32, &missing, &error);
        if (status != WEFT_INVALID || !strstr(error.text, rows[i].words)) fail_msg("%s", error.text);
        assert_false(weft_path_exists(path));
        assert_int_equal(weft_gguf_export(run, root, WEFT_GGUF_F32, &missing, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "is a folder: name a file"));
        weft_text_fini(&missing);
        folder_free(&made);
    }
}

/* A weight that the type rounds to infinity. */
static void test_reach(void **state)
{
    (void)state;
    static const struct {
        float value;
        weft_gguf_type type;
        bool taken;
    } rows[] = {{3.4e38f, WEFT_GGUF_F32, true},   {3.4e38f, WEFT_GGUF_BF16, false}, {-3.39e38f, WEFT_GGUF_BF16, true},
                {65520.0f, WEFT_GGUF_F16, false}, {-65519.0f, WEFT_GGUF_F16, true}, {65520.0f, WEFT_GGUF_Q8_0, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char run[64], path[64];
        weft_error error;
        weft_text missing;
        made_folder made;
        weft_folder *folder = NULL;
        folder_make(&made, root, "llama");
        folder_find(&made, "model.embed_tokens.weight")->values[5] = rows[i].value;
        folder_write(&made);
        snprintf(run, sizeof run, "%s/reach-%zu", root, i);
        snprintf(path, sizeof path, "%s/reach-%zu.gguf", root, i);
        assert_int_equal(weft_folder_open(made.path, 0, &folder, &error), WEFT_OK);
        assert_int_equal(weft_import(folder, run, &error), WEFT_OK);
        weft_folder_close(folder);
        weft_text_init(&missing);
        weft_status status = weft_gguf_export(run, path, rows[i].type, &missing, &error);
        assert_int_equal(status, rows[i].taken ? WEFT_OK : WEFT_INVALID);
        if (!rows[i].taken) assert_non_null(strstr(error.text, "\"token_embd.weight\" holds "));
        assert_int_equal(weft_path_exists(path), rows[i].taken);
        weft_text_fini(&missing);
        folder_free(&made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),    cmocka_unit_test(test_tensors), cmocka_unit_test(test_waves),
        cmocka_unit_test(test_exports), cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests_name("convert_gguf_refusals", tests, make_root, remove_root);
}
