/*
 * What a pass leaves is sent before the next pass begins, not only once that has done its first operation, which may be
 * a long one. By the order in which a worker began both, whatever time they took.
 */
#include "place.h"
#include "train/train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Messages begin when each worker asked for them, not when both ends could. */
void __wrap_weft_timeline_meet(weft_timeline *timeline);
void __wrap_weft_timeline_meet(weft_timeline *timeline)
{
    (void)timeline;
}

typedef struct counts {
    int steps, prompt, late;
} counts;

/* The pass that the message waits for, or UINT32_MAX. */
static uint32_t sender(const weft_program *program, const weft_lane *compute, uint32_t message)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t i = program->after_first[message]; i < program->after_first[message + 1]; i++) {
        uint32_t action = program->after[i];
        if (action - compute->first < compute->count && (last == UINT32_MAX || action > last)) last = action;
    }
    return last;
}

/* Of the messages that the lane was free for when their pass had ended. */
static void count_lane(const weft_timeline *timeline, const weft_lane *lane, counts *out)
{
    const weft_program *program = timeline->program;
    const weft_lane *compute = &program->lanes[program->rank_lanes[lane->rank]];
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        uint32_t pass = sender(program, compute, a), next = pass + 1;
        if (pass == UINT32_MAX || next == compute->first + compute->count) continue;
        if (a > lane->first && timeline->end[a - 1] > timeline->end[pass]) continue;
        if (timeline->begin[a] <= timeline->begin[next])
            out->prompt++;
        else
            out->late++;
    }
}

static weft_status on_timeline(void *context, const weft_timeline_record *record, weft_error *error)
{
    counts *out = context;
    const weft_program *program = record->measured->program;
    (void)error;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        if (lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B)
            count_lane(record->measured, lane, out);
    }
    out->steps++;
    return WEFT_OK;
}

static void run(const char *parallel)
{
    char yaml[768];
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    counts seen = {0};
    snprintf(yaml, sizeof yaml,
             "run: {folder: %s/prompt, steps: 3, timelines: 3}\nmodel: {layers: 4, width: 32, heads: 2, context: 16}\n"
             "data: {path: %s}\nbatch: {microbatches: 4}\nparallel: {pipeline: 2, %s}\ndevice: reference\n",
             test_folder, test_corpus, parallel);
    weft_train_options options = {.trial_steps = 3, .observer = {.context = &seen, .timeline = on_timeline}};
    assert_int_equal(weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error), WEFT_OK);
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
    if (weft_train(job, &options, &error) != WEFT_OK) fail_msg("%s", error.text);
    print_message("%s: %d messages before the next pass, %d behind it\n", parallel, seen.prompt, seen.late);
    assert_int_equal(seen.steps, 3);
    assert_true(seen.prompt >= 3 * 2); /* the first of each lane at least */
    assert_int_equal(seen.late, 0);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

static void test_sent_first(void **state)
{
    (void)state;
    run("loops: 2");
    run("schedule: 1f1b");
    run("schedule: zb-h1");
    run("schedule: gpipe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sent_first)};
    return cmocka_run_group_tests(tests, test_place_set_up, test_place_tear_down);
}
