/* What a step loses: that it adds up, and that each cause is what its name says. */
#include "../base/failing.h"
#include "../program/build.h"
#include "simulate/lost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { P = 2, S = 4, M = 4, STEPS = 2 };

/* Some steps of one program, as simulated with costs of their own. */
typedef struct fixture {
    weft_schedule *schedule;
    weft_program *program;
    double forward[STEPS][S], backward[STEPS][S], update[S], collectives[WEFT_ACTION_KINDS];
    weft_costs costs[STEPS];
    weft_timeline steps[STEPS];
    double seconds[STEPS];
    double expected;
    weft_lost lost[STEPS];
} fixture;

static void simulate(fixture *it)
{
    weft_error error = {0};
    for (int i = 0; i < STEPS; i++) {
        if (weft_simulate(it->program, &it->costs[i], &it->steps[i], &error) != WEFT_OK) fail_msg("%s", error.text);
        it->seconds[i] = weft_timeline_end(&it->steps[i]);
    }
}

/* Nothing but passes, all as they were expected. */
static void begin(fixture *it)
{
    weft_error error = {0};
    weft_bubble bubble;
    *it = (fixture){.expected = 0};
    weft_schedule_options options = {.kind = "breadth-first", .ranks = P, .loops = S / P, .microbatches = M};
    weft_lower_options lower = {.update = true, .norm = true, .clip = true, .metrics = true};
    assert_int_equal(weft_schedule_create(&options, &it->schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(it->schedule, &lower, &it->program, &error), WEFT_OK);
    for (int s = 0; s < S; s++) it->update[s] = 0.5;
    for (int i = 0; i < STEPS; i++) {
        for (int s = 0; s < S; s++) it->forward[i][s] = 1 + 0.25 * s, it->backward[i][s] = 2 + 0.25 * s;
        it->costs[i] = (weft_costs){.forward = it->forward[i],
                                    .backward_input = it->backward[i],
                                    .backward_weight = it->backward[i],
                                    .backward = it->backward[i],
                                    .update = it->update,
                                    .collectives = it->collectives};
        assert_int_equal(weft_timeline_init(&it->steps[i], it->program, &error), WEFT_OK);
    }
    simulate(it);
    assert_int_equal(weft_bubble_init(&bubble, &it->steps[0], &error), WEFT_OK);
    it->expected = 1 - bubble.fraction;
    weft_bubble_fini(&bubble);
}

static void end(fixture *it)
{
    for (int i = 0; i < STEPS; i++) weft_timeline_fini(&it->steps[i]);
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}

static double sum(const weft_lost *lost)
{
    double all = lost->busy;
    for (int cause = 0; cause < WEFT_LOST_CAUSES; cause++) all += lost->cause[cause];
    return all;
}

/* Of what an action takes on the compute lanes. */
static double busy(const weft_timeline *timeline, double seconds)
{
    const weft_program *program = timeline->program;
    double work = 0;
    for (uint32_t a = 0; a < program->action_count; a++)
        if (weft_action_info_get((weft_action_kind)program->actions[a].kind)->lane == WEFT_LANE_COMPUTE)
            work += timeline->end[a] - timeline->begin[a];
    return work / (seconds * program->ranks);
}

static void measure(fixture *it)
{
    weft_error error = {0};
    if (weft_lost_measure(it->steps, it->seconds, STEPS, it->expected, it->lost, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    for (int i = 0; i < STEPS; i++) {
        assert_true(fabs(sum(&it->lost[i]) - 1) < 1e-12);
        assert_true(fabs(it->lost[i].busy - busy(&it->steps[i], it->seconds[i])) < 1e-12);
        assert_true(fabs(it->lost[i].cause[WEFT_LOST_SCHEDULE] - (1 - it->expected)) < 1e-12);
    }
}

/* In both steps the cause takes something, and no other one beside the schedule does. */
static void is_only(fixture *it, weft_lost_cause wanted)
{
    measure(it);
    for (int i = 0; i < STEPS; i++)
        for (int cause = WEFT_LOST_STAGES; cause < WEFT_LOST_CAUSES; cause++) {
            double lost = it->lost[i].cause[cause];
            if (cause == (int)wanted ? lost > 1e-6 : fabs(lost) < 1e-12) continue;
            fail_msg("%s: step %d loses %g to %s", weft_lost_cause_name(wanted), i, lost,
                     weft_lost_cause_name((weft_lost_cause)cause));
        }
    end(it);
}

static void test_one_cause(void **state)
{
    (void)state;
    fixture it;
    begin(&it);
    for (int i = 0; i < STEPS; i++) it.forward[i][1] *= 2;
    simulate(&it);
    is_only(&it, WEFT_LOST_STAGES);
    begin(&it);
    for (int i = 0; i < STEPS; i++) it.costs[i].message = 0.25;
    simulate(&it);
    is_only(&it, WEFT_LOST_MESSAGES);
    begin(&it);
    it.collectives[WEFT_NORM] = 0.5;
    simulate(&it);
    is_only(&it, WEFT_LOST_TOGETHER);
    begin(&it);
    for (int i = 0; i < STEPS; i++) it.seconds[i] += 0.5;
    is_only(&it, WEFT_LOST_OUTSIDE);
}

/* Where a pass begins later than it can, and so all behind it. */
static void test_worker(void **state)
{
    (void)state;
    fixture it;
    begin(&it);
    for (int i = 0; i < STEPS; i++) {
        for (uint32_t a = 0; a < it.program->action_count; a++) {
            it.steps[i].begin[a] += 0.5;
            it.steps[i].end[a] += 0.5;
        }
        it.seconds[i] += 0.5;
    }
    is_only(&it, WEFT_LOST_WORKER);
}

/* One of two steps is slower as a whole on one stage: as much is lost to the middle of both, and the rest to the step.
 */
static void test_step(void **state)
{
    (void)state;
    fixture it;
    begin(&it);
    it.forward[1][0] *= 2;
    simulate(&it);
    measure(&it);
    assert_true(it.lost[0].cause[WEFT_LOST_STAGES] > 1e-6);
    assert_true(fabs(it.lost[0].cause[WEFT_LOST_STAGES] - it.lost[1].cause[WEFT_LOST_STAGES]) < 1e-12);
    assert_true(it.lost[0].cause[WEFT_LOST_STEP] < 0 && it.lost[1].cause[WEFT_LOST_STEP] > 0);
    assert_true(fabs(it.lost[0].cause[WEFT_LOST_STAGES] + it.lost[0].cause[WEFT_LOST_STEP]) < 1e-12);
    for (int cause = WEFT_LOST_VARIATION; cause < WEFT_LOST_CAUSES; cause++)
        assert_true(fabs(it.lost[1].cause[cause]) < 1e-12);
    end(&it);
}

/* What held up one of three steps says nothing about the stages. */
static void test_disturbed(void **state)
{
    (void)state;
    fixture it;
    weft_error error = {0};
    weft_lost lost[3];
    begin(&it);
    it.forward[1][0] *= 2;
    simulate(&it);
    const weft_timeline three[] = {it.steps[0], it.steps[1], it.steps[0]};
    const double seconds[] = {it.seconds[0], it.seconds[1], it.seconds[0]};
    assert_int_equal(weft_lost_measure(three, seconds, 3, it.expected, lost, &error), WEFT_OK);
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(lost[i].cause[WEFT_LOST_STAGES]) < 1e-12);
        assert_true(i == 1 ? lost[i].cause[WEFT_LOST_STEP] > 1e-6 : fabs(lost[i].cause[WEFT_LOST_STEP]) < 1e-12);
    }
    end(&it);
}

/* Passes of one stage take now longer, now shorter, their mean is as expected. */
static void test_variation(void **state)
{
    (void)state;
    fixture it;
    double seconds[1024];
    begin(&it);
    assert_true(it.program->action_count <= 1024);
    for (uint32_t a = 0; a < it.program->action_count; a++) {
        weft_action action = it.program->actions[a];
        seconds[a] = weft_costs_of(&it.costs[0], action);
        if (action.kind == WEFT_F) seconds[a] += action.microbatch % 2 ? 0.75 : -0.75;
    }
    for (int i = 0; i < STEPS; i++) it.costs[i].actions = seconds;
    simulate(&it);
    is_only(&it, WEFT_LOST_VARIATION);
}

/* Any program, any times: what is lost and what is not is all there is. */
static void test_adds_up(void **state)
{
    (void)state;
    dice d = {21};
    stage_sizes sizes;
    for (int i = 0; i < 200; i++) {
        weft_error error = {0};
        weft_schedule *schedule = i % 2 ? build_random(&d) : build_kind(&d);
        build_sizes(&d, schedule->stages, &sizes);
        weft_lower_options options = build_options(&d, &sizes);
        weft_program *program = NULL;
        weft_timeline timeline;
        weft_lost lost;
        assert_int_equal(weft_program_create(schedule, &options, &program, &error), WEFT_OK);
        assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
        double *seconds = NULL, step = 0;
        assert_int_equal(weft_allocate(program->action_count, sizeof *seconds, &seconds, &error), WEFT_OK);
        for (uint32_t a = 0; a < program->action_count; a++) seconds[a] = 0.001 * (1 + dice_roll(&d, 1000));
        assert_int_equal(weft_simulate(program, &(weft_costs){.actions = seconds}, &timeline, &error), WEFT_OK);
        step = weft_timeline_end(&timeline) + 0.001 * dice_roll(&d, 1000);
        assert_int_equal(weft_lost_measure(&timeline, &step, 1, 0.9, &lost, &error), WEFT_OK);
        assert_true(fabs(sum(&lost) - 1) < 1e-9 && fabs(lost.busy - busy(&timeline, step)) < 1e-9);
        weft_free(seconds);
        weft_timeline_fini(&timeline);
        weft_program_destroy(program);
        weft_schedule_destroy(schedule);
    }
}

static weft_status use(void *context, weft_error *error)
{
    fixture *it = context;
    return weft_lost_measure(it->steps, it->seconds, STEPS, it->expected, it->lost, error);
}

static void test_no_memory(void **state)
{
    (void)state;
    fixture it;
    begin(&it);
    assert_true(failing_each(use, &it, FAILING_REPORTS) > 6);
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_cause), cmocka_unit_test(test_worker),
                                       cmocka_unit_test(test_step),      cmocka_unit_test(test_disturbed),
                                       cmocka_unit_test(test_variation), cmocka_unit_test(test_adds_up),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
