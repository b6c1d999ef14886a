/*
 * Folders that transformers made, with what it computes of them (tools/transformers_models.py): the loss, every
 * gradient on every device, and the same tensors when they leave again.
 *
 * test_oracles FOLDER: of folders, as tests/convert/oracles.
 */
#include "convert/folder.h"
#include "model/rig.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *oracles;
static char root[] = "/tmp/weft-oracles-XXXXXX";

/* What numbers.txt says behind a word; the caller frees it. */
static double *read_numbers(const char *name, const char *word, int64_t *out_count)
{
    char path[512], line[32];
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    snprintf(path, sizeof path, "%s/%s/numbers.txt", oracles, name);
    if (weft_file_read(path, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    snprintf(line, sizeof line, "%s ", word);
    char *at = text.bytes;
    while (at && strncmp(at, line, strlen(line)) != 0) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    if (!at) fail_msg("%s: no %s", path, word);
    double *out = calloc(text.length, sizeof *out);
    assert_non_null(out);
    *out_count = 0;
    for (at += strlen(line) - 1; *at == ' ';) out[(*out_count)++] = strtod(at, &at);
    weft_text_fini(&text);
    return out;
}

static weft_folder *open_folder(const char *name, const char *part)
{
    char path[512];
    weft_folder *folder = NULL;
    weft_error error;
    snprintf(path, sizeof path, "%s/%s%s", oracles, name, part);
    if (weft_folder_open(path, 0, &folder, &error) != WEFT_OK) fail_msg("%s", error.text);
    return folder;
}

static float *read_parameter(const weft_folder *folder, const weft_parameter *parameter)
{
    weft_error error;
    float *values = malloc((size_t)parameter->elements * sizeof *values);
    assert_non_null(values);
    if (weft_folder_read(folder, parameter, 0, 1, parameter->elements, values, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    return values;
}

static void load_weights(model_rig *rig, const weft_folder *folder)
{
    for (int32_t p = 0; p < rig->count; p++) {
        const weft_parameter *parameter = &rig->parameters[p];
        if (parameter->tied) continue;
        float *values = read_parameter(folder, parameter);
        rig_write(rig, rig->weight[p], values, (size_t)parameter->elements * sizeof *values);
        free(values);
    }
}

/* Each tensor of the folder by itself: within 1e-5 of its largest element. A bias of keys that no rotation follows has
 * none, for softmax does not see it; it is part of GPT-2's one bias there. */
static void check_gradient(const char *name, const weft_folder *folder, const weft_parameter *parameter,
                           const float *got)
{
    weft_part parts[WEFT_FAMILY_PARTS];
    float *wanted = read_parameter(folder, parameter);
    const int64_t columns = parameter->shape[1];
    for (int i = 0, count = weft_folder_parts(folder, parameter, parts); i < count; i++) {
        double largest = 0, off = 0;
        for (int64_t e = parts[i].first * columns; e < (parts[i].first + parts[i].rows) * columns; e++) {
            largest = fmax(largest, fabs((double)wanted[e]));
            off = fmax(off, fabs((double)got[e] - (double)wanted[e]));
        }
        assert_true(largest > 0);
        if (!(off <= 1e-5 * largest))
            fail_msg("%s: gradient of %s is off by %.3g of its largest", name, parts[i].name, off / largest);
    }
    free(wanted);
}

static void check_gradients(model_rig *rig, const char *name, const weft_folder *folder)
{
    for (int32_t p = 0; p < rig->count; p++) {
        const weft_parameter *parameter = &rig->parameters[p];
        if (parameter->tied) continue;
        float *got = malloc((size_t)parameter->elements * sizeof *got);
        assert_non_null(got);
        rig_read(rig, got, rig->gradient[p], (size_t)parameter->elements * sizeof *got);
        check_gradient(name, folder, parameter, got);
        free(got);
    }
}

/* Sequences lie one behind the other; each is a micro-batch. */
static void check_step(const char *name, const weft_folder *folder, const weft_device_kind *kind, const rig_plan *plan)
{
    int64_t count = 0, one = 0, T = weft_folder_model(folder)->context;
    double *tokens = read_numbers(name, "tokens", &count), *loss = read_numbers(name, "loss", &one), sum = 0;
    const int64_t M = count / T;
    int32_t *inputs = malloc((size_t)count * sizeof *inputs);
    float *losses = malloc((size_t)M * sizeof *losses);
    assert_true(inputs && losses && count == M * T + 1 && one == 1);
    for (int64_t i = 0; i < count; i++) inputs[i] = (int32_t)tokens[i];
    model_rig rig;
    rig_init(&rig, kind, WEFT_FP32, weft_folder_model(folder), 1, T);
    load_weights(&rig, folder);
    rig_step(&rig, plan, M, inputs, inputs + 1, losses);
    for (int64_t m = 0; m < M; m++) sum += (double)losses[m];
    sum /= (double)(M * T);
    if (!(fabs(sum - *loss) <= 1e-5 * *loss)) fail_msg("%s: loss %.9g, transformers has %.9g", name, sum, *loss);
    rig_join_tied(&rig);
    weft_folder *gradients = open_folder(name, "/gradient");
    check_gradients(&rig, name, gradients);
    weft_folder_close(gradients);
    rig_fini(&rig);
    free(losses);
    free(inputs);
    free(loss);
    free(tokens);
}

static void check_steps(const char *name)
{
    int32_t layers = 1, stages[8];
    weft_folder *folder = open_folder(name, "");
    const int32_t all = (int32_t)weft_folder_model(folder)->layers;
    assert_in_range(all, 2, 8);
    for (int32_t s = 0; s < all; s++) stages[s] = layers;
    const rig_plan plans[] = {{&all, 1, false, false}, {stages, all, true, true}};
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++)
        for (size_t i = 0; i < sizeof plans / sizeof *plans && rig_runs_on(*kind); i++)
            check_step(name, folder, *kind, &plans[i]);
    weft_folder_close(folder);
}

/* Bit for bit what came in, under the same names. */
static void check_round_trip(const char *name)
{
    char run[128], out[128];
    weft_error error;
    weft_folder *from = open_folder(name, ""), *to = NULL;
    const weft_safetensors *left = from->files[0].tensors;
    const weft_export_options how = {.element = weft_safetensors_get(left, 0)->element};
    snprintf(run, sizeof run, "%s/%s", root, name);
    snprintf(out, sizeof out, "%s/%s-out", root, name);
    if (weft_import(from, run, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_export(run, out, &how, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_folder_open(out, 0, &to, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(to->file_count, 1);
    assert_int_equal(weft_safetensors_count(to->files[0].tensors), weft_safetensors_count(left));
    for (size_t i = 0; i < weft_safetensors_count(left); i++) {
        const weft_tensor_entry *wanted = weft_safetensors_get(left, i);
        const weft_tensor_entry *got = weft_safetensors_find(to->files[0].tensors, wanted->name);
        if (!got) fail_msg("%s: %s is lost", name, wanted->name);
        assert_int_equal(got->element, wanted->element);
        assert_int_equal(got->dimensions, wanted->dimensions);
        assert_memory_equal(got->shape, wanted->shape, sizeof got->shape);
        assert_int_equal(got->bytes, wanted->bytes);
        assert_memory_equal(got->data, wanted->data, got->bytes);
    }
    weft_folder_close(to);
    weft_folder_close(from);
}

static void for_each(void (*check)(const char *name))
{
    weft_arena arena;
    weft_error error;
    const char **names = NULL;
    size_t count = 0;
    weft_arena_init(&arena);
    if (weft_folder_list(oracles, &arena, &names, &count, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) check(names[i]);
    weft_arena_fini(&arena);
}

static void test_steps(void **state)
{
    (void)state;
    for_each(check_steps);
}

static void test_round_trips(void **state)
{
    (void)state;
    for_each(check_round_trip);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(root, &error) == WEFT_OK ? 0 : -1;
}

int main(int count, char **arguments)
{
    if (count != 2) return 2;
    oracles = arguments[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_round_trips)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
