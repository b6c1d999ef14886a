/* What is no folder that weft can train from: one line that names file and key or tensor, and nothing is written. */
#include "folders.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void refuses(const made_folder *folder, const char *words)
{
    char run[160];
    weft_error error;
    weft_folder *opened = NULL;
    weft_error_clear(&error);
    snprintf(run, sizeof run, "%s/run", root);
    weft_status status = weft_folder_open(folder->path, 0, &opened, &error);
    if (status == WEFT_OK) status = weft_import(opened, run, &error);
    weft_folder_close(opened);
    assert_false(weft_path_exists(run));
    if (status != WEFT_INVALID || !strstr(error.text, words) || strchr(error.text, '\n'))
        fail_msg("%s: \"%s\" does not say \"%s\"", folder->family, status == WEFT_OK ? "accepted" : error.text, words);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *family, *old, *text, *words;
    } rows[] = {
        {"llama", "\"silu\"", "\"gelu\"", "config.json:1:78: hidden_act: weft knows silu only"},
        {"llama", "\"attention_bias\": false", "\"attention_bias\": true", "attention_bias and mlp_bias"},
        {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"longrope\", \"factor\": 4}",
         "rope_type: weft knows default, linear, llama3 and yarn, not 'longrope'"},
        {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"linear\"}", "factor is missing"},
        {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}",
         "model.rotary_factor"},
        {"llama", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"beta_fast\": 3}",
         "beta_fast: weft does not know"},
        {"llama", "\"rope_scaling\": null", "\"partial_rotary_factor\": 0.5", "partial_rotary_factor"},
        {"llama", "\"pretraining_tp\": 1", "\"logits_scaling\": 8", "logits_scaling: weft does not know"},
        {"llama", "\"pretraining_tp\": 1", "\"quantization_config\": {\"bits\": 4}",
         "quantization_config: its weights are quantised"},
        {"llama", "\"pretraining_tp\": 1", "\"num_local_experts\": 8", "num_local_experts: it is a mixture of experts"},
        {"llama", "\"model_type\": \"llama\"", "\"model_type\": \"gemma2\"", "model_type: weft knows gpt2"},
        {"llama", "\"LlamaForCausalLM\"", "\"LlamaForSequenceClassification\"", "architectures: only LlamaForCausalLM"},
        {"llama", "\"hidden_size\": 16, ", "", "hidden_size is missing"},
        {"llama", "\"hidden_size\": 16", "\"hidden_size\": 16.5", "hidden_size: must be a whole number"},
        {"llama", "\"hidden_size\": 16", "\"hidden_size\": \"twelve\"", "config.json:1:"},
        {"llama", "\"hidden_size\": 16", "\"hidden_size\": 20", "has not the shape that config.json asks for"},
        {"llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "model.kv_heads"},
        {"llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
         "tensor \"model.layers.2.input_layernorm.weight\", which config.json asks for, is in no file"},
        {"llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "is none that a model of config.json has"},
        {"qwen2", "\"use_sliding_window\": false", "\"use_sliding_window\": true",
         "use_sliding_window: weft knows false"},
        {"qwen2", "[\"full_attention\"", "[\"sliding_attention\"", "layer_types: weft knows layers of full_attention"},
        {"qwen2", "[\"full_attention\", \"full_attention\"]", "\"sliding_attention\"",
         "layer_types: a list is expected here"},
        {"qwen2", "[\"full_attention\", \"full_attention\"]", "{\"0\": \"full_attention\"}",
         "layer_types: a list is expected here"},
        {"llama", "[\"LlamaForCausalLM\"]", "\"LlamaForSequenceClassification\"",
         "architectures: a list is expected here"},
        {"qwen3", "\"attention_bias\": false", "\"attention_bias\": true", "attention_bias: weft knows false only"},
        {"gpt2", "\"attn_pdrop\": 0.1", "\"scale_attn_by_inverse_layer_idx\": true", "scale_attn_by_inverse_layer_idx"},
        {"gpt2", "{\"model_type\"", "[{\"model_type\"", "config.json:"},
        {"starcoder2", "\"use_bias\": true", "\"use_bias\": false", "use_bias: weft knows true only"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        made_folder folder;
        folder_make(&folder, root, rows[i].family);
        folder_replace(&folder, rows[i].old, rows[i].text);
        folder_write(&folder);
        refuses(&folder, rows[i].words);
        folder_free(&folder);
    }
}

static void remove_file(const made_folder *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    assert_int_equal(unlink(path), 0);
}

static void test_files(void **state)
{
    (void)state;
    made_folder folder;
    folder_make(&folder, root, "llama");
    folder.files = 3;
    folder_write(&folder);
    remove_file(&folder, "model-00002-of-00003.safetensors");
    refuses(&folder, "model-00002-of-00003.safetensors: cannot open");
    folder_write(&folder);
    char path[256];
    snprintf(path, sizeof path, "%s/model-00003-of-00003.safetensors", folder.path);
    assert_int_equal(truncate(path, 900), 0);
    refuses(&folder, "model-00003-of-00003.safetensors: truncated");
    folder_write(&folder);
    file_put(folder.path, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../model.safetensors\"}}");
    refuses(&folder, "is no name of a safetensors file beside this one");
    file_put(folder.path, "model.safetensors.index.json",
             "{\"weight_map\": {\"a\": \"model-00001-of-00003.safetensors\"}}");
    refuses(&folder, "does not hold \"a\"");
    file_put(folder.path, "model.safetensors.index.json", "{\"weight_map\": []}");
    refuses(&folder, "weight_map: a map is expected");
    remove_file(&folder, "model.safetensors.index.json");
    refuses(&folder, "holds neither model.safetensors nor");
    file_put(folder.path, "pytorch_model.bin", "pickle");
    refuses(&folder, "holds pickles");
    remove_file(&folder, "config.json");
    refuses(&folder, "config.json: cannot open");
    folder_free(&folder);
}

static void test_tensors(void **state)
{
    (void)state;
    made_folder folder;
    folder_make(&folder, root, "qwen3");
    folder_find(&folder, "model.layers.1.mlp.up_proj.weight")->values[17] = NAN;
    folder_write(&folder);
    refuses(&folder,
            "tensor \"model.layers.1.mlp.up_proj.weight\" holds a number that is not finite (row 11, column 1");
    folder_free(&folder);
    folder_make(&folder, root, "qwen3");
    folder_add(&folder, "lm_head.weight", 2, 23, 16);
    folder_write(&folder);
    refuses(&folder, "tensor \"lm_head.weight\" is not the embedding: element 0 differs");
    folder_free(&folder);
    folder_make(&folder, root, "mistral");
    folder_add(&folder, "model.layers.0.self_attn.q_proj.bias", 1, 16, 0);
    folder_write(&folder);
    refuses(&folder, "tensor \"model.layers.0.self_attn.q_proj.bias\" is none that a model");
    folder_free(&folder);
}

/* A number that a type does not reach, and one that it does. */
static void test_reach(void **state)
{
    (void)state;
    static const struct {
        float value;
        weft_element element;
        bool taken;
    } rows[] = {{65520.0f, WEFT_FP16, false}, {-65519.0f, WEFT_FP16, true}, {65520.0f, WEFT_BF16, true},
                {3.4e38f, WEFT_BF16, false},  {-3.39e38f, WEFT_BF16, true}, {3.4e38f, WEFT_FP32, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        made_folder folder;
        weft_folder *opened = NULL;
        weft_error error;
        char run[160], out[160];
        const weft_export_options how = {rows[i].element, 0};
        snprintf(run, sizeof run, "%s/reach-%zu", root, i);
        snprintf(out, sizeof out, "%s/reached-%zu", root, i);
        folder_make(&folder, root, "llama");
        folder_find(&folder, "lm_head.weight")->values[3] = rows[i].value;
        folder_write(&folder);
        assert_int_equal(weft_folder_open(folder.path, 0, &opened, &error), WEFT_OK);
        assert_int_equal(weft_import(opened, run, &error), WEFT_OK);
        weft_folder_close(opened);
        assert_int_equal(weft_export(run, out, &how, &error), rows[i].taken ? WEFT_OK : WEFT_INVALID);
        if (!rows[i].taken) assert_non_null(strstr(error.text, "\"lm_head.weight\" holds "));
        assert_int_equal(weft_path_exists(out), rows[i].taken);
        folder_free(&folder);
    }
}

static void test_taken_places(void **state)
{
    (void)state;
    made_folder folder;
    weft_folder *opened = NULL;
    weft_error error;
    char run[160];
    const weft_export_options how = {WEFT_FP32, 0};
    snprintf(run, sizeof run, "%s/taken", root);
    folder_make(&folder, root, "llama");
    folder_write(&folder);
    assert_int_equal(weft_folder_open(folder.path, 0, &opened, &error), WEFT_OK);
    assert_int_equal(weft_import(opened, run, &error), WEFT_OK);
    assert_int_equal(weft_import(opened, run, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "is not empty"));
    weft_folder_close(opened);
    assert_int_equal(weft_export(run, run, &how, &error), WEFT_INVALID);
    folder_free(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_tensors), cmocka_unit_test(test_reach),
                                       cmocka_unit_test(test_taken_places)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
