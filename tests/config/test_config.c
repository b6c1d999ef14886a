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

typedef struct bad_case {
    const char *text, *override, *message;
} bad_case;

#define OK_DATA "data: {path: x}\n"

static const bad_case bad_cases[] = {
    /* keys */
    {"model:\n  layes: 4\n", NULL, "dir/run.yaml:2:3: unknown key 'model.layes' (nearest: 'model.layers')"},
    {"modle:\n  layers: 4\n", NULL, "dir/run.yaml:1:1: unknown key 'modle' (nearest: 'model')"},
    {"devise: cpu\n", NULL, "dir/run.yaml:1:1: unknown key 'devise' (nearest: 'device')"},
    {"layers: 4\n", NULL, "dir/run.yaml:1:1: unknown key 'layers' (nearest: 'model.layers')"},
    {"model:\n  qqqqqqqqqqqqqqqqqqqqqq: 4\n", NULL,
     "dir/run.yaml:2:3: unknown key 'model.qqqqqqqqqqqqqqqqqqqqqq': there is no such key ('weft help config' lists "
     "all)"},
    {"lerning_rate: 1\n", NULL, "dir/run.yaml:1:1: unknown key 'lerning_rate' (nearest: 'optimizer.learning_rate')"},
    {"run:\n  wandb: x\n", NULL,
     "dir/run.yaml:2:3: unknown key 'run.wandb': there is no such key ('weft help config' lists all)"},
    {"run:\n  microbatch: 1\n", NULL, "dir/run.yaml:2:3: unknown key 'run.microbatch' (nearest: 'batch.microbatches')"},
    {"optimiser: {clip: 1}\n", NULL, "dir/run.yaml:1:1: unknown key 'optimiser' (nearest: 'optimizer')"},
    /* encodings */
    {"\xef\xbb\xbfmodel:\n  layes: 4\n", NULL, "dir/run.yaml:2:3: unknown key 'model.layes' (nearest: 'model.layers')"},
    {"\xef\xbb\xbflayes: 4\n", NULL, "dir/run.yaml:1:1: unknown key 'layes' (nearest: 'model.layers')"},
    {"\xef\xbb\xbfmodel:\n  layers: \xff\n", NULL, "dir/run.yaml:2:11: not valid YAML: invalid leading UTF-8 octet"},
    {"\xff\xfem", NULL, "dir/run.yaml: is text of two or four bytes a character (UTF-16 or UTF-32); save it as UTF-8"},
    {"\xfe\xffm", NULL, "dir/run.yaml: is text of two or four bytes a character (UTF-16 or UTF-32); save it as UTF-8"},
    {"model:\n  layers: 4\n  layers: 5\n", NULL, "dir/run.yaml:3:3: duplicate key 'model.layers' (first at line 2)"},
    {"model:\n  layers: 4\nmodel.layers: 5\n", NULL,
     "dir/run.yaml:3:1: duplicate key 'model.layers' (first at line 2)"},
    {"model:\n  layers: 4\nmodel:\n  width: 8\n", NULL, "dir/run.yaml:3:1: duplicate key 'model'"},
    {"? [a]\n: 1\n", NULL, "dir/run.yaml:1:3: a key must be a plain word"},
    {"\"a\\nb\": 1\n", NULL,
     "dir/run.yaml:1:1: unknown key 'a?b': there is no such key ('weft help config' lists all)"},
    /* types */
    {"model: {layers: four}\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not 'four'"},
    {"model: {layers: 4.5}\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not '4.5'"},
    {"model: {layers: }\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not ''"},
    {"model: {layers: [4]}\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not a list"},
    {"model: {layers: {a: 4}}\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not a mapping"},
    {"data: {path: [x]}\n", NULL, "dir/run.yaml:1:14: data.path: expects a text, not a list"},
    {"model: {layers: \"4\\n5\"}\n", NULL, "dir/run.yaml:1:17: model.layers: expects a whole number, not '4?5'"},
    {"model: {layers: 99999999999999999999}\n", NULL,
     "dir/run.yaml:1:17: model.layers: expects a whole number, not '99999999999999999999'"},
    {"optimizer:\n  beta1: many\n", NULL, "dir/run.yaml:2:10: optimizer.beta1: expects a number, not 'many'"},
    {"optimizer:\n  beta1: nan\n", NULL, "dir/run.yaml:2:10: optimizer.beta1: expects a number, not 'nan'"},
    {"optimizer:\n  beta1: 0x1p-1\n", NULL, "dir/run.yaml:2:10: optimizer.beta1: expects a number, not '0x1p-1'"},
    {"model: {bias: yes}\n", NULL, "dir/run.yaml:1:15: model.bias: expects true or false, not 'yes'"},
    {"model: {bias: True}\n", NULL, "dir/run.yaml:1:15: model.bias: expects true or false, not 'True'"},
    {"model: {norm: rmsnrom}\n", NULL,
     "dir/run.yaml:1:15: model.norm: expects layernorm or rmsnorm, not 'rmsnrom' (nearest: 'rmsnorm')"},
    {"optimizer: {decay: zzzzzz}\n", NULL,
     "dir/run.yaml:1:20: optimizer.decay: expects constant, linear, cosine or wsd, not 'zzzzzz'"},
    {"memory_limit: 8 gigs\n", NULL,
     "dir/run.yaml:1:15: memory_limit: expects a size in bytes such as 8GiB or 512MiB, not '8 gigs'"},
    {"memory_limit: 99999999TiB\n", NULL, "dir/run.yaml:1:15: memory_limit: 99999999TiB is out of range (0 to 9e+18)"},
    {"parallel: {stages: [1, x]}\n", NULL,
     "dir/run.yaml:1:24: parallel.stages: expects a list of whole numbers such as [1, 2, 1], not 'x'"},
    {"parallel: {stages: [1, [2]]}\n", NULL,
     "dir/run.yaml:1:24: parallel.stages: expects a list of whole numbers such as [1, 2, 1], not a list of lists or "
     "mappings"},
    {"parallel: {stages: [1, -2]}\n", NULL, "dir/run.yaml:1:20: parallel.stages: -2 is out of range (0 to 65536)"},
    {"data: {path: \"a\\0b\"}\n", NULL, "dir/run.yaml:1:14: a zero byte is not allowed here"},
    {"data: {path: ''}\n", NULL, "dir/run.yaml:1:14: data.path: must not be empty"},
    /* ranges */
    {"model: {layers: 0}\n", NULL, "dir/run.yaml:1:17: model.layers: 0 is out of range (1 to 65536)"},
    {"optimizer: {beta1: 1}\n", NULL, "dir/run.yaml:1:20: optimizer.beta1: 1 is out of range (0 to 0.9999999)"},
    {"optimizer: {clip: -1}\n", NULL, "dir/run.yaml:1:19: optimizer.clip: -1 is out of range (0 to 1e+12)"},
    /* YAML */
    {"", NULL, "dir/run.yaml: is empty; data.path at least is needed"},
    {"# nothing\n", NULL, "dir/run.yaml: is empty; data.path at least is needed"},
    {"- a\n", NULL, "dir/run.yaml:1:1: expects keys such as 'model:' at the top"},
    {"model: 4\n", NULL, "dir/run.yaml:1:8: model: expects a mapping of keys"},
    {"model: [4]\n", NULL, "dir/run.yaml:1:8: model: expects a mapping of keys"},
    {OK_DATA "---\nmodel:\n", NULL, "dir/run.yaml:2:1: a second document starts here; one is allowed"},
    {"run: {folder: &a x}\n", NULL,
     "dir/run.yaml:1:15: anchors are not allowed here; write the value out where it is used"},
    {"run: {folder: *a}\n", NULL, "dir/run.yaml:1:15: aliases are not allowed here; write the value out"},
    {"model: {layers: !!int 4}\n", NULL, "dir/run.yaml:1:17: tags are not allowed here; the key alone gives the type"},
    {"model:\n  layers: 4\n   width: 5\n", NULL,
     "dir/run.yaml:2:11: model.layers: expects a whole number, not '4 width'"},
    {"model:\n\tlayers: 4\n", NULL,
     "dir/run.yaml:2:1: not valid YAML: while scanning for the next token, found character that cannot start any "
     "token"},
    {"model: {layers: 4\n", NULL,
     "dir/run.yaml:2:1: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'"},
    {"model:\n  layers: \xff\n", NULL, "dir/run.yaml:2:11: not valid YAML: invalid leading UTF-8 octet"},
    /* what is missing, and what disagrees */
    {"model: {layers: 4}\n", NULL, "dir/run.yaml: data.path: is required; set it in the file or as data.path=VALUE"},
    {OK_DATA "model: {heads: 3}\n", NULL,
     "dir/run.yaml:2:16: model.heads: 3 heads do not divide model.width 128: change one, or set model.head_width"},
    {OK_DATA "model: {width: 130}\n", NULL,
     "dir/run.yaml: model.heads (default): 4 heads do not divide model.width 130: change one, or set model.head_width"},
    {OK_DATA "optimizer: {skip: 0.5}\n", NULL,
     "dir/run.yaml:2:19: optimizer.skip: 0.5 would skip ordinary steps: 0 skips none, 6 those far above the others"},
    {OK_DATA "optimizer: {skip: 6, skip_window: 1}\n", NULL,
     "dir/run.yaml:2:35: optimizer.skip_window: one step has no standard deviation: set it to 2 or more, or to 0"},
    {OK_DATA "optimizer: {skip: 6}\nrun: {steps: 128}\n", NULL,
     "dir/run.yaml: optimizer.skip_window (default): 128 steps are never there before one of the 128 of run.steps: set "
     "it lower, or to 0 to skip only what is not finite"},
    {OK_DATA "optimizer: {skip_in_a_row: 0}\n", NULL,
     "dir/run.yaml:2:28: optimizer.skip_in_a_row: 0 is out of range (1 to 1e+12)"},
    {OK_DATA "model: {kv_heads: 3}\n", NULL,
     "dir/run.yaml:2:19: model.kv_heads: 3 key and value heads do not divide model.heads 4"},
    {OK_DATA "model: {head_width: 5, position: rotary}\n", NULL,
     "dir/run.yaml: model.heads (default): rotary positions need an even head width, not 5"},
    {OK_DATA "model: {rotary_scaling: yarn}\n", NULL,
     "dir/run.yaml:2:25: model.rotary_scaling: stretches rotary positions: set "
     "model.position to rotary, or leave it out"},
    {OK_DATA "model: {architecture: llama, rotary_scaling: llama3, rotary_high: 1}\n", NULL,
     "dir/run.yaml:2:67: model.rotary_high: must be greater than model.rotary_low, 1"},
    {OK_DATA "model: {architecture: llama, rotary_scaling: yarn, rotary_slow: 33}\n", NULL,
     "dir/run.yaml: model.rotary_fast (default): must be at least model.rotary_slow, 33"},
    {OK_DATA "model: {architecture: llama, rotary_scaling: longrope}\n", NULL,
     "dir/run.yaml:2:46: model.rotary_scaling: expects none, linear, llama3 or yarn, not 'longrope'"},
    {OK_DATA "model: {width: 12, heads: 4, position: rotary}\n", NULL,
     "dir/run.yaml:2:27: model.heads: rotary positions need an even head width, not 3"},
    {OK_DATA "batch: {tokens: 129}\n", NULL,
     "dir/run.yaml:2:17: batch.tokens: 129 tokens do not fit in model.context 128"},
    {OK_DATA "parallel: {pipeline: 2, stages: [1, 2, 1]}\n", NULL,
     "dir/run.yaml:2:33: parallel.stages: lists 3 stages; pipeline 2 x loops 1 makes 2"},
    {OK_DATA "parallel: {pipeline: 2, stages: [1, 2]}\n", NULL,
     "dir/run.yaml:2:33: parallel.stages: the stages hold 3 layers; model.layers is 4"},
    {OK_DATA "parallel: {pipeline: 65536, loops: 65536}\n", NULL,
     "dir/run.yaml:2:36: parallel.loops: 4294967296 stages (pipeline x loops) are more than 16777216"},
    {OK_DATA "run: {timeline_step: 1001}\n", NULL,
     "dir/run.yaml:2:22: run.timeline_step: step 1001 is after the last, 1000"},
    /* command line */
    {OK_DATA, "model.layes=4", "command line: unknown key 'model.layes' (nearest: 'model.layers')"},
    {OK_DATA, "layers=4", "command line: unknown key 'layers' (nearest: 'model.layers')"},
    {OK_DATA, "model=4", "command line: 'model' is a section; write model.KEY=VALUE"},
    {OK_DATA, "qqqqqqqqqqqqqqqq=4",
     "command line: unknown key 'qqqqqqqqqqqqqqqq': there is no such key ('weft help config' lists all)"},
    {OK_DATA, "model.layers", "command line: 'model.layers' is not of the form KEY=VALUE"},
    {OK_DATA, "=4", "command line: '=4' is not of the form KEY=VALUE"},
    {OK_DATA, "model.layers=x", "command line: model.layers: expects a whole number, not 'x'"},
    {OK_DATA, "model.layers=0", "command line: model.layers: 0 is out of range (1 to 65536)"},
    {OK_DATA, "model.heads=3",
     "command line: model.heads: 3 heads do not divide model.width 128: change one, or set model.head_width"},
    {OK_DATA, "run.folder=\xff", "command line: run.folder: is not valid UTF-8"},
    {OK_DATA, "parallel.stages=[1, 2",
     "command line: parallel.stages: expects a list of whole numbers such as [1, 2, 1], not '[1, 2'"},
    {OK_DATA, "parallel.stages=1,,2",
     "command line: parallel.stages: expects a list of whole numbers such as [1, 2, 1], not '1,,2'"},
};

static void test_every_complaint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const char *overrides[] = {bad_cases[i].override, NULL};
        weft_config config;
        weft_error error;
        assert_int_equal(load(&config, bad_cases[i].text, overrides, &error), WEFT_INVALID);
        assert_string_equal(error.text, bad_cases[i].message);
    }
}

static void test_missing_file(void **state)
{
    (void)state;
    weft_config config;
    weft_error error;
    assert_int_equal(weft_config_load(&config, "/nonexistent/a.yaml", NULL, 0, &error), WEFT_INVALID);
    assert_string_equal(error.text, "/nonexistent/a.yaml: cannot open: No such file or directory");
}

static void test_long_text_is_refused(void **state)
{
    (void)state;
    char override[4200] = "data.path=";
    memset(override + 10, 'x', 4001);
    const char *overrides[] = {override, NULL};
    weft_config config;
    weft_error error;
    assert_int_equal(load(&config, OK_DATA, overrides, &error), WEFT_INVALID);
    assert_string_equal(error.text, "command line: data.path: is longer than 4000 bytes");
}

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

/* Every key with one letter wrong, and by its last part alone, is the nearest to itself or to one just as near. */
static void test_nearest_keys(void **state)
{
    (void)state;
    static const char *const far[] = {"run.wandb",
                                      "run.epochs",
                                      "data.augmentation",
                                      "model.dropout",
                                      "wandb.project",
                                      "optimizer.lr",
                                      "lr",
                                      "epochs",
                                      "x",
                                      "",
                                      "."};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        if (weft_field_nearest(far[i])) fail_msg("'%s' is not near %s", far[i], weft_field_nearest(far[i]));
    for (int i = 0; i < weft_field_count(); i++) {
        const char *key = weft_field_get(i)->key, *name = strchr(key, '.') ? strchr(key, '.') + 1 : key;
        char wrong[64], word[64];
        size_t length = strlen(name);
        if (length < 4) continue;
        snprintf(wrong, sizeof wrong, "%s", key);
        wrong[strlen(wrong) - 2] = 'q';
        assert_string_equal(weft_field_nearest(wrong), key);
        snprintf(word, sizeof word, "%.*s%s", (int)(length / 2), name, name + length / 2 + 1);
        const char *nearest = weft_field_nearest(word);
        assert_non_null(nearest);
        const char *found = strchr(nearest, '.') ? strchr(nearest, '.') + 1 : nearest;
        if (strcmp(found, name) != 0) fail_msg("%s for %s of %s", nearest, word, key);
        snprintf(word, sizeof word, "elsewhere.%s", name);
        nearest = weft_field_nearest(word);
        assert_string_equal(strchr(nearest, '.') ? strchr(nearest, '.') + 1 : nearest, name);
    }
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
        cmocka_unit_test(test_every_complaint),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_long_text_is_refused),
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_head_width),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_numbers_are_numbers_everywhere),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_short_runs),
        cmocka_unit_test(test_nearest_keys),
        cmocka_unit_test(test_folder_from_name),
        cmocka_unit_test(test_hostile_file_name),
        cmocka_unit_test(test_help_has_every_section),
        cmocka_unit_test(test_fuzz),
        cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
