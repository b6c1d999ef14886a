/* What is wrong in a configuration is told in one line: where, which key, and what is known nearest. */
#include "config/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

static void check_refused(const char *text, const char *override, const char *message)
{
    weft_config config;
    weft_error error;
    weft_error_clear(&error);
    assert_int_equal(
        weft_config_load_text(&config, text, strlen(text), "dir/run.yaml", &override, override != NULL, &error),
        WEFT_INVALID);
    assert_string_equal(error.text, message);
}

static void test_every_complaint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++)
        check_refused(bad_cases[i].text, bad_cases[i].override, bad_cases[i].message);
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
    check_refused(OK_DATA, override, "command line: data.path: is longer than 4000 bytes");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_complaint),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_long_text_is_refused),
        cmocka_unit_test(test_nearest_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
