/* Rehearsals: every kind runs on emulated devices, in the order of its program, and never faster than its costs allow.
 */
#include "train/rehearse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS = 4, MICROBATCHES = 8, STAGES_LIMIT = 16, STEPS = 2 };

static const double resolution = 2e-9; /* seconds: stamps count nanoseconds */

typedef struct {
    const weft_job *job;
    const weft_costs *costs;
    int64_t steps;
    volatile sig_atomic_t stop;
    int64_t stop_after; /* 0: never */
} audience;

static bool is_message(const weft_lane *lane)
{
    return lane->match >= 0;
}

/* What is wrong with the times of an action; NULL: nothing. */
static const char *find_fault(const weft_timeline *timeline, const weft_lane *lane, uint32_t a, const weft_costs *costs)
{
    const weft_program *program = timeline->program;
    double begin = timeline->begin[a], end = timeline->end[a], cost = weft_costs_of(costs, program->actions[a]);
    if (end - begin < cost - resolution) return "takes less than its cost";
    if (lane->kind == WEFT_PROGRAM_COMPUTE && end - begin > cost + resolution) return "takes more than its cost";
    if (a > lane->first && begin < timeline->end[a - 1] - resolution) return "begins before the one before it ended";
    for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++)
        if (begin < timeline->end[program->after[i]] - resolution) return "begins before what it waits for ended";
    if (!is_message(lane)) return NULL;
    uint32_t peer = program->lanes[lane->match].first + (a - lane->first);
    double other = timeline->begin[peer] + weft_costs_latency(costs, program->actions[a]) -
                   weft_costs_latency(costs, program->actions[peer]);
    return end < fmax(begin, other) + cost - resolution ? "ends before its message can have arrived" : NULL;
}

/* Called by the thread of rank 0, where cmocka's assertions must not fail. */
static weft_status watch(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    audience *self = context;
    const weft_program *program = measured->program;
    double step_time = 0, least = 0;
    self->steps++;
    if (step != self->steps || program != self->job->train) FAIL(error, WEFT_FAILED, "told of another step");
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            const char *fault = find_fault(measured, lane, a, self->costs);
            const char *name = weft_action_info_get((weft_action_kind)program->actions[a].kind)->name;
            if (fault) FAIL(error, WEFT_FAILED, "rank %d, %s, action %u %s", lane->rank, name, a - lane->first, fault);
            step_time = fmax(step_time, measured->end[a]);
            least = fmax(least, self->job->predicted.end[a]);
        }
    }
    if (!(least > 0) || step_time < least - resolution * program->action_count)
        FAIL(error, WEFT_FAILED, "a step of %g s, the longest path is %g s", step_time, least);
    if (self->stop_after && step >= self->stop_after) self->stop = 1;
    return WEFT_OK;
}

typedef struct {
    double forward[STAGES_LIMIT], backward_input[STAGES_LIMIT], backward_weight[STAGES_LIMIT], update[STAGES_LIMIT];
    double messages[STAGES_LIMIT], gathers[STAGES_LIMIT], reductions[STAGES_LIMIT];
    double backward[STAGES_LIMIT], latencies[STAGES_LIMIT];
    weft_costs costs;
} cost_table;

/* Uneven, so that ranks wait for each other; short, since there are many kinds. */
static void fill_costs(cost_table *table)
{
    for (int s = 0; s < STAGES_LIMIT; s++) {
        table->forward[s] = 2e-4 + 5e-5 * (s % 3);
        table->backward_input[s] = 3e-4 - 4e-5 * (s % 2);
        table->backward_weight[s] = 1e-4 * (s % 4);
        table->backward[s] = 5e-4 - 1e-4 * (s % 3);
        table->latencies[s] = 3e-4 * (s % 2);
        table->update[s] = 2e-4;
        table->messages[s] = 5e-5 * (s % 3);
        table->gathers[s] = 2e-4 + 3e-5 * (s % 4);
        table->reductions[s] = 4e-4 - 5e-5 * (s % 3);
    }
    table->costs = (weft_costs){.forward = table->forward,
                                .backward_input = table->backward_input,
                                .backward_weight = table->backward_weight,
                                .backward = table->backward,
                                .latencies = table->latencies,
                                .update = table->update,
                                .reduce = 3e-4,
                                .messages = table->messages,
                                .gathers = table->gathers,
                                .reductions = table->reductions};
}

/* parallel: more keys of it. */
static void load(weft_config *config, int32_t stages, bool tied, const char *parallel)
{
    char text[512];
    weft_error error;
    snprintf(text, sizeof text,
             "data: {path: none}\nmodel: {layers: %d, width: 4, heads: 1, feed_forward: 4, vocabulary: 4, context: 1, "
             "tied: %s}\nbatch: {microbatches: %d, sequences: 1}\nparallel: {pipeline: %d%s}\ndevice: emulated\n"
             "timeout: 20\n",
             stages, tied ? "true" : "false", MICROBATCHES, RANKS, parallel);
    assert_int_equal(weft_config_load_text(config, text, strlen(text), "test", NULL, 0, &error), WEFT_OK);
}

typedef struct {
    const char *kind;
    int32_t loops;                   /* 0: the kind's own */
    const weft_lower_options *lower; /* NULL: all that training needs */
    const char *parallel;            /* more keys of the configuration */
    int64_t stop_after;
} play;

static void perform(const play *it)
{
    cost_table table;
    weft_error error;
    weft_config config;
    weft_job *job = NULL;
    weft_schedule_options options = {
        .kind = it->kind, .ranks = RANKS, .loops = it->loops, .microbatches = MICROBATCHES};
    weft_job_rehearsal how = {.costs = &table.costs, .lower = it->lower};
    fill_costs(&table);
    assert_int_equal(weft_schedule_create(&options, &how.schedule, &error), WEFT_OK);
    load(&config, how.schedule->stages, it->lower == NULL, it->parallel ? it->parallel : "");
    assert_int_equal(weft_job_create_rehearsal(&config, &how, &job, &error), WEFT_OK);
    audience people = {.job = job, .costs = &table.costs, .stop_after = it->stop_after};
    weft_rehearsal rehearsal = {.steps = STEPS, .stop = &people.stop, .step = watch, .context = &people};
    if (weft_rehearse(job, &rehearsal, &error) != WEFT_OK) fail_msg("%s: %s", it->kind, error.text);
    assert_int_equal(people.steps, it->stop_after ? it->stop_after : STEPS);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

static void rehearse(const char *kind, const weft_lower_options *lower, int64_t stop_after)
{
    perform(&(play){.kind = kind, .lower = lower, .stop_after = stop_after});
}

static void test_every_kind(void **state)
{
    (void)state;
    for (const char *const *kind = weft_schedule_kind_names(); *kind; kind++)
        rehearse(*kind, &(weft_lower_options){0}, 0);
}

/* With all collectives: tied weights, the norm, the losses. */
static void test_whole_step(void **state)
{
    (void)state;
    rehearse("breadth-first", NULL, 0);
    rehearse("zb-v", NULL, 0); /* the tied weight is on one rank */
    rehearse("1f1b", &(weft_lower_options){.update = true, .norm = true, .clip = true}, 0);
}

/* Whatever two pipelines side by side divide, and however often: gathers and reductions take their time. */
static void test_every_shard(void **state)
{
    (void)state;
    static const char *const kinds[] = {"breadth-first", "1f1b"};
    for (int i = 0; i < 8; i++) {
        weft_lower_options lower = {.data = 2, .shard = (weft_shard)(i % 4), .update = i % 2 == 0};
        lower.weight_buffers = lower.shard == WEFT_SHARD_WEIGHTS ? 1 : 0;
        lower.gradient_buffers = lower.shard >= WEFT_SHARD_GRADIENTS && i < 4 ? 1 : 0;
        for (int k = 0; k < 2; k++) perform(&(play){.kind = kinds[k], .loops = 2, .lower = &lower});
    }
    perform(
        &(play){.kind = "depth-first", .loops = 2, .parallel = ", data: 3, shard: weights, buffers: 1, reduce: early"});
    perform(&(play){.kind = "zb-h1", .parallel = ", data: 2, shard: optimizer"});
}

/* How often a message leaves while the one before it on its lane is still on its way. */
typedef struct {
    double latency;
    int64_t count;
} followers;

static weft_status count_followed(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    const weft_program *program = measured->program;
    followers *seen = context;
    (void)step;
    (void)error;
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i];
        bool receives = lane->kind == WEFT_PROGRAM_RECV_F || lane->kind == WEFT_PROGRAM_RECV_B;
        for (uint32_t a = lane->first + 1; receives && a < lane->first + lane->count; a++)
            seen->count += measured->begin[a] - seen->latency < measured->end[a - 1];
    }
    return WEFT_OK;
}

/* Latency keeps no lane. It is so long that a thread that is late does not matter. */
static void test_latency_keeps_no_lane(void **state)
{
    (void)state;
    cost_table table;
    weft_error error;
    weft_config config;
    weft_job *job = NULL;
    followers seen = {.latency = 0.1};
    weft_schedule_options options = {.kind = "gpipe", .ranks = RANKS, .microbatches = MICROBATCHES};
    weft_job_rehearsal how = {.costs = &table.costs, .lower = &(weft_lower_options){0}};
    fill_costs(&table);
    table.costs.latencies = NULL;
    table.costs.latency = seen.latency;
    assert_int_equal(weft_schedule_create(&options, &how.schedule, &error), WEFT_OK);
    load(&config, how.schedule->stages, false, "");
    assert_int_equal(weft_job_create_rehearsal(&config, &how, &job, &error), WEFT_OK);
    weft_rehearsal rehearsal = {.steps = 1, .step = count_followed, .context = &seen};
    assert_int_equal(weft_rehearse(job, &rehearsal, &error), WEFT_OK);
    assert_true(seen.count > 0);
    weft_job_destroy(job);
    weft_config_fini(&config);
}

static void test_stops_after_a_step(void **state)
{
    (void)state;
    rehearse("1f1b", &(weft_lower_options){0}, 1);
}

static weft_status refuse(void *context, int64_t step, const weft_timeline *measured, weft_error *error)
{
    (void)context;
    (void)measured;
    FAIL(error, WEFT_FAILED, "no room for step %lld", (long long)step);
}

/* Rank 0 fails in the middle of a run: no other rank is left behind. */
static void test_failure_ends_all(void **state)
{
    (void)state;
    cost_table table;
    weft_error error;
    weft_config config;
    weft_job *job = NULL;
    fill_costs(&table);
    load(&config, RANKS, false, "");
    weft_job_rehearsal how = {.costs = &table.costs};
    assert_int_equal(weft_job_create_rehearsal(&config, &how, &job, &error), WEFT_OK);
    weft_rehearsal rehearsal = {.steps = STEPS, .step = refuse};
    assert_int_equal(weft_rehearse(job, &rehearsal, &error), WEFT_FAILED);
    assert_string_equal(error.text, "no room for step 1");
    weft_job_destroy(job);
    weft_config_fini(&config);
}

/* Training on a device that computes nothing is refused by the name of the key. */
static void test_needs_costs(void **state)
{
    (void)state;
    weft_error error;
    weft_config config;
    weft_job *job = NULL;
    load(&config, RANKS, false, "");
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "device"));
    assert_non_null(strstr(error.text, "weft rehearse"));
    weft_config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_whole_step),
        cmocka_unit_test(test_every_shard),
        cmocka_unit_test(test_stops_after_a_step),
        cmocka_unit_test(test_latency_keeps_no_lane),
        cmocka_unit_test(test_failure_ends_all),
        cmocka_unit_test(test_needs_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
