/* Sampling token by token, with keys and values kept: the greedy tokens of whole windows, and the work of one row. */
#include "layouts.h"
#include "place.h"

#include "train/draw.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 128, KEYS = 8, MODELS = 5 };

static const char *const models[MODELS][KEYS] = {
    {NULL},
    {"model.architecture=llama", NULL},
    {"model.architecture=llama", "model.kv_heads=2", "model.tied=true", NULL},
    {"model.position=rotary", "model.kv_heads=1", NULL},
    {"model.architecture=llama", "model.position=learned", "model.bias=true", "model.activation=gelu", NULL},
};

typedef struct {
    int32_t tokens[MOST];
    int count, most; /* most: after so many it has enough; 0: never */
} kept_tokens;

static char notes[512];

static void keep_note(const char *line)
{
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s\n", line);
}

static int keep_token(void *context, int32_t token, bool bytes)
{
    kept_tokens *it = context;
    assert_true(bytes && it->count < MOST);
    it->tokens[it->count++] = token;
    return it->most > 0 && it->count == it->most;
}

/* A trained model of 64 tokens, which does not only repeat itself. */
static void train(int model, char folder[160])
{
    test_run run = {0};
    weft_error error;
    const char *keys[KEYS + 8] = {"model.context=64",        "model.layers=3",       "run.steps=20",
                                  "batch.sequences=1",       "batch.microbatches=4", "data.held_out=0",
                                  "model.init_deviation=0.2"};
    int count = 7;
    for (int i = 0; models[model][i]; i++) keys[count++] = models[model][i];
    keys[count] = NULL;
    snprintf(run.folder, sizeof run.folder, "%s/model-%d", test_folder, model);
    snprintf(folder, 160, "%s", run.folder);
    if (weft_path_exists(folder)) return;
    if (test_train(&run, test_corpus, keys, &error) != WEFT_OK) fail_msg("model %d: %s", model, error.text);
}

static kept_tokens sample(const char *folder, const char *device, weft_sample_options options)
{
    kept_tokens kept = {.count = 0};
    weft_error error;
    notes[0] = '\0';
    options.token = keep_token;
    options.context = &kept;
    options.note = keep_note;
    if (weft_sample(folder, device, &options, &error) != WEFT_OK) fail_msg("%s: %s", device, error.text);
    return kept;
}

/* Prompts of one token, of more than are computed at once, and of nearly all that there may be. */
static const char *const prompts[] = {"w", "the weft crosses the warp over and under",
                                      "the weft crosses the warp over and under the thread and shuttle"};

static void check_greedy(int model, const char *device)
{
    char folder[160];
    if (!weft_device_kind_find(device)) return;
    train(model, folder);
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        int64_t tokens = 64 + 1 - (int64_t)strlen(prompts[i]); /* the last comes from all 64 */
        weft_sample_options options = {.prompt = prompts[i], .tokens = tokens};
        kept_tokens stepped = sample(folder, device, options);
        assert_string_equal(notes, "");
        options.uncached = true;
        kept_tokens whole = sample(folder, device, options);
        assert_int_equal(stepped.count, tokens);
        assert_int_equal(whole.count, tokens);
        if (memcmp(stepped.tokens, whole.tokens, (size_t)tokens * sizeof *whole.tokens) != 0)
            fail_msg("model %d, prompt %zu, %s: other tokens", model, i, device);
    }
}

static void test_same_tokens(void **state)
{
    (void)state;
    for (int model = 0; model < MODELS; model++) {
        check_greedy(model, "reference");
        check_greedy(model, "cpu");
    }
}

/* Beyond the context both compute whole windows, and only the one that did not before says so. */
static void test_beyond(void **state)
{
    (void)state;
    char folder[160];
    train(1, folder);
    weft_sample_options options = {.prompt = prompts[1], .tokens = 40};
    kept_tokens stepped = sample(folder, "reference", options);
    assert_non_null(strstr(notes, "beyond 64 tokens"));
    assert_ptr_equal(strchr(notes, '\n'), notes + strlen(notes) - 1);
    options.uncached = true;
    kept_tokens whole = sample(folder, "reference", options);
    assert_string_equal(notes, "");
    assert_memory_equal(stepped.tokens, whole.tokens, 40 * sizeof *whole.tokens);
}

/* What is counted of the reference device: rows of products, and pairs of a query and a key. */
static int64_t rows, pairs;

void __real_reference_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                                     const void *w, const void *bias, void *y, void *workspace);
void __wrap_reference_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                                     const void *w, const void *bias, void *y, void *workspace);
void __wrap_reference_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                                     const void *w, const void *bias, void *y, void *workspace)
{
    rows += linear->rows;
    __real_reference_linear_forward(device, stream, linear, x, w, bias, y, workspace);
}

void __real_reference_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                     int64_t past, int64_t count, const void *qkv, void *cache, void *out,
                                     void *workspace);
void __wrap_reference_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                     int64_t past, int64_t count, const void *qkv, void *cache, void *out,
                                     void *workspace);
void __wrap_reference_attention_step(weft_device *device, weft_stream *stream, const weft_attention *attention,
                                     int64_t past, int64_t count, const void *qkv, void *cache, void *out,
                                     void *workspace)
{
    pairs += count * (past + count);
    __real_reference_attention_step(device, stream, attention, past, count, qkv, cache, out, workspace);
}

/* A token costs one row of each product of its three layers and of the head, wherever it comes; its attention grows by
 * one key a layer. */
static void test_work(void **state)
{
    (void)state;
    enum { LAYERS = 3, PRODUCTS = 4 * LAYERS + 1 };
    char folder[160];
    int64_t rows_before = 0, pairs_before = 0;
    train(0, folder);
    for (int64_t tokens = 1; tokens <= 24; tokens++) {
        rows = pairs = 0;
        (void)sample(folder, "reference", (weft_sample_options){.prompt = "w", .tokens = tokens});
        assert_int_equal(rows - rows_before, PRODUCTS);
        assert_int_equal(pairs - pairs_before, LAYERS * tokens);
        rows_before = rows;
        pairs_before = pairs;
    }
    rows = 0;
    (void)sample(folder, "reference", (weft_sample_options){.prompt = "w", .tokens = 24, .uncached = true});
    assert_true(rows > 20 * rows_before);
}

static void test_stop(void **state)
{
    (void)state;
    char folder[160], stop[3] = "";
    train(2, folder);
    weft_sample_options options = {.prompt = "the", .tokens = 40, .temperature = 1, .seed = 3};
    kept_tokens all = sample(folder, "reference", options);
    assert_int_equal(all.count, 40);
    int at = 0; /* the first time that two follow one another which are text */
    while (at < 38 && (all.tokens[at] == 0 || all.tokens[at + 1] == 0)) at++;
    stop[0] = (char)all.tokens[at];
    stop[1] = (char)all.tokens[at + 1];
    for (int first = 0; first < at; first++)
        if (all.tokens[first] == all.tokens[at] && all.tokens[first + 1] == all.tokens[at + 1]) at = first;
    options.stop = stop;
    kept_tokens some = sample(folder, "reference", options);
    assert_int_equal(some.count, at);
    assert_memory_equal(some.tokens, all.tokens, (size_t)at * sizeof *all.tokens);
    /* What looks like it until the last token is told after all. */
    options.stop = "\x01\x02\x03";
    kept_tokens none = sample(folder, "reference", options);
    assert_int_equal(none.count, 40);
    assert_memory_equal(none.tokens, all.tokens, sizeof *all.tokens * 40);
}

/* The beginning of what ends the generation is held back, and told when something else follows or nothing does. */
static void test_held_back(void **state)
{
    (void)state;
    char folder[160], stop[2] = "";
    train(2, folder);
    weft_sample_options options = {.prompt = "the", .tokens = 12, .temperature = 1, .seed = 5};
    kept_tokens all = sample(folder, "reference", options);
    char longer[16] = "";
    int from = all.count - 3;
    for (int i = from; i < all.count; i++) {
        if (all.tokens[i] == 0) return; /* no text */
        longer[i - from] = (char)all.tokens[i];
    }
    longer[3] = '!';
    options.stop = longer;
    kept_tokens told = sample(folder, "reference", options);
    assert_int_equal(told.count, all.count);
    assert_memory_equal(told.tokens, all.tokens, sizeof *all.tokens * (size_t)all.count);
    stop[0] = (char)all.tokens[0];
    options.stop = stop;
    assert_int_equal(sample(folder, "reference", options).count, 0);
}

/* The fewest candidates that have the share together, of those that top_k leaves. */
static void test_nucleus(void **state)
{
    (void)state;
    /* e^2 : e : 1 : 1 of 12.107: 0.610, 0.225, 0.083, 0.083 */
    static const struct {
        double top_p;
        int64_t top_k;
        int most;
    } cases[] = {{0, 0, 4},    {1, 0, 4},    {0.6, 0, 1},  {0.62, 0, 2},
                 {0.83, 0, 2}, {0.84, 0, 3}, {0.95, 0, 4}, {0.9, 2, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool seen[4] = {false};
        for (int64_t draw = 0; draw < 2000; draw++) {
            weft_candidate candidates[] = {{0, 2}, {2, 0}, {0, 3}, {1, 1}};
            weft_sample_options options = {
                .temperature = 1, .top_p = cases[i].top_p, .top_k = cases[i].top_k, .seed = 9};
            seen[weft_draw(candidates, 4, &options, draw)] = true;
        }
        for (int token = 0; token < 4; token++) assert_int_equal(seen[token], token < cases[i].most);
    }
}

static void test_refused(void **state)
{
    (void)state;
    char folder[160];
    weft_error error;
    kept_tokens kept = {.count = 0};
    train(0, folder);
    weft_sample_options options = {.prompt = "w", .tokens = 1, .stop = "", .token = keep_token, .context = &kept};
    assert_int_equal(weft_sample(folder, NULL, &options, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "the text to stop at is empty"));
    assert_int_equal(kept.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tokens), cmocka_unit_test(test_beyond),    cmocka_unit_test(test_work),
        cmocka_unit_test(test_stop),        cmocka_unit_test(test_held_back), cmocka_unit_test(test_nucleus),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
