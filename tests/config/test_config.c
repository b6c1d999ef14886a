/* A configuration as it is read: values, defaults and presets, origins, and the dump that reads back. */
#include "../base/failing.h"
#include "base/random.h"
#include "config/fields.h"

#include <math.h>
#include <regex.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static weft_status load(weft_config *config, const char *text, const char *const *overrides, weft_error *error)
{
    int count = 0;
    while (overrides && overrides[count]) count++;
    weft_error_clear(error);
    return weft_config_load_text(config, text, strlen(text), "dir/run.yaml", overrides, count, error);
}

static void load_well(weft_config *config, const char *text, const char *const *overrides)
{
    weft_error error;
    weft_status status = load(config, text, overrides, &error);
    if (status != WEFT_OK) fail_msg("%s", error.text);
}

#define OK_DATA "data: {path: x}\n"

static void test_values_and_defaults(void **state)
{
    (void)state;
    weft_config config;
    load_well(&config,
              "data:\n  path: corpus.txt\nmodel.width: 64\nrun:\n"
              "parallel:\n  pipeline: 2\n  loops: 2\n  stages:\n  - 0\n  - 1\n  - 2\n  - 1\nmemory_limit: 2GiB\n"
              "transport: mpi\nelement: bf16\noptimizer: {decay: wsd, learning_rate: 3e-3}\n",
              NULL);
    assert_string_equal(config.data.path, "corpus.txt");
    assert_string_equal(config.run.folder, "run/run");
    assert_int_equal(config.model.width, 64);
    assert_int_equal(config.model.kv_heads, 4);
    assert_int_equal(config.model.feed_forward, 256);
    assert_int_equal(config.batch.tokens, 128);
    assert_int_equal(config.model.norm, WEFT_CONFIG_LAYERNORM);
    assert_int_equal(config.model.position, WEFT_CONFIG_LEARNED);
    assert_int_equal(config.model.activation, WEFT_CONFIG_GELU);
    assert_true(config.model.bias && config.model.tied);
    assert_int_equal(config.parallel.stages.count, 4);
    assert_int_equal(config.parallel.stages.values[2], 2);
    assert_int_equal(config.memory_limit, (int64_t)2 << 30);
    assert_int_equal(config.transport, WEFT_CONFIG_MPI);
    assert_int_equal(config.element, WEFT_CONFIG_ELEMENT_BF16);
    assert_int_equal(config.optimizer.decay, WEFT_CONFIG_WSD);
    assert_true(fabs(config.optimizer.learning_rate - 3e-3) < 1e-18);
    assert_true(fabs(config.model.norm_epsilon - 1e-5) < 1e-18);
    weft_config_fini(&config);
}

static void test_presets(void **state)
{
    (void)state;
    /* Explicit keys win whether they come before or after the preset. */
    const char *texts[] = {OK_DATA "model: {bias: true, architecture: llama}\n",
                           OK_DATA "model: {architecture: llama, bias: true}\n"};
    for (int i = 0; i < 2; i++) {
        weft_config config;
        load_well(&config, texts[i], NULL);
        assert_int_equal(config.model.norm, WEFT_CONFIG_RMSNORM);
        assert_int_equal(config.model.position, WEFT_CONFIG_ROTARY);
        assert_int_equal(config.model.activation, WEFT_CONFIG_SWIGLU);
        assert_true(config.model.bias);
        assert_false(config.model.tied);
        assert_int_equal(config.model.feed_forward, 384); /* 8/3 x 128 = 341.3, rounded up to 64s */
        weft_config_fini(&config);
    }
    const char *overrides[] = {"model.architecture=llama", "model.width=96", "model.width=192", NULL};
    weft_config config;
    load_well(&config, OK_DATA, overrides);
    assert_int_equal(config.model.width, 192);
    assert_int_equal(config.model.feed_forward, 512); /* exactly 8/3 x 192 */
    weft_config_fini(&config);
}

static void test_head_width(void **state)
{
    (void)state;
    weft_config config;
    load_well(&config, OK_DATA "model: {width: 100, heads: 3, head_width: 8}\n", NULL);
    assert_int_equal(config.model.head_width, 8);
    weft_config_fini(&config);
    load_well(&config, OK_DATA "model: {width: 96, heads: 3, context: 40}\n", NULL);
    assert_int_equal(config.model.head_width, 32);
    assert_int_equal(config.model.rotary_context, 40);
    weft_config_fini(&config);
}

static char *dump(const weft_config *config, bool origins)
{
    weft_text text;
    weft_text_init(&text);
    weft_config_dump(config, origins, &text);
    char *copy = strdup(weft_text_get(&text));
    weft_text_fini(&text);
    return copy;
}

static void check_round_trip(const weft_config *config, const char *origin)
{
    for (int origins = 0; origins < 2; origins++) {
        char *text = dump(config, origins), *plain = dump(config, false);
        weft_config again;
        weft_error error;
        if (weft_config_load_text(&again, text, strlen(text), "again.yaml", NULL, 0, &error) != WEFT_OK)
            fail_msg("%s, from %s in:\n%s", error.text, origin, text);
        char *second = dump(&again, false);
        assert_string_equal(second, plain);
        weft_config_fini(&again);
        free(second);
        free(text);
        free(plain);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *overrides[] = {
        "run.sample_prompt=a \"b\"\\ : #c \n\t\x7f \xc3\xa9 \xe2\x80\xa8 \xc2\x85 \xef\xbb\xbf \xf0\x9f\x98\x80 - ",
        "parallel.stages=4",
        "optimizer.learning_rate=0.1234567890123456789",
        "model.init_deviation=1e-300",
        "run.seed=8999999999999999999",
        "memory_limit=3MiB",
        "model.architecture=llama",
        NULL};
    weft_config config;
    load_well(&config, OK_DATA, overrides);
    check_round_trip(&config, "overrides");
    weft_config_fini(&config);
}

/* What a reader of YAML 1.1 takes for a number: the patterns of PyYAML, without bases, times and underscores. */
static bool is_number(regex_t *pattern, const char *text)
{
    return regexec(pattern, text, 0, NULL, 0) == 0;
}

static void test_numbers_are_numbers_everywhere(void **state)
{
    (void)state;
    static const char floats[] = "^[-+]?(0|[1-9][0-9]*)$|^[-+]?[0-9]+\\.[0-9]*([eE][-+][0-9]+)?$";
    regex_t pattern;
    assert_int_equal(regcomp(&pattern, floats, REG_EXTENDED | REG_NOSUB), 0);
    assert_false(is_number(&pattern, "1e-05"));
    assert_true(is_number(&pattern, "1.0e-05"));
    weft_random_key key = weft_random_key_make(7, "numbers");
    uint64_t draw = 0;
    for (int i = 0; i < weft_field_count(); i++) {
        const weft_field *field = weft_field_get(i);
        if (field->type != WEFT_FIELD_DOUBLE) continue;
        for (int k = 0; k < 400; k++) {
            char value[80], override[200];
            /* Bounds, few digits and many, over the whole range. */
            double share = weft_random_uniform(key, draw++), most = field->maximum,
                   least = fmax(field->minimum, 1e-300);
            double drawn = exp(log(least) + share * (log(most) - log(least)));
            snprintf(value, sizeof value, "%.*g", k % 17 + 1, k == 0 ? field->minimum : k == 1 ? most : drawn);
            snprintf(override, sizeof override, "%s=%s", field->key, value);
            const char *overrides[] = {override, NULL};
            weft_config config;
            weft_error error;
            if (load(&config, OK_DATA, overrides, &error) != WEFT_OK) continue; /* rounded out of the range */
            double held = 0, again = 0;
            memcpy(&held, (const char *)&config + field->offset, sizeof held);
            weft_text text;
            weft_text_init(&text);
            weft_field_print(&config, i, false, &text);
            if (!is_number(&pattern, weft_text_get(&text)))
                fail_msg("%s is written as %s", value, weft_text_get(&text));
            assert_true(weft_parse_double(weft_text_get(&text), &again));
            assert_memory_equal(&again, &held, sizeof held);
            weft_text_fini(&text);
            weft_config_fini(&config);
        }
        for (int preset = 0; preset < 2 && field->defaults[0]; preset++)
            if (!is_number(&pattern, field->defaults[preset])) fail_msg("%s: default", field->key);
    }
    regfree(&pattern);
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    weft_config config;
    load_well(&config, "\xef\xbb\xbf" OK_DATA "model: {layers: 3}\n", NULL);
    assert_int_equal(config.model.layers, 3);
    check_round_trip(&config, "a byte order mark");
    weft_config_fini(&config);
}

/* Schedules of the rate that a short run does not reach are no mistakes. */
static void test_short_runs(void **state)
{
    (void)state;
    weft_config config;
    load_well(&config, OK_DATA "run: {steps: 5}\noptimizer: {warmup: 100, decay: wsd, decay_steps: 1000}\n", NULL);
    assert_int_equal(config.optimizer.warmup, 100);
    weft_config_fini(&config);
}

static void test_origins(void **state)
{
    (void)state;
    const char *overrides[] = {"run.steps=7", NULL};
    weft_config config;
    load_well(&config, OK_DATA "model:\n  layers: 6\n", overrides);
    char *text = dump(&config, true);
    assert_non_null(strstr(text, "  path: \"x\"  # dir/run.yaml:1\n"));
    assert_non_null(strstr(text, "model:\n  architecture: gpt2  # default\n  layers: 6  # dir/run.yaml:3\n"));
    assert_non_null(strstr(text, "  norm: layernorm  # preset\n"));
    assert_non_null(strstr(text, "  steps: 7  # command line\n"));
    free(text);
    weft_text json;
    weft_text_init(&json);
    weft_config_dump_json(&config, &json);
    assert_non_null(strstr(weft_text_get(&json), "\"model.layers\": {\"value\": 6, \"origin\": \"dir/run.yaml:3\"},"));
    assert_non_null(
        strstr(weft_text_get(&json), "\"model.norm\": {\"value\": \"layernorm\", \"origin\": \"preset\"},"));
    assert_non_null(strstr(weft_text_get(&json), "\"parallel.stages\": {\"value\": [], \"origin\": \"default\"},"));
    weft_text_fini(&json);
    weft_error error;
    assert_int_equal(weft_config_complain(&config, "model.layers", &error, "too %s", "many"), WEFT_INVALID);
    assert_string_equal(error.text, "dir/run.yaml:3:11: model.layers: too many");
    assert_int_equal(weft_config_complain(&config, "run.steps", &error, "too few"), WEFT_INVALID);
    assert_string_equal(error.text, "command line: run.steps: too few");
    assert_int_equal(weft_config_complain(&config, "model.norm", &error, "no"), WEFT_INVALID);
    assert_string_equal(error.text, "dir/run.yaml: model.norm (preset): no");
    weft_config_fini(&config);
}

static void test_folder_from_name(void **state)
{
    (void)state;
    const struct {
        const char *name, *folder;
    } cases[] = {{"a/b.yaml", "run/b"}, {"b.c.yml", "run/b.c"}, {"b.txt", "run/b.txt"}, {".yaml", "run/.yaml"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weft_config config;
        weft_error error;
        assert_int_equal(weft_config_load_text(&config, OK_DATA, strlen(OK_DATA), cases[i].name, NULL, 0, &error),
                         WEFT_OK);
        assert_string_equal(config.run.folder, cases[i].folder);
        weft_config_fini(&config);
    }
}

/* A file's name may hold anything; what is printed of it must not break a dump or a message. */
static void test_hostile_file_name(void **state)
{
    (void)state;
    weft_config config;
    weft_error error;
    const char *overrides[] = {"run.folder=x"};
    assert_int_equal(weft_config_load_text(&config, OK_DATA, strlen(OK_DATA), "a\nb\xff.yaml", overrides, 1, &error),
                     WEFT_OK);
    check_round_trip(&config, "hostile name");
    weft_config_complain(&config, "data.path", &error, "no");
    assert_string_equal(error.text, "a?b?.yaml:1:14: data.path: no");
    weft_config_fini(&config);
    assert_int_equal(weft_config_load_text(&config, OK_DATA, strlen(OK_DATA), "a\xff.yaml", NULL, 0, &error),
                     WEFT_INVALID);
    assert_string_equal(error.text, "a?.yaml: run.folder (default): is not valid UTF-8");
}

static void test_help_has_every_section(void **state)
{
    (void)state;
    weft_text help;
    weft_text_init(&help);
    weft_config_help(&help);
    assert_non_null(strstr(weft_text_get(&help), "| `data.path` | text | required | not empty |"));
    assert_non_null(strstr(weft_text_get(&help),
                           "| `model.norm` | name | `layernorm` (gpt2), `rmsnorm` (llama) | layernorm, rmsnorm |"));
    assert_non_null(strstr(weft_text_get(&help), "## Keys without a section\n"));
    weft_text_fini(&help);
}

static const char *const fuzz_seed =
    "run: {folder: a, steps: 20, seed: 3}\nmodel:\n  architecture: llama\n  layers: 4\n  width: 64\n  heads: 4\n"
    "  norm_epsilon: 1e-6\n  bias: true\ndata:\n  path: \"corpus \\u00e9.txt\"\nparallel:\n  pipeline: 2\n"
    "  stages: [1, 3]\noptimizer: {decay: wsd, warmup: 2}\nmemory_limit: 8GiB\ntransport: local\n";

static const char *const fuzz_words[] = {
    ":",   " ",     "\n",    "- ",          "[", "]", "{",          "}",     "&a ",  "*a",   "!!x ", "\"", "'", "|\n",
    ">\n", "---\n", "...\n", "%YAML 1.1\n", "0", "-", "9999999999", "model", "\xff", "\xc3", "? ",   "#",  ",", "~"};

static size_t mutate(char *text, size_t length, size_t room, weft_random_key key, uint64_t *counter)
{
    int edits = 1 + (int)(weft_random_bits(key, (*counter)++) % 4);
    for (int i = 0; i < edits && length > 0; i++) {
        uint64_t kind = weft_random_bits(key, (*counter)++) % 4;
        size_t at = weft_random_bits(key, (*counter)++) % length;
        const char *word = fuzz_words[weft_random_bits(key, (*counter)++) % (sizeof fuzz_words / sizeof fuzz_words[0])];
        size_t cut = 1 + weft_random_bits(key, (*counter)++) % 20, more = strlen(word);
        if (kind == 0) text[at] = (char)weft_random_bits(key, (*counter)++);
        if (kind == 1 && at + cut <= length) {
            memmove(text + at, text + at + cut, length - at - cut);
            length -= cut;
        }
        if (kind == 2 && length + more < room) {
            memmove(text + at + more, text + at, length - at);
            memcpy(text + at, word, more);
            length += more;
        }
        if (kind == 3) length = at;
    }
    return length;
}

static void test_fuzz(void **state)
{
    (void)state;
    weft_random_key key = weft_random_key_make(1, "config fuzz");
    uint64_t counter = 0;
    int good = 0, bad = 0;
    for (int i = 0; i < 6000; i++) {
        char text[1024];
        size_t length = strlen(fuzz_seed);
        memcpy(text, fuzz_seed, length);
        if (i > 0) length = mutate(text, length, sizeof text, key, &counter);
        weft_config config;
        weft_error error;
        weft_error_clear(&error);
        weft_status status = weft_config_load_text(&config, text, length, "fuzz.yaml", NULL, 0, &error);
        if (status == WEFT_OK) {
            check_round_trip(&config, "fuzz");
            weft_config_fini(&config);
            good++;
        } else {
            assert_int_equal(status, WEFT_INVALID);
            assert_int_equal(strncmp(error.text, "fuzz.yaml", 9), 0);
            assert_null(strpbrk(error.text, "\n\r"));
            bad++;
        }
    }
    assert_true(good > 100 && bad > 1000);
}

static weft_status load_and_dump(void *context, weft_error *error)
{
    static const char *const overrides[] = {"run.steps=3", "parallel.stages=[1,2]", "parallel.pipeline=2"};
    const char *written = context;
    weft_config config;
    weft_text text;
    TRY(weft_config_load_text(&config, written, strlen(written), "a.yaml", overrides, 3, error));
    weft_text_init(&text);
    weft_config_dump(&config, true, &text);
    weft_config_dump_json(&config, &text);
    weft_config_help(&text);
    weft_status status = weft_text_check(&text, error);
    weft_text_fini(&text);
    weft_config_fini(&config);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    static char path[] = "model: {layers: 3}\ndata: {path: a}\n";
    static char sources[] =
        "model: {layers: 3}\ndata: {sources: [{path: a, weight: 2}, {path: b}, {path: c, weight: 1}]}\n";
    assert_true(failing_each(load_and_dump, path, FAILING_REPORTS) > 20);
    assert_true(failing_each(load_and_dump, sources, FAILING_REPORTS) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_head_width),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_numbers_are_numbers_everywhere),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_short_runs),
        cmocka_unit_test(test_folder_from_name),
        cmocka_unit_test(test_hostile_file_name),
        cmocka_unit_test(test_help_has_every_section),
        cmocka_unit_test(test_fuzz),
        cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
