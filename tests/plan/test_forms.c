/* Closed forms of each schedule against its program, over pipelines, loops and micro-batches: bubble and what is held.
 */
#include "plan/view.h"
#include "simulate/simulate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { STAGES = 128 };

static const double bound = 0.035; /* of the step, where a form is not exact */

/* One layer a stage, in seconds; no messages, no head. */
typedef struct passes {
    double forward, input, weight;
} passes;

static const passes kinds_of_passes[] = {
    {1, 1, 1}, {1, 1.2, 0.9}, {1, 2.2, 0.95} /* all that is recomputed is in the gradient of the input */
};

typedef struct simulated {
    double step;
    int64_t held[STAGES]; /* of each rank */
} simulated;

static void simulate(const weft_plan_layout *layout, passes each, simulated *out)
{
    double forward[STAGES], input[STAGES], weight[STAGES];
    weft_error error;
    weft_error_clear(&error);
    weft_schedule_options options = {.kind = weft_plan_kind_name((weft_plan_kind)layout->kind),
                                     .ranks = layout->pipeline,
                                     .loops = layout->loops,
                                     .microbatches = layout->micro_batches};
    if (layout->kind == WEFT_PLAN_HYBRID) options.group = layout->micro_batches / layout->rounds;
    weft_lower_options lowering = {.data = 1};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_timeline timeline;
    weft_bubble bubble;
    for (int i = 0; i < STAGES; i++) {
        forward[i] = each.forward;
        input[i] = each.input;
        weight[i] = each.weight;
    }
    weft_costs costs = {.forward = forward, .backward_input = input, .backward_weight = weight};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, &lowering, &program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    assert_int_equal(weft_bubble_init(&bubble, &timeline, &error), WEFT_OK);
    out->step = bubble.step_time;
    for (int32_t rank = 0; rank < layout->pipeline; rank++) out->held[rank] = bubble.ranks[rank].peak_activations;
    weft_bubble_fini(&bubble);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

static double closed_step(const weft_plan_layout *layout, passes each)
{
    weft_plan_model model = {.layers = layout->pipeline * layout->loops};
    weft_plan_cluster cluster;
    weft_plan_cell cell = {
        .forward.device = each.forward, .backward_input.device = each.input, .backward_weight.device = each.weight};
    weft_plan_view view;
    weft_plan_cluster_init(&cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("weft"));
    cluster.message_start = 0;
    weft_plan_view_make(&model, &cluster, &cell, layout, &view);
    weft_plan_waits waits = weft_plan_view_waits(&view, (weft_plan_kind)layout->kind, layout->rounds);
    assert_true(waits.bubble >= 0 && waits.messages == 0);
    return view.m * view.worst + waits.bubble;
}

typedef void (*look)(const weft_plan_layout *layout, void *context);

/* All layouts of a kind with up to 9 ranks, and one with 16. */
static void walk(weft_plan_kind kind, look see, void *context)
{
    static const int32_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 24, 33};
    const weft_plan_kind_traits *traits = weft_plan_kind_of(kind);
    for (int32_t p = 2; p <= 10; p++)
        for (int32_t v = traits->loops ? traits->loops : 2; v <= (traits->loops ? traits->loops : 4); v++)
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                weft_plan_layout layout = {.data = 1,
                                           .tensor = 1,
                                           .context = 1,
                                           .micro_batch = 1,
                                           .pipeline = p < 10 ? p : 16,
                                           .loops = v,
                                           .micro_batches = counts[i],
                                           .rounds = 1,
                                           .kind = (uint8_t)kind};
                layout.micro_batches += traits->least * layout.pipeline;
                if (kind == WEFT_PLAN_HYBRID) {
                    layout.rounds = 2;
                    layout.micro_batches = 2 * (layout.pipeline + counts[i]);
                }
                see(&layout, context);
            }
}

static void see_step(const weft_plan_layout *layout, void *context)
{
    double *worst = context;
    for (size_t i = 0; i < sizeof kinds_of_passes / sizeof *kinds_of_passes; i++) {
        simulated there;
        simulate(layout, kinds_of_passes[i], &there);
        double off = closed_step(layout, kinds_of_passes[i]) / there.step - 1;
        if (fabs(off) > *worst) *worst = fabs(off);
        if (fabs(off) > bound)
            print_message("%s: pipeline %d loops %d micro-batches %d I %g: %+.1f %%\n",
                          weft_plan_kind_name((weft_plan_kind)layout->kind), layout->pipeline, layout->loops,
                          layout->micro_batches, kinds_of_passes[i].input, 100 * off);
    }
}

/* The others are off where the passes of several ranks fall on each other: at fewer micro-batches than ranks, and on a
 * v at unlike passes. */
static bool is_exact(weft_plan_kind kind)
{
    return kind != WEFT_PLAN_ZB_H2 && kind != WEFT_PLAN_ZB_V && kind != WEFT_PLAN_BREADTH_FIRST_SPLIT &&
           kind != WEFT_PLAN_V_HALF && kind != WEFT_PLAN_V_MIN;
}

static void test_steps(void **state)
{
    (void)state;
    for (int i = WEFT_PLAN_GPIPE; i < WEFT_PLAN_KINDS; i++) {
        weft_plan_kind kind = (weft_plan_kind)i;
        double worst = 0;
        walk(kind, see_step, &worst);
        print_message("%s: within %.2f %%\n", weft_plan_kind_name(kind), 100 * worst);
        assert_true(worst < (is_exact(kind) ? 1e-9 : bound));
    }
}

/* Of each rank; of the two kinds that hold at most so many, the fullest rank does. */
static void see_held(const weft_plan_layout *layout, void *context)
{
    (void)context;
    weft_plan_kind kind = (weft_plan_kind)layout->kind;
    bool fullest = kind == WEFT_PLAN_V_HALF || kind == WEFT_PLAN_V_MIN;
    simulated there;
    simulate(layout, kinds_of_passes[1], &there);
    double most = 0;
    for (int32_t rank = 0; rank < layout->pipeline; rank++) {
        double held = layout->loops * weft_plan_held(kind, layout->micro_batches, layout->pipeline, layout->loops,
                                                     layout->rounds, rank);
        most = fmax(most, (double)there.held[rank]);
        assert_true((double)there.held[rank] <= held + 1e-9);
        if (!fullest && fabs(held - (double)there.held[rank]) > 1e-9)
            fail_msg("%s: pipeline %d loops %d micro-batches %d rounds %d rank %d: %g, the program holds %lld",
                     weft_plan_kind_name(kind), layout->pipeline, layout->loops, layout->micro_batches, layout->rounds,
                     rank, held, (long long)there.held[rank]);
    }
    double last = layout->loops * weft_plan_held(kind, layout->micro_batches, layout->pipeline, layout->loops,
                                                 layout->rounds, layout->pipeline - 1);
    if (fullest) assert_true(fabs(last - most) < 1e-9);
}

static void test_held(void **state)
{
    (void)state;
    for (int kind = WEFT_PLAN_GPIPE; kind < WEFT_PLAN_KINDS; kind++) walk((weft_plan_kind)kind, see_held, NULL);
}

/* Each kind of schedule has a closed form, or is said not to have one. */
static void test_every_kind(void **state)
{
    (void)state;
    static const char *const without[] = {"breadth-first-descending", "depth-first-gaps",
                                          "interleaved-zero-bubble-gaps"};
    for (const char *const *name = weft_schedule_kind_names(); *name; name++) {
        int found = 0;
        for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++)
            found += strcmp(*name, weft_plan_kind_name((weft_plan_kind)kind)) == 0;
        for (size_t i = 0; i < sizeof without / sizeof *without; i++) found += strcmp(*name, without[i]) == 0;
        assert_int_equal(found, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_held),
                                       cmocka_unit_test(test_every_kind)};
    return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
