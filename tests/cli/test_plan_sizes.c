/* The memory of a planned layout is that of a dry run of it, to the byte, whatever is divided or computed again. How
 * far closed forms are from it is printed, over models of a usual size. */
#include "../draw.h"
#include "cli/plan_sizes.h"
#include "config/document.h"
#include "plan/describe.h"
#include "plan/replay.h"
#include "train/job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLE = 60 };

static const char small[] = "model: {layers: 8, width: 32, heads: 4, feed_forward: 64, vocabulary: 301, context: 16}\n"
                            "device: reference\nthreads: 1\ndata: {path: none}\nrun: {folder: none}\n";
static const char usual[] = "model: {layers: 24, width: 1024, heads: 16, vocabulary: 50257, context: 1024}\n"
                            "device: reference\nthreads: 1\nelement: bf16\ndata: {path: none}\nrun: {folder: none}\n";
static const char *const kinds_of_model[] = {"", "model.architecture=llama", "model.tied=false", "element=bf16",
                                             "optimizer.frozen=layer.1.*"};

static void draw_layout(uint64_t *seed, weft_plan_kind kind, weft_plan_layout *out)
{
    static const uint8_t recomputes[] = {WEFT_PLAN_RECOMPUTE_NONE, WEFT_PLAN_RECOMPUTE_FULL};
    *out = (weft_plan_layout){.data = 1 << draw(seed, 3),
                              .tensor = 1 << draw(seed, 2),
                              .pipeline = kind == WEFT_PLAN_NONE ? 1 : 2 << draw(seed, 2),
                              .loops = 1,
                              .context = 1,
                              .micro_batch = 1 << draw(seed, 2),
                              .micro_batches = (int32_t)(1 + draw(seed, 12)),
                              .rounds = 1,
                              .kind = (uint8_t)kind,
                              .recompute = recomputes[draw(seed, 2)]};
    const weft_plan_kind_traits *traits = weft_plan_kind_of(kind);
    out->loops = traits->loops ? traits->loops : 2;
    out->micro_batches += traits->least * out->pipeline;
    if (out->data > 1) out->shard = (uint8_t)draw(seed, WEFT_SHARDS);
    if (kind != WEFT_PLAN_HYBRID) return;
    out->rounds = 2;
    out->micro_batches = 2 * (out->pipeline + (int32_t)(1 + draw(seed, 3)));
}

typedef struct planned {
    weft_cli_plan_run run;
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_plan_sizes sizes;
    weft_plan_question question;
} planned;

static void load(weft_config *config, const char *text, const char *const *overrides, int count)
{
    weft_error error;
    weft_error_clear(&error);
    if (weft_config_load_text(config, text, strlen(text), "test", overrides, count, &error) != WEFT_OK)
        fail_msg("%s", error.text);
}

static void pose(planned *it, const char *text, const char *override)
{
    weft_document document;
    weft_error error;
    weft_text dump;
    weft_error_clear(&error);
    load(&it->run.config, text, &override, *override ? 1 : 0);
    assert_int_equal(weft_known_create(&it->run.known, &error), WEFT_OK);
    weft_text_init(&dump);
    weft_config_dump(&it->run.config, false, &dump);
    assert_int_equal(weft_document_parse(&document, weft_text_get(&dump), dump.length, "test", &error), WEFT_OK);
    if (weft_plan_model_read(&document, &it->model, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_document_fini(&document);
    weft_text_fini(&dump);
    weft_plan_cluster_init(&it->cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("weft"));
    it->cluster.reserved = 1 << 20;
    it->sizes = (weft_plan_sizes){&it->run, weft_cli_plan_memory};
    it->question = (weft_plan_question){
        .model = &it->model, .cluster = &it->cluster, .gpus = 4096, .batch = 1, .sizes = &it->sizes};
}

static void done_with(planned *it)
{
    weft_known_destroy(it->run.known);
    weft_config_fini(&it->run.config);
}

/* As somebody would write the layout on a command line. */
static void write_overrides(const weft_plan_layout *l, int32_t layers, weft_text *out)
{
    int32_t stages = l->pipeline * l->loops;
    bool early = l->shard == WEFT_SHARD_WEIGHTS, hybrid = l->kind == WEFT_PLAN_HYBRID;
    weft_text_add(out, "batch.sequences=%d batch.microbatches=%d parallel.pipeline=%d parallel.loops=%d ",
                  l->micro_batch, l->micro_batches, l->pipeline, l->loops);
    weft_text_add(out, "parallel.data=%d parallel.tensor=%d parallel.shard=%s parallel.reduce=%s parallel.buffers=2 ",
                  l->data, l->tensor, weft_shard_names()[l->shard], early ? "early" : "once");
    weft_text_add(out, "parallel.schedule=%s parallel.group=%d recompute=%s parallel.stages=[",
                  l->kind == WEFT_PLAN_NONE ? "gpipe" : weft_plan_kind_name((weft_plan_kind)l->kind),
                  hybrid ? l->micro_batches / l->rounds : 0,
                  l->recompute == WEFT_PLAN_RECOMPUTE_FULL ? "full" : "none");
    for (int32_t s = 0; s < stages; s++)
        weft_text_add(out, "%s%d", s ? "," : "", layers / stages + (s < layers % stages));
    weft_text_add(out, "]");
}

/* The largest total of "memory" in what --dry-run --json prints. */
static double read_largest(const char *json, size_t length)
{
    weft_document document;
    weft_error error;
    double largest = 0;
    weft_error_clear(&error);
    if (weft_document_parse(&document, json, length, "dry run", &error) != WEFT_OK) fail_msg("%s", error.text);
    const weft_node *row = weft_node_get(document.root, "memory")->first;
    assert_non_null(row);
    for (; row; row = row->next) {
        double total = 0;
        assert_int_equal(weft_node_number(&document, weft_node_get(row, "total"), &total, &error), WEFT_OK);
        largest = fmax(largest, total);
    }
    weft_document_fini(&document);
    return largest;
}

static double dry_run(const char *text, const char *override, const weft_plan_layout *layout, int32_t layers)
{
    enum { MOST = 16 };
    const char *overrides[MOST];
    int count = 0;
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    weft_text words, json;
    weft_error_clear(&error);
    weft_text_init(&words);
    weft_text_init(&json);
    write_overrides(layout, layers, &words);
    char *list = strdup(weft_text_get(&words)), *rest = NULL;
    for (char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) overrides[count++] = word;
    if (*override) overrides[count++] = override;
    load(&config, text, overrides, count);
    if (weft_job_create(&config, &job, &error) != WEFT_OK) fail_msg("%s: %s", weft_text_get(&words), error.text);
    weft_job_print_json(job, "", &json);
    double largest = read_largest(weft_text_get(&json), json.length);
    weft_job_destroy(job);
    weft_config_fini(&config);
    weft_text_fini(&json);
    weft_text_fini(&words);
    free(list);
    return largest;
}

static void test_equal(void **state)
{
    (void)state;
    uint64_t seed = 1;
    uint32_t seen = 0;
    for (int done = 0; done < SAMPLE;) {
        const char *override = kinds_of_model[draw(&seed, sizeof kinds_of_model / sizeof *kinds_of_model)];
        planned it;
        weft_plan_layout layout;
        weft_plan_replayed replayed;
        weft_error error;
        weft_error_clear(&error);
        pose(&it, small, override);
        draw_layout(&seed, (weft_plan_kind)(done % WEFT_PLAN_KINDS), &layout);
        if (weft_plan_replay(&it.question, &layout, &replayed, &error) == WEFT_OK) {
            assert_true(replayed.counted);
            double there = dry_run(small, override, &layout, it.model.layers) + it.cluster.reserved;
            if (replayed.memory.bytes != there)
                fail_msg(
                    "%s %s: data %d tensor %d pipeline %d loops %d micro-batch %d x %d shard %d recompute %d: planned "
                    "%.0f, dry run %.0f",
                    override, weft_plan_kind_name((weft_plan_kind)layout.kind), layout.data, layout.tensor,
                    layout.pipeline, layout.loops, layout.micro_batch, layout.micro_batches, layout.shard,
                    layout.recompute, replayed.memory.bytes, there);
            double sum = 0;
            for (int line = 0; line < WEFT_PLAN_LINES; line++) sum += replayed.memory.line[line];
            assert_true(sum == replayed.memory.bytes);
            seen |= 1u << layout.kind;
            done++;
        }
        done_with(&it);
    }
    assert_int_equal(seen, (1u << WEFT_PLAN_KINDS) - 1);
}

/* Closed forms are of 16-bit elements, of a device without workspace. */
static void test_closed_forms(void **state)
{
    (void)state;
    uint64_t seed = 2;
    double least = INFINITY, most = 0, sum = 0;
    planned it;
    pose(&it, usual, "");
    for (int done = 0; done < SAMPLE;) {
        weft_plan_layout layout;
        weft_plan_replayed counted, formed;
        weft_error error;
        weft_error_clear(&error);
        draw_layout(&seed, (weft_plan_kind)(done % WEFT_PLAN_KINDS), &layout);
        it.question.sizes = &it.sizes;
        layout.sequence_parallel = layout.tensor > 1;
        if (weft_plan_replay(&it.question, &layout, &counted, &error) != WEFT_OK) continue;
        it.question.sizes = NULL;
        assert_int_equal(weft_plan_replay(&it.question, &layout, &formed, &error), WEFT_OK);
        assert_false(formed.counted);
        double off = formed.memory.bytes / counted.memory.bytes - 1;
        least = fmin(least, off);
        most = fmax(most, off);
        sum += fabs(off);
        done++;
    }
    print_message("closed forms against the count: %+.1f to %+.1f %%, %.1f %% on the mean\n", 100 * least, 100 * most,
                  100 * sum / SAMPLE);
    done_with(&it);
}

/* What the trainer cannot do stays with the closed form. */
static void test_impossible(void **state)
{
    (void)state;
    planned it;
    weft_plan_replayed replayed;
    weft_error error;
    weft_error_clear(&error);
    pose(&it, small, "");
    weft_plan_layout layout = {.data = 1,
                               .tensor = 3,
                               .pipeline = 2,
                               .loops = 1,
                               .context = 1,
                               .micro_batch = 1,
                               .micro_batches = 4,
                               .rounds = 1,
                               .kind = WEFT_PLAN_1F1B};
    assert_int_equal(weft_plan_replay(&it.question, &layout, &replayed, &error), WEFT_OK);
    assert_false(replayed.counted);
    assert_true(replayed.memory.bytes > 0);
    done_with(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
