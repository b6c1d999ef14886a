/* Placements that are chosen: the best of all that are tried, by another enumeration; never worse than the kind's own;
 * and what is told of them is what their written-out lists simulate to. */
#include "../program/build.h"
#include "plan/place.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LAYERS = 14, LARGE = 96, LIST = 400, TRIED = 64 };

static const char *const kinds[] = {"sequential",    "gpipe",
                                    "breadth-first", "breadth-first-descending",
                                    "depth-first",   "depth-first-gaps",
                                    "hybrid",        "interleaved-zero-bubble",
                                    "1f1b",          "breadth-first-split"};

/* A placement and its step, as found here. */
typedef struct tried {
    char list[LIST];
    int32_t loops, stages;
    bool head;
    double step;
} tried;

static weft_layer_cost roll_cost(dice *d, double scale)
{
    return (weft_layer_cost){scale * (1 + dice_roll(d, 3)), scale * (1 + dice_roll(d, 3)),
                             scale * (1 + dice_roll(d, 2)), 0};
}

/* layers: (LAYERS) */
static weft_placing roll(dice *d, weft_layer_cost *layers)
{
    weft_placing placing = {.longest = LIST - 1};
    const char *kind = kinds[dice_roll(d, sizeof kinds / sizeof *kinds)];
    weft_layer_cost one = roll_cost(d, 1);
    for (int i = 0; i < LAYERS; i++) layers[i] = one;
    placing.split.layers = layers;
    placing.split.layer_count = 1 + (int32_t)dice_roll(d, LAYERS);
    placing.split.embedding = roll_cost(d, dice_roll(d, 4) * 0.1);
    placing.split.head = roll_cost(d, dice_roll(d, 9) * 0.5);
    placing.options = (weft_schedule_options){.kind = kind,
                                              .ranks = 1 + (int32_t)dice_roll(d, 4),
                                              .loops = 1 + (int32_t)dice_roll(d, 2),
                                              .microbatches = 1 + (int32_t)dice_roll(d, 8)};
    if (strcmp(kind, "1f1b") == 0) placing.options.loops = 1;
    return placing;
}

static weft_schedule *create(const weft_placing *placing, const char *list)
{
    weft_schedule_options options = placing->options;
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    options.loops = 0;
    options.placement = list;
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    return schedule;
}

static double best_step(const weft_placing *placing, const char *list)
{
    weft_schedule *schedule = create(placing, list);
    weft_split_problem problem = placing->split;
    int32_t *layers = calloc((size_t)schedule->stages, sizeof *layers);
    double step = 0;
    weft_error error = {0};
    problem.schedule = schedule;
    assert_int_equal(weft_split_layers(&problem, layers, &step, NULL, &error), WEFT_OK);
    free(layers);
    weft_schedule_destroy(schedule);
    return step;
}

/* So many stages a rank, one after the other or in turn, and the head on rank 0. */
static tried attempt(const weft_placing *placing, int32_t loops, bool linear, bool head)
{
    int32_t ranks = placing->options.ranks, stages = ranks * loops;
    tried t = {.loops = loops, .stages = stages + head, .head = head};
    size_t used = 0;
    for (int32_t s = 0; s < stages; s++)
        used += (size_t)snprintf(t.list + used, LIST - used, "%s%d", s ? "," : "", linear ? s / loops : s % ranks);
    if (head) snprintf(t.list + used, LIST - used, ",0");
    t.step = best_step(placing, t.list);
    return t;
}

static int32_t ceiling(int32_t count, int32_t parts)
{
    return (count + parts - 1) / parts;
}

/* All of them, by their stages. */
static int try_all(const weft_placing *placing, tried *out)
{
    int32_t ranks = placing->options.ranks, loops = placing->options.loops, layers = placing->split.layer_count;
    const char *kind = placing->options.kind;
    bool linear = strcmp(weft_schedule_kind_placement(kind), "linear") == 0;
    int count = 0;
    out[count++] = attempt(placing, loops, linear, false);
    if (ranks == 1 || strcmp(kind, "1f1b") == 0) return count;
    out[count++] = attempt(placing, loops, linear, true);
    for (int32_t more = loops + 1; more <= layers; more++) {
        if (ceiling(layers, ranks * more) == ceiling(layers, ranks * (more - 1))) continue;
        out[count++] = attempt(placing, more, false, false);
        out[count++] = attempt(placing, more, false, true);
    }
    return count;
}

/* What a test lets pass: a set of numbers of stages. */
static weft_status fits(void *context, const weft_tried *place, bool *out, weft_error *error)
{
    (void)error;
    *out = *(const uint32_t *)context >> place->stages % 32 & 1;
    return WEFT_OK;
}

/* By the words of the header: of those that fit the first whose step is within so much of the shortest; -1: none. */
static int expect(const tried *all, int count, uint32_t passes)
{
    double shortest = INFINITY;
    for (int i = 0; i < count; i++)
        if (passes >> all[i].stages % 32 & 1) shortest = fmin(shortest, all[i].step);
    for (int i = 0; i < count; i++)
        if (passes >> all[i].stages % 32 & 1 && all[i].step * (1 - WEFT_PLACE_WORTH) <= shortest) return i;
    return -1;
}

/* The step of a program of the written-out list, as weft simulate has it. */
static double simulate(const weft_placing *placing, const char *list, const int32_t *layers)
{
    weft_schedule *schedule = create(placing, list);
    weft_split_problem problem = placing->split;
    weft_program *program = NULL;
    weft_timeline timeline;
    weft_error error = {0};
    size_t S = (size_t)schedule->stages;
    double *cost = calloc(4 * S, sizeof *cost), step = 0, bubble = 0;
    weft_bubble_rank *ranks = calloc((size_t)schedule->ranks, sizeof *ranks);
    problem.schedule = schedule;
    weft_split_stage_costs(&problem, layers, cost, cost + S, cost + 2 * S, cost + 3 * S);
    weft_costs costs = {.forward = cost, .backward_input = cost + S, .backward_weight = cost + 2 * S};
    assert_int_equal(weft_program_create(schedule, &(weft_lower_options){0}, &program, &error), WEFT_OK);
    assert_int_equal(weft_program_verify(program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &step, &bubble, ranks);
    free(ranks);
    free(cost);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
    return step;
}

static void check_place(const weft_placing *placing, const weft_tried *place, const tried *found)
{
    assert_int_equal(place->loops, found->loops);
    assert_int_equal(place->stages, found->stages);
    assert_int_equal(place->head, found->head);
    if (place->head) assert_string_equal(place->placement, found->list);
    if (place->head) assert_string_equal(strrchr(place->placement, ','), ",0");
    assert_true(fabs(place->step - found->step) <= 1e-9 * found->step);
    assert_true(fabs(simulate(placing, found->list, place->layers) - place->step) <= 1e-9 * place->step);
}

static void test_best_of_all(void **state)
{
    (void)state;
    dice d = {77};
    int heads = 0, more = 0, refused = 0, cases = 150;
    for (int i = 0; i < cases; i++) {
        weft_layer_cost layers[LAYERS];
        weft_placing placing = roll(&d, layers);
        weft_placed placed;
        weft_error error = {0};
        tried all[TRIED];
        int32_t chosen = -2;
        uint32_t passes = dice_roll(&d, 3) ? UINT32_MAX : dice_roll(&d, 1u << 16) * 65537u;
        int count = try_all(&placing, all), expected = expect(all, count, passes);
        if (weft_placed_init(&placed, &placing, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_int_equal(placed.count, count);
        assert_int_equal(weft_placed_choose(&placed, fits, &passes, &chosen, &error), WEFT_OK);
        assert_int_equal(chosen, expected);
        if (chosen >= 0) check_place(&placing, &placed.items[chosen], &all[chosen]);
        if (chosen >= 0 && passes == UINT32_MAX) {
            assert_true(placed.items[chosen].step <= placed.items[0].step);
            assert_true(placed.items[chosen].efficiency >= placed.items[0].efficiency * (1 - 1e-12));
        }
        heads += chosen >= 0 && placed.items[chosen].head;
        more += chosen > 1;
        refused += chosen != expect(all, count, UINT32_MAX);
        weft_placed_fini(&placed);
    }
    print_message("%d of %d with the head apart, %d of more loops, %d otherwise for what did not fit\n", heads, cases,
                  more, refused);
    assert_true(heads > 0 && more > 0 && refused > 0);
}

/* layers: (LARGE) */
static weft_placing make_large(weft_layer_cost *layers)
{
    for (int i = 0; i < LARGE; i++) layers[i] = (weft_layer_cost){1, 1, 1, 0};
    return (weft_placing){.split = {.layers = layers, .layer_count = LARGE, .head = {2, 2, 2, 0}},
                          .options = {.kind = "breadth-first", .ranks = 12, .loops = 1, .microbatches = 16},
                          .longest = 65536};
}

/* Models too large to be searched through: still never worse than the kind's own, in few simulated actions. */
static void test_large(void **state)
{
    (void)state;
    weft_layer_cost layers[LARGE];
    weft_placing placing = make_large(layers);
    weft_placed placed;
    weft_error error = {0};
    int32_t chosen = -1;
    double step = best_step(&placing, "0,1,2,3,4,5,6,7,8,9,10,11");
    assert_int_equal(weft_placed_init(&placed, &placing, &error), WEFT_OK);
    assert_true(placed.items[0].step == step);
    assert_int_equal(weft_placed_choose(&placed, NULL, NULL, &chosen, &error), WEFT_OK);
    assert_true(chosen > 1 && placed.items[chosen].step < step);
    assert_true(placed.items[chosen].work == WEFT_SPLIT_WORK);
    for (int32_t i = 1; i < placed.count; i++) assert_true(placed.items[i].stages > placed.items[i - 1].stages);
    weft_placed_fini(&placed);
}

/* What does not fit is not searched for again, however many places that are. */
static void test_refused_is_cheap(void **state)
{
    (void)state;
    weft_layer_cost layers[LARGE];
    weft_placing placing = make_large(layers);
    weft_placed placed;
    weft_error error = {0};
    int32_t chosen = 0;
    uint32_t passes = 0;
    assert_int_equal(weft_placed_init(&placed, &placing, &error), WEFT_OK);
    assert_int_equal(weft_placed_choose(&placed, fits, &passes, &chosen, &error), WEFT_OK);
    assert_int_equal(chosen, -1);
    assert_true(placed.count > 4);
    for (int32_t i = 2; i < placed.count; i++) assert_true(placed.items[i].work < WEFT_SPLIT_WORK);
    weft_placed_fini(&placed);
}

/* A list that is too long for its key is not tried, and what is no schedule is refused. */
static void test_limits(void **state)
{
    (void)state;
    weft_layer_cost layers[4] = {{1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}};
    weft_placing placing = {.split = {.layers = layers, .layer_count = 4, .head = {1, 1, 1, 0}},
                            .options = {.kind = "breadth-first", .ranks = 2, .loops = 1, .microbatches = 4},
                            .longest = 5};
    weft_placed placed;
    weft_error error = {0};
    assert_int_equal(weft_placed_init(&placed, &placing, &error), WEFT_OK);
    assert_int_equal(placed.count, 3); /* 0,1 and 0,1,0 and 0,1,0,1; not 0,1,0,1,0 */
    weft_placed_fini(&placed);
    placing.options.kind = "zb-v";
    assert_int_equal(weft_placed_init(&placed, &placing, &error), WEFT_INVALID);
    weft_placed_fini(&placed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_of_all),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_refused_is_cheap),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
