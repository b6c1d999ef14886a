#include "layouts.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char base_config[] =
    "run: {steps: 6, seed: 7}\n"
    "model: {layers: 8, width: 32, heads: 4, feed_forward: 64, vocabulary: 256, context: 16}\n"
    "batch: {microbatches: 6, sequences: 2}\n"
    "optimizer: {learning_rate: 1e-2, warmup: 2}\n"
    "checkpoint: {keep: 0}\n"
    "threads: 1\n"
    "timeout: 60\n";

void test_write_corpus(const char *path)
{
    static const char *const words[] = {"warp",    "weft", "loom", "thread", "shuttle",
                                        "crosses", "the",  "and",  "over",   "under"};
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    unsigned state = 12345;
    for (int i = 0; i < 20000; i++) {
        state = state * 1103515245u + 12345u;
        weft_text_add(&text, "%s%c", words[state >> 16 & 7], i % 11 == 10 ? '\n' : ' ');
    }
    if (weft_file_write(path, text.bytes, text.length, &error) != WEFT_OK) abort();
    weft_text_fini(&text);
}

static weft_status on_step(void *context, const weft_step_record *record, weft_error *error)
{
    (void)error;
    test_run *run = context;
    if (record->step < TEST_RUN_STEPS) run->losses[record->step] = record->loss;
    run->steps = record->step;
    if (run->stop_after && record->step >= run->stop_after) run->stop = 1;
    return WEFT_OK;
}

static weft_status on_evaluated(void *context, const weft_evaluation_record *record, weft_error *error)
{
    (void)error;
    ((test_run *)context)->held_out = record->loss;
    return WEFT_OK;
}

static void on_note(void *context, const char *line)
{
    char *notes = ((test_run *)context)->notes;
    size_t used = strlen(notes);
    snprintf(notes + used, sizeof((test_run *)context)->notes - used, "%s\n", line);
}

weft_status test_train(test_run *run, const char *corpus, const char *const *overrides, weft_error *error)
{
    char folder[600], data[600], device[64];
    const char *all[TEST_RUN_OVERRIDES];
    int count = 0;
    snprintf(folder, sizeof folder, "run.folder=%s", run->folder);
    snprintf(data, sizeof data, "data.path=%s", corpus);
    all[count++] = folder;
    all[count++] = data;
    snprintf(device, sizeof device, "device=%s", run->device ? run->device : "");
    if (run->device) all[count++] = device;
    for (const char *const *next = run->model; next && *next; next++) all[count++] = *next;
    for (; *overrides && count < TEST_RUN_OVERRIDES; overrides++) all[count++] = *overrides;
    weft_config config;
    weft_job *job = NULL;
    TRY(weft_config_load_text(&config, base_config, strlen(base_config), "test.yaml", all, count, error));
    weft_status status = weft_job_create(&config, &job, error);
    if (status == WEFT_OK) job->poisons = run->poisons;
    weft_train_options options = {.resume = run->resume,
                                  .stop = &run->stop,
                                  .trial_steps = run->trial_steps,
                                  .calibrate_seconds = run->calibrate_seconds,
                                  .delay_longest = run->delay_longest,
                                  .delay_seed = run->delay_seed,
                                  .stopped = &run->stopped,
                                  .observer = {.context = run,
                                               .calibrated = run->calibrated,
                                               .step = on_step,
                                               .evaluated = on_evaluated,
                                               .note = on_note}};
    if (status == WEFT_OK) status = weft_train(job, &options, error);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return status;
}

void test_layout_name(const test_layout *l, char *out, size_t size)
{
    snprintf(out, size, "%s-D%d-P%d-V%d-%s-%s-%d-%s-%s", l->schedule, l->data, l->pipeline, l->loops, l->shard,
             l->reduce, l->buffers, l->element, l->recompute);
}

weft_status test_layout_train(test_run *run, const char *corpus, const test_layout *l, const char *transport,
                              int64_t steps, weft_error *error)
{
    char set[11][64];
    const char *overrides[TEST_RUN_OVERRIDES];
    int count = 0;
    snprintf(set[count++], 64, "parallel.schedule=%s", l->schedule);
    snprintf(set[count++], 64, "parallel.data=%d", l->data);
    snprintf(set[count++], 64, "parallel.pipeline=%d", l->pipeline);
    snprintf(set[count++], 64, "parallel.loops=%d", l->loops);
    snprintf(set[count++], 64, "parallel.shard=%s", l->shard);
    snprintf(set[count++], 64, "parallel.reduce=%s", l->reduce);
    snprintf(set[count++], 64, "parallel.buffers=%d", l->buffers);
    snprintf(set[count++], 64, "element=%s", l->element);
    snprintf(set[count++], 64, "recompute=%s", l->recompute);
    snprintf(set[count++], 64, "transport=%s", transport);
    if (steps) snprintf(set[count++], 64, "run.steps=%d", (int)steps);
    for (int i = 0; i < count; i++) overrides[i] = set[i];
    overrides[count] = NULL;
    weft_error_clear(error);
    return test_train(run, corpus, overrides, error);
}

bool test_checkpoints_agree(const char *a, const char *b, char *why, size_t size)
{
    bool same = false;
    weft_text difference;
    weft_error error;
    weft_text_init(&difference);
    if (weft_checkpoint_compare(a, b, &same, &difference, &error) != WEFT_OK)
        snprintf(why, size, "%s", error.text);
    else
        snprintf(why, size, "%s", weft_text_get(&difference));
    weft_text_fini(&difference);
    return same;
}

bool test_runs_agree(const test_run *a, const test_run *b, char *why, size_t size)
{
    snprintf(why, size, "other losses");
    return a->steps == b->steps && memcmp(&a->held_out, &b->held_out, sizeof a->held_out) == 0 &&
           memcmp(a->losses, b->losses, sizeof a->losses) == 0 &&
           test_checkpoints_agree(a->folder, b->folder, why, size);
}
