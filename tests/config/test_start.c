/* What a run starts from gives keys of the model: in place of defaults, never of what the user says, who must agree. */
#include "../base/failing.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char model[] =
    "data: {path: none}\nmodel: {architecture: llama, layers: 3, width: 24, heads: 6, kv_heads: 2, "
    "context: 32, norm_epsilon: 1.0e-6, rotary_base: 12345.5, init_deviation: 0.5}\n";

/* What the finder was asked for, and what it answers with. */
typedef struct start {
    weft_config config;
    char asked[256];
    const char *tokenizer;
    bool none;
} start;

static weft_status find(void *context, const char *name, const char *folder, weft_config_start *out, weft_error *error)
{
    start *it = context;
    snprintf(it->asked, sizeof it->asked, "%s for %s", name, folder);
    if (strcmp(name, "bad") == 0) FAIL(error, WEFT_INVALID, "bad: is no model");
    if (it->none) return WEFT_OK;
    *out = (weft_config_start){.config = &it->config, .name = "there", .tokenizer = it->tokenizer};
    return WEFT_OK;
}

static weft_status load(start *it, weft_config *config, const char *text, const char *override, weft_error *error)
{
    weft_error_clear(error);
    return weft_config_load_text_from(config, find, it, text, strlen(text), "dir/run.yaml", &override, override != NULL,
                                      error);
}

static const char file[] = "run: {start: here}\ndata: {path: x}\nmodel:\n  heads: 6\n  context: 16\n";

static int set_up(void **state)
{
    static start it;
    weft_error error;
    it = (start){.tokenizer = "there/tokenizer"};
    *state = &it;
    return weft_config_load_text(&it.config, model, sizeof model - 1, "there", NULL, 0, &error) == WEFT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    weft_config_fini(&((start *)*state)->config);
    return 0;
}

static void test_keys(void **state)
{
    start *it = *state;
    weft_config config;
    weft_error error;
    weft_text dump;
    if (load(it, &config, file, NULL, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_string_equal(it->asked, "here for run/run");
    assert_int_equal(config.model.width, 24);
    assert_int_equal(config.model.feed_forward, it->config.model.feed_forward);
    assert_int_equal(config.model.context, 16);
    assert_int_equal(config.batch.tokens, 16);
    assert_true(config.model.rotary_base == 12345.5 && config.model.init_deviation == 0.02);
    assert_string_equal(config.data.tokenizer, "there/tokenizer");
    weft_text_init(&dump);
    weft_config_dump(&config, true, &dump);
    static const char *const lines[] = {"  architecture: llama  # start\n", "  heads: 6  # dir/run.yaml:4\n",
                                        "  norm: rmsnorm  # start\n", "  init_deviation: 0.02  # default\n",
                                        "  tokenizer: \"there/tokenizer\"  # start\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(weft_text_get(&dump), lines[i])) fail_msg("no line '%s' in\n%s", lines[i], weft_text_get(&dump));
    assert_int_equal(weft_config_given_by(&config, "model.width"), WEFT_CONFIG_NOT_GIVEN);
    weft_text_fini(&dump);
    weft_config_fini(&config);
}

/* Without anything to start from, or a finder, defaults are what they are. */
static void test_none(void **state)
{
    start *it = *state;
    weft_config config;
    weft_error error;
    it->none = true;
    assert_int_equal(load(it, &config, file, "model.heads=4", &error), WEFT_OK);
    assert_int_equal(config.model.width, 128);
    assert_string_equal(config.data.tokenizer, "");
    weft_config_fini(&config);
    it->asked[0] = '\0';
    assert_int_equal(load(it, &config, file, "run.start=", &error), WEFT_INVALID); /* 6 heads do not divide 128 */
    assert_string_equal(it->asked, "");
}

static void test_refusals(void **state)
{
    static const struct {
        const char *override, *message;
    } rows[] = {
        {"model.width=48", "command line: model.width: is 48, but the model in there has 24: leave it out"},
        {"model.kv_heads=0", "command line: model.kv_heads: is 6, but the model in there has 2: leave it out"},
        {"model.norm=layernorm",
         "command line: model.norm: is layernorm, but the model in there has rmsnorm: leave it out"},
        {"model.context=33", "command line: model.context: is 33, but the model in there has 32: leave it out"},
        {"model.heads=7", "command line: model.heads: is 7, but the model in there has 6: leave it out"},
        {"model.rotary_base=12345",
         "command line: model.rotary_base: is 12345, but the model in there has 12345.5: leave it out"},
        {"run.start=bad", "command line: run.start: bad: is no model"},
        {"batch.microbatches=0", "command line: batch.microbatches: 0 is out of range (1 to 1048576)"},
    };
    weft_config config;
    weft_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(load(*state, &config, file, rows[i].override, &error), WEFT_INVALID);
        assert_string_equal(error.text, rows[i].message);
    }
    assert_int_equal(load(*state, &config, "run: {start: here}\ndata: {path: x}\nmodel:\n  layers: 2\n", NULL, &error),
                     WEFT_INVALID);
    assert_string_equal(error.text,
                        "dir/run.yaml:4:11: model.layers: is 2, but the model in there has 3: leave it out");
    assert_int_equal(load(*state, &config, file, "data.tokenizer=", &error), WEFT_OK);
    assert_string_equal(config.data.tokenizer, "");
    weft_config_fini(&config);
}

static weft_status load_once(void *context, weft_error *error)
{
    weft_config config;
    TRY(load(context, &config, file, NULL, error));
    weft_config_fini(&config);
    return WEFT_OK;
}

static void test_every_allocation(void **state)
{
    assert_true(failing_each(load_once, *state, FAILING_REPORTS) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_allocation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
