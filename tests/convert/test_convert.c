/*
 * Folders of every family into runs and out again: the same tensors, bit for bit, in one file and in parts, in every
 * element type; and what a model of it computes is in the right place.
 */
#define _GNU_SOURCE /* setresuid */
#include "base/random.h"
#include "checkpoint/checkpoint.h"
#include "convert/weights.h"
#include "folders.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void import_folder(const made_folder *from, const char *run, int64_t context)
{
    weft_error error;
    weft_folder *folder = NULL;
    if (weft_folder_open(from->path, context, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_import(folder, run, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_folder_close(folder);
}

static void export_run(const char *run, const char *to, weft_element element, int64_t file_bytes)
{
    weft_error error;
    const weft_export_options how = {element, file_bytes};
    if (weft_export(run, to, &how, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* The tensor of this name in any file of a folder; closes nothing that is found. */
static void check_tensors(const made_folder *made, const char *folder, weft_element element, bool parts)
{
    weft_arena arena;
    weft_error error;
    const char **names = NULL;
    size_t count = 0, found = 0, files = 0;
    weft_arena_init(&arena);
    assert_int_equal(weft_folder_list(folder, &arena, &names, &count, &error), WEFT_OK);
    for (size_t f = 0; f < count; f++) {
        char path[256];
        weft_safetensors *file = NULL;
        if (!strstr(names[f], ".safetensors") || strstr(names[f], ".json")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, names[f]);
        if (weft_safetensors_open(path, &file, &error) != WEFT_OK) fail_msg("%s", error.text);
        files++;
        found += weft_safetensors_count(file);
        for (int i = 0; i < made->count; i++) {
            const folder_tensor *wanted = &made->tensors[i];
            const weft_tensor_entry *got = weft_safetensors_find(file, wanted->name);
            if (!got) continue;
            assert_int_equal(got->element, element);
            assert_int_equal(got->dimensions, wanted->dimensions);
            size_t elements = got->bytes / weft_element_bytes(element);
            float *values = malloc(elements * sizeof *values);
            assert_non_null(values);
            for (int k = 0; k < got->dimensions; k++) assert_int_equal(got->shape[k], wanted->shape[k]);
            weft_element_to_float(element, got->data, elements, values);
            if (memcmp(values, wanted->values, elements * sizeof *values) != 0)
                fail_msg("%s: %s is another one", made->family, wanted->name);
            free(values);
        }
        weft_safetensors_close(file);
    }
    assert_int_equal(found, made->count);
    assert_int_equal(files > 1, parts);
    weft_arena_fini(&arena);
}

static void check_same_text(const char *a, const char *b, const char *name)
{
    char *left = file_get(a, name), *right = file_get(b, name);
    assert_string_equal(left, right);
    free(left);
    free(right);
}

/* Any run and block of any parameter is that part of the whole, however its tensors lie. */
static void check_parts(const weft_folder *folder, const weft_parameter *parameter)
{
    weft_error error;
    int64_t width = parameter->shape[1], height = parameter->shape[0];
    float *whole = malloc((size_t)parameter->elements * sizeof *whole);
    float *part = malloc((size_t)parameter->elements * sizeof *part);
    assert_true(whole && part);
    assert_int_equal(weft_folder_read(folder, parameter, 0, 1, parameter->elements, whole, &error), WEFT_OK);
    weft_random_key key = weft_random_key_make(7, parameter->name);
    for (uint64_t i = 0; i < 40; i++) {
        int64_t from = (int64_t)(weft_random_uniform(key, 4 * i) * (double)parameter->elements);
        int64_t left = width - from % width, below = height - from / width;
        int64_t rows = i % 2 ? 1 : 1 + (int64_t)(weft_random_uniform(key, 4 * i + 1) * (double)below);
        int64_t most = i % 2 ? parameter->elements - from : left;
        int64_t columns = 1 + (int64_t)(weft_random_uniform(key, 4 * i + 2) * (double)most);
        assert_int_equal(weft_folder_read(folder, parameter, from, rows, columns, part, &error), WEFT_OK);
        for (int64_t r = 0; r < rows; r++)
            assert_memory_equal(part + r * columns, whole + from + r * width, (size_t)columns * sizeof *part);
    }
    free(part);
    free(whole);
}

static void test_parts(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILIES; f++) {
        made_folder made;
        weft_folder *folder = NULL;
        weft_parameter parameter;
        weft_error error;
        folder_make(&made, root, families[f]);
        made.files = 2;
        made.element = WEFT_BF16;
        folder_write(&made);
        if (weft_folder_open(made.path, 0, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
        for (int64_t i = 0; weft_model_parameter(weft_folder_model(folder), i, &parameter); i++)
            if (!parameter.tied) check_parts(folder, &parameter);
        weft_folder_close(folder);
        folder_free(&made);
    }
}

/* Bytes of memory that this process has now, pages of files too. */
static int64_t resident(void)
{
    long long pages = 0, own = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld %lld", &pages, &own), 2);
    fclose(file);
    return own * sysconf(_SC_PAGESIZE);
}

/* Tensors of a size have another now, and hold zeros. */
static void widen(made_folder *folder, int64_t from, int64_t to)
{
    for (int i = 0; i < folder->count; i++) {
        folder_tensor *tensor = &folder->tensors[i];
        bool wide = false;
        for (int k = 0; k < tensor->dimensions; k++) {
            if (tensor->shape[k] != from) continue;
            tensor->shape[k] = to;
            wide = true;
        }
        if (!wide) continue;
        free(tensor->values);
        tensor->values =
            calloc((size_t)(tensor->dimensions == 2 ? tensor->shape[0] * tensor->shape[1] : to), sizeof(float));
        assert_non_null(tensor->values);
    }
}

/* What was read of a folder leaves memory. */
static void check_memory(const made_folder *made, const char *name)
{
    enum { PIECE = 1 << 18, KEPT = 6 << 20 };
    weft_folder *folder = NULL;
    weft_parameter parameter;
    weft_error error;
    float *values = malloc(PIECE * sizeof *values);
    assert_non_null(values);
    memset(values, 1, PIECE * sizeof *values);
    if (weft_folder_open(made->path, 0, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
    int64_t i = 0, before = resident();
    while (weft_model_parameter(weft_folder_model(folder), i, &parameter) && strcmp(parameter.name, name) != 0) i++;
    assert_true(parameter.elements * (int64_t)sizeof *values > 3 * KEPT);
    for (int64_t from = 0; from < parameter.elements; from += PIECE) {
        int64_t count = parameter.elements - from < PIECE ? parameter.elements - from : PIECE;
        assert_int_equal(weft_folder_read(folder, &parameter, from, 1, count, values, &error), WEFT_OK);
        if (resident() - before > KEPT) fail_msg("%s: %lld bytes stay", name, (long long)(resident() - before));
    }
    weft_folder_close(folder);
    free(values);
}

static void test_memory(void **state)
{
    (void)state;
    made_folder made;
    folder_make(&made, root, "qwen3"); /* rows of the embedding */
    folder_replace(&made, "\"vocab_size\": 23", "\"vocab_size\": 320000");
    widen(&made, 23, 320000);
    folder_write(&made);
    folder_free(&made);
    check_memory(&made, "embedding.token");
    folder_make(&made, root, "gpt2"); /* turned: columns of a tensor of 16 rows */
    folder_replace(&made, "\"n_inner\": null", "\"n_inner\": 320000");
    widen(&made, 64, 320000);
    folder_write(&made);
    folder_free(&made);
    check_memory(&made, "layer.1.mlp.up.weight");
}

/* What config.yaml says of the model. */
static char *model_of(const char *run)
{
    char *text = file_get(run, "config.yaml"), *begin = strstr(text, "\nmodel:"), *end = strstr(text, "\ndata:");
    assert_true(begin && end);
    memmove(text, begin, (size_t)(end - begin));
    text[end - begin] = '\0';
    return text;
}

static void check_same_model(const char *a, const char *b)
{
    char *left = model_of(a), *right = model_of(b);
    assert_string_equal(left, right);
    free(left);
    free(right);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILIES; f++) {
        for (int element = WEFT_FP32; element <= WEFT_FP16; element++) {
            char run[128], out[128], again[160], last[160];
            made_folder folder;
            folder_make(&folder, root, families[f]);
            folder.element = (weft_element)element;
            folder.files = 1 + element;
            folder_write(&folder);
            file_put(folder.path, "tokenizer.json", "{\"model\": 1}");
            snprintf(run, sizeof run, "%s/run-%s-%d", root, families[f], element);
            snprintf(out, sizeof out, "%s/out-%s-%d", root, families[f], element);
            import_folder(&folder, run, 0);
            snprintf(again, sizeof again, "%s/source", run);
            check_same_text(folder.path, again, "config.json");
            export_run(run, out, (weft_element)element, element ? 700 : 0);
            check_tensors(&folder, out, (weft_element)element, element > 0);
            check_same_text(folder.path, out, "tokenizer.json");
            /* What was written is read again, and is the same. */
            made_folder exported = folder;
            snprintf(exported.path, sizeof exported.path, "%s", out);
            snprintf(again, sizeof again, "%s-again", run);
            snprintf(last, sizeof last, "%s-again", out);
            import_folder(&exported, again, 0);
            export_run(again, last, (weft_element)element, 0);
            check_same_text(out, last, "config.json");
            check_same_model(run, again);
            folder_free(&folder);
        }
    }
}

/* Rows of a parameter in a run's checkpoint are those of a tensor, or its columns. */
static void check_rows(const char *run, made_folder *folder, const char *parameter, int64_t rows, int64_t columns,
                       int64_t first, const char *tensor, bool transposed)
{
    weft_error error;
    weft_checkpoint *checkpoint = NULL;
    const folder_tensor *wanted = folder_find(folder, tensor);
    int64_t count = transposed ? wanted->shape[1] : wanted->shape[0];
    const int64_t shape[2] = {rows, columns};
    float *values = malloc((size_t)(count * columns) * sizeof *values);
    assert_non_null(values);
    assert_int_equal(weft_checkpoint_open(run, &checkpoint, &error), WEFT_OK);
    if (weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, parameter, wanted->dimensions, shape, first * columns,
                             1, count * columns, values, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    for (int64_t r = 0; r < count; r++)
        for (int64_t c = 0; c < columns; c++) {
            float expected = wanted->values[transposed ? c * count + r : r * columns + c];
            assert_memory_equal(&values[r * columns + c], &expected, sizeof expected);
        }
    weft_checkpoint_close(checkpoint);
    free(values);
}

/* Queries, keys, values; gate, up; GPT-2's matrices turned. */
static void test_places(void **state)
{
    (void)state;
    char run[128];
    made_folder folder;
    folder_make(&folder, root, "qwen2");
    folder_write(&folder);
    snprintf(run, sizeof run, "%s/places-qwen2", root);
    import_folder(&folder, run, 0);
    check_rows(run, &folder, "layer.1.attention.qkv.weight", 32, 16, 0, "model.layers.1.self_attn.q_proj.weight",
               false);
    check_rows(run, &folder, "layer.1.attention.qkv.weight", 32, 16, 16, "model.layers.1.self_attn.k_proj.weight",
               false);
    check_rows(run, &folder, "layer.1.attention.qkv.weight", 32, 16, 24, "model.layers.1.self_attn.v_proj.weight",
               false);
    check_rows(run, &folder, "layer.0.attention.qkv.bias", 32, 1, 16, "model.layers.0.self_attn.k_proj.bias", false);
    check_rows(run, &folder, "layer.0.mlp.up.weight", 20, 16, 0, "model.layers.0.mlp.gate_proj.weight", false);
    check_rows(run, &folder, "layer.0.mlp.up.weight", 20, 16, 10, "model.layers.0.mlp.up_proj.weight", false);
    folder_free(&folder);
    folder_make(&folder, root, "gpt2");
    folder_write(&folder);
    snprintf(run, sizeof run, "%s/places-gpt2", root);
    import_folder(&folder, run, 0);
    check_rows(run, &folder, "layer.1.attention.qkv.weight", 48, 16, 0, "transformer.h.1.attn.c_attn.weight", true);
    check_rows(run, &folder, "layer.0.mlp.down.weight", 16, 64, 0, "transformer.h.0.mlp.c_proj.weight", true);
    check_rows(run, &folder, "final_norm.bias", 16, 1, 0, "transformer.ln_f.bias", false);
    folder_free(&folder);
}

/* A run may see less than the folder: learned positions are cut for good, others are what they were. */
static void test_context(void **state)
{
    (void)state;
    const char *const names[] = {"gpt2", "llama3.1"}, *const says[] = {"\"n_positions\": 8",
                                                                       "\"max_position_embeddings\": 16"};
    for (int i = 0; i < 2; i++) {
        char run[128], out[128];
        made_folder folder;
        weft_folder *opened = NULL;
        weft_error error;
        folder_make(&folder, root, names[i]);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/short-%s", root, names[i]);
        snprintf(out, sizeof out, "%s/short-out-%s", root, names[i]);
        import_folder(&folder, run, 8);
        export_run(run, out, WEFT_FP32, 0);
        char *config = file_get(out, "config.json"), *yaml = file_get(run, "config.yaml");
        if (!strstr(config, says[i])) fail_msg("%s", config);
        assert_non_null(strstr(yaml, "  context: 8\n"));
        assert_non_null(strstr(yaml, "  tokens: 8\n"));
        free(config);
        free(yaml);
        assert_int_equal(weft_folder_open(folder.path, 17, &opened, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "its longest sequence is 16, not 17"));
        folder_free(&folder);
    }
}

/* What some versions of transformers ask for. */
static void check_header(const char *folder)
{
    static const char begins[] = "{\"__metadata__\":{\"format\":\"pt\"}";
    char path[256];
    weft_map map;
    weft_error error;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(weft_map_init(&map, path, &error), WEFT_OK);
    assert_memory_equal(map.bytes + 8, begins, strlen(begins));
    weft_map_fini(&map);
}

/* A run of weft's own is of the first family that has such models. */
static void test_family_by_model(void **state)
{
    (void)state;
    const char *const types[FAMILIES] = {"gpt2", "llama", "llama", "llama", "mistral", "qwen2", "qwen3", "starcoder2"};
    for (int i = 0; i < FAMILIES; i++) {
        char run[128], out[128], source[160], says[64];
        made_folder folder;
        weft_error error;
        folder_make(&folder, root, families[i]);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/own-%s", root, families[i]);
        snprintf(out, sizeof out, "%s/own-out-%s", root, families[i]);
        snprintf(source, sizeof source, "%s/source", run);
        snprintf(says, sizeof says, "\"model_type\": \"%s\"", types[i]);
        import_folder(&folder, run, 0);
        assert_int_equal(weft_folder_remove(source, &error), WEFT_OK);
        export_run(run, out, WEFT_FP32, 0);
        char *config = file_get(out, "config.json");
        if (!strstr(config, says)) fail_msg("%s: %s", families[i], config);
        free(config);
        check_tensors(&folder, out, WEFT_FP32, false);
        check_header(out);
        folder_free(&folder);
    }
}

/* Names without GPT-2's prefix, a head that is stored though it is tied, masks and wave lengths of old versions. */
static void test_old_files(void **state)
{
    (void)state;
    made_folder folder;
    weft_folder *opened = NULL;
    weft_error error;
    folder_make(&folder, root, "gpt2");
    folder_add(&folder, "lm_head.weight", 2, 23, 16);
    memcpy(folder_find(&folder, "lm_head.weight")->values, folder_find(&folder, "transformer.wte.weight")->values,
           23 * 16 * sizeof(float));
    for (int i = 0; i < folder.count; i++) {
        char *name = folder.tensors[i].name;
        if (strncmp(name, "transformer.", 12) == 0) memmove(name, name + 12, strlen(name + 12) + 1);
    }
    folder_add(&folder, "h.0.attn.bias", 2, 16, 16);
    folder_write(&folder);
    if (weft_folder_open(folder.path, 0, &opened, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_folder_close(opened);
    folder_free(&folder);
}

/* Folders that one may go into and not list are models and checkpoints like others. Root may list all: another user
 * tries. */
static void test_unlisted(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    made_folder folder;
    char run[160], step[200];
    snprintf(run, sizeof run, "%s/unlisted", root);
    snprintf(step, sizeof step, "%s/step-00000000", run);
    folder_make(&folder, root, "llama");
    folder_write(&folder);
    import_folder(&folder, run, 0);
    const char *const paths[] = {folder.path, step}, *const around[] = {root, run};
    for (int i = 0; i < 2; i++) assert_int_equal(chmod(around[i], 0711), 0);
    for (int i = 0; i < 2; i++) {
        weft_error error;
        weft_weights *weights = NULL;
        bool is_root = geteuid() == 0;
        assert_int_equal(chmod(paths[i], 0311), 0);
        if (is_root) assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
        weft_status status = weft_weights_open(paths[i], 0, &weights, &error);
        if (is_root) assert_int_equal(setresuid(0, 0, 0), 0);
        assert_int_equal(chmod(paths[i], 0755), 0);
        if (status != WEFT_OK) fail_msg("%s", error.text);
        weft_weights_close(weights);
    }
    folder_free(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_parts),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_places),      cmocka_unit_test(test_context),  cmocka_unit_test(test_family_by_model),
        cmocka_unit_test(test_old_files),   cmocka_unit_test(test_unlisted),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
