/*
 * Models through GGUF files: of every family, from a folder into a run, out as GGUF and in again, with the same weights
 * bit for bit; files that llama.cpp's own package wrote; rows in pairs.
 */
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "folders.h"
#include "tensor/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <zlib.h>

static void import_folder(const char *path, const char *run)
{
    weft_error error;
    weft_folder *folder = NULL;
    if (weft_folder_open(path, 0, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_import(folder, run, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_folder_close(folder);
}

/* out_missing: words that tell of a tokenizer that is left out; NULL: there is one. */
static void import_gguf(const char *path, const char *run, int64_t context, const char *missing)
{
    weft_error error;
    weft_text left;
    weft_gguf_model *model = NULL;
    weft_text_init(&left);
    if (weft_gguf_model_open(path, context, &model, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_gguf_import(model, run, &left, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (missing ? !strstr(weft_text_get(&left), missing) : left.length > 0) fail_msg("%s", weft_text_get(&left));
    weft_gguf_model_close(model);
    weft_text_fini(&left);
}

static void export_gguf(const char *run, const char *path, weft_gguf_type type)
{
    weft_error error;
    weft_text missing;
    weft_text_init(&missing);
    if (weft_gguf_export(run, path, type, &missing, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_text_fini(&missing);
}

static void check_same_weights(const char *a, const char *b)
{
    bool same = false;
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    if (weft_checkpoint_compare(a, b, &same, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (!same) fail_msg("%s and %s: %s", a, b, weft_text_get(&text));
    weft_text_fini(&text);
}

/* What config.yaml says of the model; the magnitude, of which a file keeps no more than a single holds, by itself. */
static char *model_of(const char *run, double *out_magnitude)
{
    static const char key[] = "  rotary_magnitude: ";
    char *text = file_get(run, "config.yaml"), *begin = strstr(text, "\nmodel:"), *end = strstr(text, "\ndata:");
    assert_true(begin && end);
    memmove(text, begin, (size_t)(end - begin));
    text[end - begin] = '\0';
    char *line = strstr(text, key);
    assert_non_null(line);
    *out_magnitude = strtod(line + strlen(key), &end);
    memmove(line, end, strlen(end) + 1);
    return text;
}

static void check_same_model(const char *a, const char *b)
{
    double magnitudes[2];
    char *left = model_of(a, &magnitudes[0]), *right = model_of(b, &magnitudes[1]);
    assert_string_equal(left, right);
    assert_true(fabs(magnitudes[0] - magnitudes[1]) <= 1e-7 * magnitudes[0]);
    free(left);
    free(right);
}

/* The weights are such that the smallest type holds them. */
static void test_round_trips(void **state)
{
    (void)state;
    static const weft_gguf_type types[] = {WEFT_GGUF_F32, WEFT_GGUF_BF16, WEFT_GGUF_F16};
    for (int f = 0; f < FAMILIES; f++) {
        char run[128], back[128], path[128];
        made_folder folder;
        folder_make(&folder, root, families[f]);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/run-%s", root, families[f]);
        import_folder(folder.path, run);
        for (int t = 0; t < 3; t++) {
            snprintf(path, sizeof path, "%s/%s-%d.gguf", root, families[f], t);
            snprintf(back, sizeof back, "%s/back-%s-%d", root, families[f], t);
            export_gguf(run, path, types[t]);
            import_gguf(path, back, 0, "weft knows gpt2 and llama, not 'none'");
            check_same_weights(run, back);
            check_same_model(run, back);
        }
        folder_free(&folder);
    }
}

/* A run that came from a GGUF file leaves as a folder, of the same tensors. */
static void test_out_as_a_folder(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILIES; f++) {
        char run[128], back[128], path[128], out[128], last[128];
        const weft_export_options how = {WEFT_FP32, 0};
        weft_error error;
        made_folder folder;
        folder_make(&folder, root, families[f]);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/in-%s", root, families[f]);
        snprintf(path, sizeof path, "%s/in-%s.gguf", root, families[f]);
        snprintf(back, sizeof back, "%s/in-back-%s", root, families[f]);
        snprintf(out, sizeof out, "%s/in-out-%s", root, families[f]);
        snprintf(last, sizeof last, "%s/in-last-%s", root, families[f]);
        import_folder(folder.path, run);
        export_gguf(run, path, WEFT_GGUF_F32);
        import_gguf(path, back, 0, "none");
        if (weft_export(back, out, &how, &error) != WEFT_OK) fail_msg("%s", error.text);
        import_folder(out, last);
        check_same_weights(run, last);
        check_same_model(run, last);
        folder_free(&folder);
    }
}

static const weft_gguf_tensor *find(const weft_gguf *file, const char *name)
{
    const weft_gguf_tensor *tensor = weft_gguf_find(file, name);
    if (!tensor) fail_msg("no tensor %s", name);
    return tensor;
}

/* Row 2 i + s of a head in the file is row i + s D / 2 of the folder; values keep their places. */
static void check_pairs(const weft_gguf *file, made_folder *folder, const char *tensor, const char *name, int64_t D,
                        bool paired)
{
    const weft_gguf_tensor *got = find(file, tensor);
    const folder_tensor *wanted = folder_find(folder, name);
    int64_t columns = wanted->dimensions == 2 ? wanted->shape[1] : 1;
    float row[64];
    for (int64_t r = 0; r < wanted->shape[0]; r++) {
        int64_t place = r % D, from = paired ? r - place + place / 2 + place % 2 * (D / 2) : r;
        weft_gguf_to_float(got, r * columns, columns, row);
        if (memcmp(row, wanted->values + from * columns, (size_t)columns * sizeof *row) != 0)
            fail_msg("%s: row %" PRId64 " of %s is another one", folder->family, r, tensor);
    }
}

static void test_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        int64_t D;
        bool paired;
    } rows[] = {{"llama3.1", 6, true}, {"llama-bias", 2, true}, {"mistral", 4, true},
                {"qwen2", 4, false},   {"qwen3", 8, false},     {"starcoder2", 4, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char run[128], path[128];
        weft_error error;
        weft_gguf *file = NULL;
        made_folder folder;
        folder_make(&folder, root, rows[i].family);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/pairs-%s", root, rows[i].family);
        snprintf(path, sizeof path, "%s/pairs-%s.gguf", root, rows[i].family);
        import_folder(folder.path, run);
        export_gguf(run, path, WEFT_GGUF_F32);
        assert_int_equal(weft_gguf_open(path, &file, &error), WEFT_OK);
        check_pairs(file, &folder, "blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight", rows[i].D,
                    rows[i].paired);
        check_pairs(file, &folder, "blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight", rows[i].D,
                    rows[i].paired);
        check_pairs(file, &folder, "blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight", rows[i].D, false);
        if (weft_gguf_find(file, "blk.0.attn_q.bias")) {
            check_pairs(file, &folder, "blk.0.attn_q.bias", "model.layers.0.self_attn.q_proj.bias", rows[i].D,
                        rows[i].paired);
            check_pairs(file, &folder, "blk.1.attn_k.bias", "model.layers.1.self_attn.k_proj.bias", rows[i].D,
                        rows[i].paired);
        }
        weft_gguf_close(file);
        folder_free(&folder);
    }
}

static const char *fixture(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", GGUF_FILES, name);
    return path;
}

/* The CRC-32 of a parameter's rows in a run, as fp32. */
static unsigned long sum_rows(const char *run, const char *parameter, int32_t dimensions, const int64_t *shape,
                              int64_t first, int64_t rows)
{
    weft_error error;
    weft_checkpoint *checkpoint = NULL;
    int64_t columns = dimensions == 2 ? shape[1] : 1;
    float *values = malloc((size_t)(rows * columns) * sizeof *values);
    assert_non_null(values);
    assert_int_equal(weft_checkpoint_open(run, &checkpoint, &error), WEFT_OK);
    if (weft_checkpoint_read(checkpoint, WEFT_CHECKPOINT_WEIGHTS, parameter, dimensions, shape, first * columns, 1,
                             rows * columns, values, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    unsigned long sum = crc32(0, (const Bytef *)values, (uInt)(rows * columns * (int64_t)sizeof *values));
    weft_checkpoint_close(checkpoint);
    free(values);
    return sum;
}

/* Where the tensors of the fixtures go. */
static const struct {
    const char *tensor, *parameter;
    int32_t dimensions;
    int64_t shape[2], first, rows;
} places[] = {
    {"token_embd.weight", "embedding.token", 2, {40, 32}, 0, 40},
    {"blk.0.attn_norm.weight", "layer.0.norm1.weight", 1, {32, 1}, 0, 32},
    {"blk.0.attn_q.weight", "layer.0.attention.qkv.weight", 2, {64, 32}, 0, 32},
    {"blk.0.attn_k.weight", "layer.0.attention.qkv.weight", 2, {64, 32}, 32, 16},
    {"blk.0.attn_v.weight", "layer.0.attention.qkv.weight", 2, {64, 32}, 48, 16},
    {"blk.0.attn_output.weight", "layer.0.attention.output.weight", 2, {32, 32}, 0, 32},
    {"blk.0.ffn_norm.weight", "layer.0.norm2.weight", 1, {32, 1}, 0, 32},
    {"blk.0.ffn_gate.weight", "layer.0.mlp.up.weight", 2, {128, 32}, 0, 64},
    {"blk.0.ffn_up.weight", "layer.0.mlp.up.weight", 2, {128, 32}, 64, 64},
    {"blk.0.ffn_down.weight", "layer.0.mlp.down.weight", 2, {32, 64}, 0, 32},
    {"output_norm.weight", "final_norm.weight", 1, {32, 1}, 0, 32},
    {"output.weight", "head.weight", 2, {40, 32}, 0, 40},
};

static void check_sums(const char *run, const char *sums)
{
    char *text = file_get(GGUF_FILES, sums);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char wanted[128], *line = text;
        size_t length = strlen(places[i].tensor);
        while (*line && (strncmp(line, places[i].tensor, length) != 0 || line[length] != ' '))
            line += strcspn(line, "\n") + 1;
        unsigned long sum =
            sum_rows(run, places[i].parameter, places[i].dimensions, places[i].shape, places[i].first, places[i].rows);
        snprintf(wanted, sizeof wanted, " %08lx\n", sum);
        line += strcspn(line, "\n") - 9;
        if (strncmp(line, wanted, strlen(wanted)) != 0) fail_msg("%s: %s is another one", sums, places[i].tensor);
    }
    free(text);
}

static void test_files_of_the_package(void **state)
{
    (void)state;
    static const char *const names[] = {"types", "q8_0"};
    for (int i = 0; i < 2; i++) {
        char run[128], file[32], sums[32];
        snprintf(run, sizeof run, "%s/%s", root, names[i]);
        snprintf(file, sizeof file, "%s.gguf", names[i]);
        snprintf(sums, sizeof sums, "%s.sum", names[i]);
        import_gguf(fixture(file), run, 0, NULL);
        check_sums(run, sums);
        char *yaml = file_get(run, "config.yaml"), source[160];
        assert_non_null(strstr(yaml, "  rotary_base: 50000\n"));
        assert_non_null(strstr(yaml, "  norm_epsilon: 1.0e-05\n"));
        assert_non_null(strstr(yaml, "  tied: false\n"));
        assert_non_null(strstr(yaml, "  context: 16\n"));
        snprintf(source, sizeof source, "%s/source", run);
        char *tokenizer = file_get(source, "tokenizer.json");
        assert_non_null(strstr(tokenizer, "\"merges\": [\"1 2\", \"12 3\"]"));
        assert_null(strstr(tokenizer, "PAD39"));
        free(tokenizer);
        free(yaml);
    }
}

/* A tokenizer that cannot be read again is told of, and not kept: here a merge is no pair. */
static void test_damaged_tokenizer(void **state)
{
    (void)state;
    static const char merge[] = "12 3";
    char path[64], run[64], kept[96];
    weft_error error;
    weft_text file;
    weft_text_init(&file);
    snprintf(path, sizeof path, "%s/merge.gguf", root);
    snprintf(run, sizeof run, "%s/merge", root);
    snprintf(kept, sizeof kept, "%s/source/tokenizer.json", run);
    assert_int_equal(weft_file_read(fixture("types.gguf"), &file, &error), WEFT_OK);
    size_t at = 0;
    while (at + strlen(merge) < file.length && memcmp(file.bytes + at, merge, strlen(merge)) != 0) at++;
    file.bytes[at + 2] = '_';
    assert_int_equal(weft_file_write(path, file.bytes, file.length, &error), WEFT_OK);
    import_gguf(path, run, 0, "merges[1]: two tokens are expected here");
    assert_false(weft_path_exists(kept));
    weft_text_fini(&file);
}

/* Any run and any block of a parameter is that of the whole, also across queries, keys and values. */
static void check_blocks(const weft_gguf_model *model, const weft_parameter *parameter)
{
    static float whole[1 << 13], part[1 << 13];
    int64_t width = parameter->shape[1], rows = parameter->shape[0];
    weft_error error;
    assert_true(parameter->elements <= 1 << 13);
    assert_int_equal(weft_gguf_model_read(model, parameter, 0, 1, parameter->elements, whole, &error), WEFT_OK);
    for (int64_t from = 0; from < parameter->elements; from += 371)
        for (int64_t count = 1; from + count <= parameter->elements; count = 3 * count + 5) {
            assert_int_equal(weft_gguf_model_read(model, parameter, from, 1, count, part, &error), WEFT_OK);
            assert_memory_equal(part, whole + from, (size_t)count * sizeof *part);
        }
    for (int64_t row = 0; row < rows && width > 1; row += 7) {
        int64_t high = rows - row < 40 ? rows - row : 40, column = row % width / 2, wide = width - column - row % 3;
        assert_int_equal(weft_gguf_model_read(model, parameter, row * width + column, high, wide, part, &error),
                         WEFT_OK);
        for (int64_t r = 0; r < high; r++)
            assert_memory_equal(part + r * wide, whole + (row + r) * width + column, (size_t)wide * sizeof *part);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    weft_gguf_model *model = NULL;
    weft_parameter parameter;
    weft_error error;
    assert_int_equal(weft_gguf_model_open(fixture("types.gguf"), 0, &model, &error), WEFT_OK);
    for (int64_t i = 0; weft_model_parameter(weft_gguf_model_get(model), i, &parameter); i++)
        check_blocks(model, &parameter);
    weft_gguf_model_close(model);
}

/* Quantised numbers are quantised to the same again: the file that comes in leaves with the same tensors. */
static void test_q8_0(void **state)
{
    (void)state;
    char run[128], path[128];
    weft_gguf *given = NULL, *made = NULL;
    weft_error error;
    snprintf(run, sizeof run, "%s/again", root);
    snprintf(path, sizeof path, "%s/again.gguf", root);
    import_gguf(fixture("q8_0.gguf"), run, 0, NULL);
    export_gguf(run, path, WEFT_GGUF_Q8_0);
    assert_int_equal(weft_gguf_open(fixture("q8_0.gguf"), &given, &error), WEFT_OK);
    assert_int_equal(weft_gguf_open(path, &made, &error), WEFT_OK);
    assert_int_equal(weft_gguf_count(made), weft_gguf_count(given));
    for (size_t i = 0; i < weft_gguf_count(given); i++) {
        const weft_gguf_tensor *wanted = weft_gguf_get(given, i), *got = find(made, wanted->name);
        assert_int_equal(got->type, wanted->type);
        assert_int_equal(got->bytes, wanted->bytes);
        if (memcmp(got->data, wanted->data, wanted->bytes) != 0) fail_msg("%s is another one", wanted->name);
    }
    weft_gguf_close(given);
    weft_gguf_close(made);
}

/* The formula of tools/make_gguf.py. */
static void test_blocks_of_the_package(void **state)
{
    (void)state;
    enum { COUNT = 1 << 14 };
    static float values[COUNT];
    static unsigned char stored[COUNT / 32 * 34];
    char wanted[16], *text = file_get(GGUF_FILES, "blocks.sum");
    for (int64_t i = 0; i < COUNT; i++)
        values[i] = ldexpf((float)(i * 7919 % 10007 - 5003) / 1000, (int)(i / 32 % 21 - 10));
    weft_gguf_from_float(WEFT_GGUF_Q8_0, values, COUNT, stored);
    snprintf(wanted, sizeof wanted, "%08lx\n", crc32(0, stored, sizeof stored));
    assert_string_equal(text, wanted);
    free(text);
}

/* Rows that are no whole blocks become F16; vectors and positions stay F32. */
static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        weft_gguf_type type;
    } rows[] = {{"token_embd.weight", WEFT_GGUF_F16},      {"position_embd.weight", WEFT_GGUF_F32},
                {"blk.0.attn_qkv.weight", WEFT_GGUF_F16},  {"blk.0.attn_qkv.bias", WEFT_GGUF_F32},
                {"blk.1.ffn_down.weight", WEFT_GGUF_Q8_0}, {"output_norm.bias", WEFT_GGUF_F32}};
    char run[128], path[128];
    weft_gguf *file = NULL;
    weft_error error;
    made_folder folder;
    folder_make(&folder, root, "gpt2");
    folder_write(&folder);
    snprintf(run, sizeof run, "%s/types-gpt2", root);
    snprintf(path, sizeof path, "%s/types-gpt2.gguf", root);
    import_folder(folder.path, run);
    export_gguf(run, path, WEFT_GGUF_Q8_0);
    assert_int_equal(weft_gguf_open(path, &file, &error), WEFT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(find(file, rows[i].tensor)->type, rows[i].type);
    weft_gguf_close(file);
    folder_free(&folder);
}

/* Less context: learned positions are cut, a model with others leaves with what it came with. */
static void test_context(void **state)
{
    (void)state;
    const char *const names[] = {"gpt2", "llama3.1"};
    for (int i = 0; i < 2; i++) {
        char run[128], path[128], shorter[128], back[128], last[128];
        weft_error error;
        weft_gguf_model *model = NULL;
        made_folder folder;
        folder_make(&folder, root, names[i]);
        folder_write(&folder);
        snprintf(run, sizeof run, "%s/long-%s", root, names[i]);
        snprintf(path, sizeof path, "%s/long-%s.gguf", root, names[i]);
        snprintf(shorter, sizeof shorter, "%s/shorter-%s", root, names[i]);
        snprintf(back, sizeof back, "%s/shorter-%s.gguf", root, names[i]);
        snprintf(last, sizeof last, "%s/last-%s", root, names[i]);
        import_folder(folder.path, run);
        export_gguf(run, path, WEFT_GGUF_F32);
        import_gguf(path, shorter, 8, "none");
        export_gguf(shorter, back, WEFT_GGUF_F32);
        import_gguf(back, last, 0, "none");
        char *yaml = file_get(last, "config.yaml");
        assert_non_null(strstr(yaml, i == 0 ? "  context: 8\n" : "  context: 16\n"));
        if (i == 1) check_same_weights(run, last);
        assert_int_equal(weft_gguf_model_open(path, 17, &model, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "its longest sequence is 16, not 17"));
        free(yaml);
        folder_free(&folder);
    }
}

/* The end of the room on a disk: what was there stays, and nothing else. */
static void test_full_disk(void **state)
{
    (void)state;
    char run[128], path[128], aside[160];
    weft_error error;
    weft_text missing;
    made_folder folder;
    folder_make(&folder, root, "llama");
    folder_write(&folder);
    snprintf(run, sizeof run, "%s/full", root);
    snprintf(path, sizeof path, "%s/full.gguf", root);
    snprintf(aside, sizeof aside, "%s.tmp", path);
    import_folder(folder.path, run);
    file_put(root, "full.gguf", "old");
    struct rlimit before, less;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = before;
    less.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    weft_text_init(&missing);
    weft_status status = weft_gguf_export(run, path, WEFT_GGUF_F32, &missing, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    weft_text_fini(&missing);
    assert_int_equal(status, WEFT_FAILED);
    char *left = file_get(root, "full.gguf");
    assert_string_equal(left, "old");
    assert_false(weft_path_exists(aside));
    free(left);
    folder_free(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_out_as_a_folder),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_files_of_the_package),
        cmocka_unit_test(test_damaged_tokenizer),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_q8_0),
        cmocka_unit_test(test_blocks_of_the_package),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests_name("convert_gguf", tests, make_root, remove_root);
}
