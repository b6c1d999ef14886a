/* Fitted costs and drawn steps: what was simulated is found again, for every kind of schedule; what a measured step has
 * besides does not mislead. */
#include "../base/failing.h"
#include "../program/build.h"
#include "simulate/draw.h"
#include "simulate/fit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

typedef struct known {
    double forward[MOST], input[MOST], weight[MOST], backward[MOST], update[MOST], messages[MOST], share[MOST],
        gathers[MOST], sums[MOST], reductions[MOST];
    double collectives[WEFT_ACTION_KINDS];
    weft_costs costs;
} known;

static void roll(dice *d, known *out)
{
    for (int s = 0; s < MOST; s++) {
        out->forward[s] = 1 + dice_roll(d, 1000) * 1e-3;
        out->input[s] = 1 + dice_roll(d, 1000) * 1e-3;
        out->weight[s] = 0.5 + dice_roll(d, 1000) * 1e-3;
        out->update[s] = 0.1 + dice_roll(d, 1000) * 1e-4;
        out->messages[s] = dice_roll(d, 100) * 1e-3;
        out->gathers[s] = dice_roll(d, 100) * 1e-3;
        out->sums[s] = dice_roll(d, 100) * 1e-3;
        out->reductions[s] = dice_roll(d, 100) * 1e-3;
        out->backward[s] = 1 + dice_roll(d, 1000) * 1e-3;
        out->share[s] = out->input[s] / (out->input[s] + out->weight[s]);
    }
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) out->collectives[kind] = dice_roll(d, 100) * 1e-3;
    out->costs = (weft_costs){.forward = out->forward,
                              .backward_input = out->input,
                              .backward_weight = out->weight,
                              .backward = out->backward,
                              .update = out->update,
                              .messages = out->messages,
                              .gathers = out->gathers,
                              .sums = out->sums,
                              .reductions = out->reductions,
                              .collectives = out->collectives};
}

static void simulate(const weft_program *program, const weft_costs *costs, weft_timeline *out)
{
    weft_error error = {0};
    assert_int_equal(weft_timeline_init(out, program, &error), WEFT_OK);
    if (weft_simulate(program, costs, out, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void fit_all(weft_fit *fit, const weft_timeline *timelines, int32_t count, const double *share)
{
    weft_error error = {0};
    if (weft_fit_init(fit, timelines, count, share, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static weft_program *lower(const weft_schedule *schedule, const weft_lower_options *options)
{
    weft_error error = {0};
    weft_program *program = NULL;
    if (weft_program_create(schedule, options, &program, &error) != WEFT_OK) fail_msg("%s", error.text);
    return program;
}

static void same(const weft_program *program, weft_action action, const char *what, double found, double wanted)
{
    if (fabs(found - wanted) > 1e-9)
        fail_msg("%s of stage %u, %d ranks, %d stages, %d micro-batches: %.12g, not %.12g", what, action.stage,
                 program->ranks, program->stages, program->microbatches, found, wanted);
}

static bool has_parts(const weft_program *program, uint32_t stage)
{
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->actions[a].kind == WEFT_I && program->actions[a].stage == stage) return true;
    return false;
}

/* Of everything that the program holds. */
static void compare_costs(const weft_program *program, const weft_costs *found, const known *wanted)
{
    for (uint32_t a = 0; a < program->action_count; a++) {
        weft_action action = program->actions[a];
        uint32_t s = action.stage, kind = action.kind;
        if (kind == WEFT_F) same(program, action, "F", found->forward[s], wanted->forward[s]);
        if (kind == WEFT_I) same(program, action, "I", found->backward_input[s], wanted->input[s]);
        if (kind == WEFT_W) same(program, action, "W", found->backward_weight[s], wanted->weight[s]);
        if (kind == WEFT_B) same(program, action, "B", found->backward[s], wanted->backward[s]);
        if (kind == WEFT_B && !has_parts(program, s)) {
            same(program, action, "I of B", found->backward_input[s], wanted->share[s] * wanted->backward[s]);
            same(program, action, "W of B", found->backward_weight[s], (1 - wanted->share[s]) * wanted->backward[s]);
        }
        if (kind == WEFT_UPDATE) same(program, action, "UPDATE", found->update[s], wanted->update[s]);
        if (kind == WEFT_UNSHARD) same(program, action, "UNSHARD", found->gathers[s], wanted->gathers[s]);
        if (kind == WEFT_REDUCE_TENSOR) same(program, action, "REDUCE_TENSOR", found->sums[s], wanted->sums[s]);
        if (kind == WEFT_REDUCE_GRAD) same(program, action, "REDUCE_GRAD", found->reductions[s], wanted->reductions[s]);
        if (kind == WEFT_SEND_F || kind == WEFT_SEND_B)
            same(program, action, "message", found->messages[s], wanted->messages[s]);
        if (kind >= WEFT_REDUCE_TIED && kind != WEFT_UPDATE)
            same(program, action, "collective", found->collectives[kind], wanted->collectives[kind]);
    }
}

static void same_times(const weft_schedule *schedule, const weft_timeline *a, const weft_timeline *b)
{
    for (uint32_t i = 0; i < a->program->action_count; i++)
        if (fabs(a->begin[i] - b->begin[i]) > 1e-9 || fabs(a->end[i] - b->end[i]) > 1e-9)
            fail_msg("%s: action %u lies at %g-%g, then at %g-%g", schedule->name, i, a->begin[i], a->end[i],
                     b->begin[i], b->end[i]);
}

/* Where all passes of a stage take the same, there is one step to draw. */
static void check_drawn(const weft_schedule *schedule, const weft_timeline *only)
{
    weft_draw draw;
    weft_timeline drawn;
    weft_error error = {0};
    assert_int_equal(weft_timeline_init(&drawn, only->program, &error), WEFT_OK);
    assert_int_equal(weft_draw_init(&draw, only, 1, &error), WEFT_OK);
    for (uint64_t number = 0; number < 3; number++) {
        if (weft_draw_step(&draw, number, &drawn, &error) != WEFT_OK) fail_msg("%s", error.text);
        same_times(schedule, only, &drawn);
    }
    weft_draw_fini(&draw);
    weft_timeline_fini(&drawn);
}

static void check_schedule(const weft_schedule *schedule, const weft_lower_options *options, dice *d)
{
    known costs;
    weft_timeline first, again;
    weft_fit fit;
    weft_program *program = lower(schedule, options);
    roll(d, &costs);
    simulate(program, &costs.costs, &first);
    fit_all(&fit, &first, 1, costs.share);
    compare_costs(program, &fit.costs, &costs);
    simulate(program, &fit.costs, &again);
    same_times(schedule, &first, &again);
    check_drawn(schedule, &first);
    weft_fit_fini(&fit);
    weft_timeline_fini(&first);
    weft_timeline_fini(&again);
    weft_program_destroy(program);
}

static void test_every_kind(void **state)
{
    (void)state;
    dice d = {11};
    weft_error error = {0};
    for (const char *const *kind = weft_schedule_kind_names(); *kind; kind++) {
        int tried = 0;
        for (int32_t loops = 1; loops <= 2; loops++) {
            weft_schedule_options options = {.kind = *kind, .ranks = 3, .loops = loops, .microbatches = 6};
            weft_schedule *schedule = NULL;
            if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) continue;
            tried++;
            check_schedule(
                schedule,
                &(weft_lower_options){.update = true, .norm = true, .clip = true, .tied = true, .metrics = true}, &d);
            weft_schedule_destroy(schedule);
        }
        if (!tried) fail_msg("%s: %s", *kind, error.text);
    }
}

static void test_random(void **state)
{
    (void)state;
    dice d = {12};
    stage_sizes sizes;
    for (int i = 0; i < 300; i++) {
        weft_schedule *schedule = i % 2 ? build_random(&d) : build_kind(&d);
        build_sizes(&d, schedule->stages, &sizes);
        weft_lower_options options = build_options(&d, &sizes);
        check_schedule(schedule, &options, &d);
        weft_schedule_destroy(schedule);
    }
}

static weft_schedule *create(const char *kind, int32_t ranks, int32_t microbatches)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .microbatches = microbatches};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s", error.text);
    return schedule;
}

static uint32_t find(const weft_program *program, weft_action_kind kind, uint32_t stage, uint32_t microbatch)
{
    for (uint32_t a = 0; a < program->action_count; a++) {
        weft_action action = program->actions[a];
        if (action.kind == kind && action.stage == stage && action.microbatch == microbatch) return a;
    }
    fail();
    return 0;
}

/* Five steps, two of them disturbed by something else on the machine: the median of five is the third. */
static void test_disturbed(void **state)
{
    (void)state;
    static const double slower[5] = {1.0, 9, 1.01, 1.02, 4};
    dice d = {13};
    known plain, wanted, step;
    roll(&d, &plain);
    weft_schedule *schedule = create("1f1b", 3, 4);
    weft_program *program = lower(schedule, &(weft_lower_options){.update = true, .clip = true});
    weft_timeline timelines[5];
    wanted = plain;
    for (int i = 0; i < 5; i++) {
        step = plain;
        for (int s = 0; s < MOST; s++) {
            step.forward[s] = plain.forward[s] * slower[i];
            if (slower[i] == 1.02) wanted.forward[s] = step.forward[s];
        }
        step.costs.forward = step.forward;
        step.costs.backward_input = step.input;
        simulate(program, &step.costs, &timelines[i]);
    }
    weft_fit fit;
    fit_all(&fit, timelines, 5, plain.share);
    compare_costs(program, &fit.costs, &wanted);
    weft_fit_fini(&fit);
    for (int i = 0; i < 5; i++) weft_timeline_fini(&timelines[i]);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* One long pass of four in every step makes all of them longer by a quarter of it, as the step is. */
static void test_mean(void **state)
{
    (void)state;
    double one[] = {1, 1};
    weft_costs costs = {.forward = one, .backward_input = one, .backward_weight = one};
    weft_schedule *schedule = create("gpipe", 2, 4);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_timeline timeline;
    weft_fit fit;
    simulate(program, &costs, &timeline);
    uint32_t last = find(program, WEFT_B, 0, 0); /* the last of the step */
    for (uint32_t m = 1; m < 4; m++)
        if (timeline.end[find(program, WEFT_B, 0, m)] > timeline.end[last]) last = find(program, WEFT_B, 0, m);
    timeline.end[last] += 1;
    fit_all(&fit, &timeline, 1, NULL);
    assert_true(fit.costs.backward_input[0] + fit.costs.backward_weight[0] == 2.25);
    assert_true(fit.costs.backward_input[1] + fit.costs.backward_weight[1] == 2);
    weft_fit_fini(&fit);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* A worker takes a moment between two actions, and before it notices a message: both are in the costs. */
static void test_moments(void **state)
{
    (void)state;
    double one[] = {1, 1}, two[] = {2, 2};
    weft_costs costs = {.forward = one, .backward_input = two, .backward_weight = one, .message = 0.125};
    weft_schedule *schedule = create("gpipe", 2, 3);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_timeline timeline;
    weft_fit fit;
    simulate(program, &costs, &timeline);
    timeline.begin[find(program, WEFT_F, 0, 1)] += 0.25; /* begins late, ends as before: 1 from when it could */
    uint32_t noticed = find(program, WEFT_RECV_F, 1, 2);
    timeline.begin[find(program, WEFT_SEND_F, 0, 2)] += 0.0625; /* so does the message, and is noticed late */
    timeline.end[noticed] += 0.375;
    fit_all(&fit, &timeline, 1, NULL);
    assert_true(fit.costs.forward[0] == 1);
    assert_true(fit.costs.messages[0] == 0.25 && fit.costs.messages[1] == 0.125);
    assert_true(fit.costs.backward_input[0] == 1.5 && fit.costs.backward_weight[0] == 1.5); /* no share given: half */
    weft_fit_fini(&fit);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* What the program does not hold costs nothing; a stage that sends nothing has the latency of the others. */
static void test_absent(void **state)
{
    (void)state;
    dice d = {14};
    known costs;
    roll(&d, &costs);
    for (int s = 0; s < MOST; s++) costs.messages[s] = 0.5;
    weft_schedule *schedule = create("gpipe", 2, 2), *forward = NULL;
    assert_int_equal(weft_schedule_forward(schedule, &forward, NULL), WEFT_OK);
    weft_program *program = lower(forward, &(weft_lower_options){0});
    weft_timeline timeline;
    weft_fit fit;
    simulate(program, &costs.costs, &timeline);
    fit_all(&fit, &timeline, 1, NULL);
    for (int s = 0; s < 2; s++) {
        assert_true(fit.costs.backward_input[s] == 0 && fit.costs.backward_weight[s] == 0 && fit.costs.update[s] == 0);
        assert_true(fabs(fit.costs.messages[s] - 0.5) < 1e-12);
    }
    assert_true(fit.costs.reduce == 0);
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) assert_true(fit.costs.collectives[kind] == 0);
    for (int s = 0; s < 2; s++) assert_true(fit.costs.gathers[s] == 0 && fit.costs.reductions[s] == 0);
    weft_fit_fini(&fit);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(forward);
    weft_schedule_destroy(schedule);
}

/* Every drawn step has the times of one measured step, in another order: of two, one twice as fast as the other. Ranks
 * that wait for the longer of two passes lose more than the mean tells. */
static void test_drawn(void **state)
{
    (void)state;
    enum { M = 8, STEPS = 2, DRAWN = 200 };
    weft_schedule *schedule = create("1f1b", 3, M);
    weft_program *program = lower(schedule, &(weft_lower_options){.update = true, .clip = true});
    weft_timeline steps[STEPS], drawn;
    weft_error error = {0};
    double seconds[4096], update[] = {0.25, 0.25, 0.25};
    weft_costs plain = {.actions = seconds}, fitted;
    assert_true(program->action_count < 4096);
    for (int t = 0; t < STEPS; t++) {
        for (uint32_t a = 0; a < program->action_count; a++) {
            weft_action action = program->actions[a];
            bool pass = action.kind == WEFT_F || action.kind == WEFT_B;
            seconds[a] = pass ? (1 + action.microbatch % 2) * (t + 1) : action.kind == WEFT_UPDATE ? update[0] : 0.125;
        }
        simulate(program, &plain, &steps[t]);
    }
    weft_fit fit;
    weft_draw draw;
    fit_all(&fit, steps, STEPS, NULL);
    fitted = fit.costs;
    assert_true(fabs(fitted.forward[1] - 2.25) < 1e-9); /* 1.5 and 3 */
    assert_int_equal(weft_draw_init(&draw, steps, STEPS, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&drawn, program, &error), WEFT_OK);
    int slow = 0, longer = 0;
    uint32_t last = find(program, WEFT_B, 0, M - 1);
    assert_int_equal(weft_simulate(program, &fitted, &drawn, &error), WEFT_OK);
    double steady = drawn.end[last];
    for (uint64_t number = 0; number < DRAWN; number++) {
        assert_int_equal(weft_draw_step(&draw, number, &drawn, &error), WEFT_OK);
        int kind = 0; /* of the step that it has the times of */
        for (uint32_t a = program->lanes[0].first; a < program->lanes[0].first + program->lanes[0].count; a++) {
            if (program->actions[a].kind == WEFT_UPDATE) continue;
            double took = drawn.end[a] - drawn.begin[a];
            int fast = fabs(took - 1) < 1e-9 ? 1 : fabs(took - 4) < 1e-9 ? 2 : fabs(took - 2) < 1e-9 ? kind : 3;
            if (!kind) kind = fast;
            assert_int_equal(fast, kind);
        }
        slow += kind == 2;
        /* Against its own mean: the slow step's is 4/3 of the fitted, the fast one's 2/3. */
        longer += drawn.end[last] > steady * (kind == 2 ? 4 : 2) / 3;
    }
    assert_in_range(slow, DRAWN / 4, DRAWN * 3 / 4);
    assert_true(longer > DRAWN * 3 / 4);
    weft_draw_fini(&draw);
    weft_fit_fini(&fit);
    weft_timeline_fini(&drawn);
    for (int t = 0; t < STEPS; t++) weft_timeline_fini(&steps[t]);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* A pass is drawn from those of its kind and stage; what is no pass keeps its own time. */
static void test_places(void **state)
{
    (void)state;
    enum { M = 5 };
    weft_schedule *schedule = create("1f1b", 2, M);
    weft_program *program = lower(schedule, &(weft_lower_options){.update = true, .clip = true});
    weft_timeline measured, drawn;
    weft_draw draw;
    weft_error error = {0};
    double seconds[256];
    assert_true(program->action_count < 256);
    for (uint32_t a = 0; a < program->action_count; a++) seconds[a] = 1 + a;
    simulate(program, &(weft_costs){.actions = seconds}, &measured);
    assert_int_equal(weft_draw_init(&draw, &measured, 1, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&drawn, program, &error), WEFT_OK);
    int elsewhere = 0;
    for (uint64_t number = 0; number < 50; number++) {
        assert_int_equal(weft_draw_step(&draw, number, &drawn, &error), WEFT_OK);
        for (uint32_t a = 0; a < program->action_count; a++) {
            uint32_t from = 0;
            while (from < program->action_count && fabs(draw.seconds[from] - draw.drawn[a]) > 1e-9) from++;
            assert_true(from < program->action_count);
            weft_action one = program->actions[a], other = program->actions[from];
            bool pass = one.kind == WEFT_F || one.kind == WEFT_B;
            if (pass) assert_true(one.kind == other.kind && one.stage == other.stage);
            if (!pass) assert_true(draw.drawn[a] == draw.seconds[a]);
            elsewhere += pass && draw.drawn[a] != draw.seconds[a];
        }
    }
    assert_true(elsewhere > 100);
    weft_timeline_fini(&drawn);
    weft_draw_fini(&draw);
    weft_timeline_fini(&measured);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

static weft_status use_measured(void *context, weft_error *error)
{
    const weft_timeline *measured = context;
    weft_timeline drawn = {0};
    weft_draw draw = {0};
    weft_fit fit = {0};
    weft_bubble bubble = {0};
    weft_status status = weft_fit_init(&fit, measured, 1, NULL, error);
    if (status == WEFT_OK) status = weft_draw_init(&draw, measured, 1, error);
    if (status == WEFT_OK) status = weft_bubble_init(&bubble, measured, error);
    if (status == WEFT_OK) status = weft_timeline_init(&drawn, measured->program, error);
    if (status == WEFT_OK) status = weft_draw_step(&draw, 1, &drawn, error);
    if (status == WEFT_OK) status = weft_simulate(measured->program, &fit.costs, &drawn, error);
    weft_timeline_fini(&drawn);
    weft_bubble_fini(&bubble);
    weft_draw_fini(&draw);
    weft_fit_fini(&fit);
    return status;
}

/* Each allocation in turn fails: that is said, and nothing is lost. */
static void test_every_allocation(void **state)
{
    (void)state;
    dice d = {15};
    known costs;
    roll(&d, &costs);
    weft_schedule *schedule = create("gpipe", 2, 4);
    weft_program *program = lower(schedule, &(weft_lower_options){0});
    weft_timeline timeline;
    simulate(program, &costs.costs, &timeline);
    assert_true(failing_each(use_measured, &timeline, FAILING_REPORTS) > 16);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_random),  cmocka_unit_test(test_disturbed),
        cmocka_unit_test(test_mean),       cmocka_unit_test(test_moments), cmocka_unit_test(test_absent),
        cmocka_unit_test(test_drawn),      cmocka_unit_test(test_places),  cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
