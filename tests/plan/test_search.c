/* The search against all orders there are, where they can be counted, and against every kind of schedule elsewhere. */
#include "../program/build.h"
#include "plan/search.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STAGES = 8, ORDERS = 4096, LENGTH = 16 };

typedef struct case_costs {
    double forward[STAGES], input[STAGES], weight[STAGES], backward[STAGES], messages[STAGES], latencies[STAGES];
    weft_costs view;
} case_costs;

static void roll_costs(dice *d, case_costs *out)
{
    static const double some[] = {0, 0.5, 1, 1, 1.25, 2, 3};
    bool equal = dice_roll(d, 2), messages = dice_roll(d, 2), latencies = dice_roll(d, 2), backward = dice_roll(d, 2);
    for (int s = 0; s < STAGES; s++) {
        bool again = equal && s > 0;
        out->forward[s] = again ? out->forward[0] : some[dice_roll(d, 7)];
        out->input[s] = again ? out->input[0] : some[dice_roll(d, 7)];
        out->weight[s] = again ? out->weight[0] : some[dice_roll(d, 7)];
        out->backward[s] = out->input[s] + out->weight[s] + some[dice_roll(d, 7)];
        out->messages[s] = messages ? some[dice_roll(d, 7)] : 0;
        out->latencies[s] = latencies ? some[dice_roll(d, 7)] : 0;
    }
    out->view = (weft_costs){.forward = out->forward,
                             .backward_input = out->input,
                             .backward_weight = out->weight,
                             .backward = backward ? out->backward : NULL,
                             .messages = out->messages,
                             .latencies = out->latencies};
}

/* A schedule of any kind that goes with every placement: for its stage_rank. */
static weft_schedule *place(int32_t P, int32_t V, const char *placement, int32_t M)
{
    weft_schedule_options options = {
        .kind = "sequential", .ranks = P, .loops = V, .microbatches = M, .placement = placement};
    weft_schedule *schedule = NULL;
    weft_error error;
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s", error.text);
    return schedule;
}

/* The latency is one between two ranks. */
static void level(const weft_schedule *places, case_costs *costs)
{
    for (int32_t s = 0; s < places->stages; s++) costs->latencies[s] = costs->latencies[places->stage_rank[s]];
}

static weft_search_problem pose(const weft_schedule *places, const char *placement, const case_costs *costs,
                                int64_t cap, bool whole)
{
    return (weft_search_problem){.ranks = places->ranks,
                                 .stages = places->stages,
                                 .microbatches = places->microbatches,
                                 .stage_rank = places->stage_rank,
                                 .placement = placement,
                                 .costs = &costs->view,
                                 .cap = cap,
                                 .whole = whole,
                                 .seconds = 60};
}

/* What is to be small and most held of a schedule; INFINITY when it cannot end. */
static double judge(const weft_schedule *schedule, const weft_costs *costs, bool own, int64_t *out_held)
{
    weft_program *program = NULL;
    weft_timeline timeline = {0};
    weft_bubble_rank ranks[STAGES];
    double step = INFINITY, longest = 0, bubble;
    weft_error error;
    *out_held = 0;
    if (weft_program_create(schedule, &(weft_lower_options){0}, &program, &error) != WEFT_OK) return step;
    assert_int_equal(weft_program_verify(program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &step, &bubble, ranks);
    for (int32_t r = 0; r < schedule->ranks; r++) {
        if (ranks[r].peak_activations > *out_held) *out_held = ranks[r].peak_activations;
        longest = fmax(longest, ranks[r].last_end - ranks[r].first_begin);
    }
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    return own ? longest : step;
}

/* All orders of the passes of one rank. */
typedef struct orders {
    weft_action rows[ORDERS][LENGTH];
    int32_t count, length;
    int32_t chains, passes, M; /* a chain is a stage and a micro-batch */
    const int32_t *stages;
    bool whole, ascending;
    int64_t cap;
} orders;

static bool may_run(const orders *all, const int32_t *done, int32_t chain)
{
    for (int32_t c = chain / all->M * all->M; c < chain && all->ascending; c++)
        if (done[c] <= done[chain]) return false;
    return done[chain] < all->passes;
}

static void list_orders(orders *all, weft_action *row, int32_t *done, int32_t used, int64_t held)
{
    static const weft_action_kind split[] = {WEFT_F, WEFT_I, WEFT_W}, whole[] = {WEFT_F, WEFT_B};
    if (all->cap && held > all->cap) return;
    if (used == all->length) {
        assert_true(all->count < ORDERS);
        memcpy(all->rows[all->count++], row, (size_t)used * sizeof *row);
        return;
    }
    for (int32_t c = 0; c < all->chains; c++) {
        if (!may_run(all, done, c)) continue;
        int32_t pass = done[c]++;
        row[used] = (weft_action){.kind = (all->whole ? whole[pass] : split[pass]) & 0x3f,
                                  .stage = (uint32_t)all->stages[c / all->M] & 0xffffff,
                                  .microbatch = (uint32_t)(c % all->M)};
        list_orders(all, row, done, used + 1, held + (pass == 0) - (pass == all->passes - 1));
        done[c]--;
    }
}

static orders all_orders[3];

static void list_rank(const weft_search_problem *problem, int32_t rank, bool ascending)
{
    static int32_t stages[3][STAGES];
    orders *all = &all_orders[rank];
    weft_action row[LENGTH];
    int32_t done[LENGTH] = {0}, count = 0;
    for (int32_t s = 0; s < problem->stages; s++)
        if (problem->stage_rank[s] == rank) stages[rank][count++] = s;
    int32_t passes = problem->whole ? 2 : 3, chains = count * problem->microbatches;
    all->count = 0;
    all->length = chains * passes;
    all->chains = chains;
    all->passes = passes;
    all->M = problem->microbatches;
    all->stages = stages[rank];
    all->whole = problem->whole;
    all->ascending = ascending;
    all->cap = problem->cap;
    assert_true(all->length <= LENGTH);
    list_orders(all, row, done, 0, 0);
}

/* The least of what is to be small of all orders of all ranks. */
static double try_all(const weft_search_problem *problem, weft_schedule *schedule, int32_t rank, size_t used)
{
    int64_t held;
    if (rank == problem->ranks) return judge(schedule, problem->costs, problem->own, &held);
    const orders *all = &all_orders[rank];
    double best = INFINITY;
    schedule->first[rank + 1] = used + (size_t)all->length;
    for (int32_t i = 0; i < all->count; i++) {
        memcpy(schedule->actions + used, all->rows[i], (size_t)all->length * sizeof(weft_action));
        best = fmin(best, try_all(problem, schedule, rank + 1, used + (size_t)all->length));
    }
    return best;
}

static double brute_force(const weft_search_problem *problem, bool ascending)
{
    weft_action actions[3 * LENGTH];
    size_t first[4] = {0};
    int32_t stage_rank[STAGES];
    memcpy(stage_rank, problem->stage_rank, (size_t)problem->stages * sizeof *stage_rank);
    weft_schedule schedule = {.ranks = problem->ranks,
                              .stages = problem->stages,
                              .microbatches = problem->microbatches,
                              .stage_rank = stage_rank,
                              .first = first,
                              .actions = actions};
    for (int32_t r = 0; r < problem->ranks; r++) list_rank(problem, r, ascending);
    return try_all(problem, &schedule, 0, 0);
}

static double value_of(const weft_search_problem *problem, double step_time, double own_step_time)
{
    return problem->own ? own_step_time : step_time;
}

static void check_sound(const weft_search_problem *problem, const weft_search_result *found)
{
    int64_t held = 0;
    double value = value_of(problem, found->step_time, found->own_step_time), before = 0;
    assert_true(fabs(judge(found->schedule, problem->costs, false, &held) - found->step_time) < 1e-9);
    assert_true(fabs(judge(found->schedule, problem->costs, true, &held) - found->own_step_time) < 1e-9);
    assert_true(found->bound <= value);
    assert_true(!problem->cap || held <= problem->cap);
    for (int32_t i = 0; i < found->row_count; i++) {
        const weft_search_row *row = &found->rows[i];
        double of_row = value_of(problem, row->step_time, row->own_step_time);
        assert_true(value <= of_row && before <= of_row);
        assert_true(!problem->cap || row->held <= problem->cap);
        before = of_row;
    }
}

static const struct {
    int32_t P, V, M;
    const char *placement;
    bool whole, ascending; /* only ascending orders are counted, where all would be too many */
    int rounds;
} tiny[] = {
    {2, 1, 2, "loop", false, false, 40},  {2, 1, 3, "loop", false, true, 12}, {3, 1, 2, "loop", false, true, 40},
    {2, 2, 1, "loop", false, true, 40},   {2, 2, 1, "v", false, true, 40},    {2, 1, 4, "loop", true, true, 40},
    {3, 0, 2, "0,1,0,2", true, true, 30}, {2, 2, 2, "linear", true, true, 4}, {3, 1, 3, "loop", true, true, 40},
    {2, 2, 2, "loop", true, true, 1},     {2, 2, 2, "v", true, true, 1},      {2, 0, 2, "0,1,0", true, true, 30},
    {1, 3, 1, "loop", false, false, 10},  {2, 1, 3, "loop", true, false, 2},
};

static void test_all_orders(void **state)
{
    (void)state;
    dice d = {3};
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++)
        for (int round = 0; round < tiny[i].rounds; round++) {
            case_costs costs;
            roll_costs(&d, &costs);
            weft_schedule *places = place(tiny[i].P, tiny[i].V, tiny[i].placement, tiny[i].M);
            level(places, &costs);
            int64_t least = tiny[i].V ? tiny[i].V : 2;
            int64_t cap = least + dice_roll(&d, (uint32_t)(least * tiny[i].M));
            weft_search_problem problem =
                pose(places, tiny[i].placement, &costs, dice_roll(&d, 4) ? cap : 0, tiny[i].whole);
            problem.own = tiny[i].ascending && round % 2; /* where ranks begin late, only such orders are searched */
            weft_search_result found;
            weft_error error;
            if (weft_search(&problem, &found, &error) != WEFT_OK) fail_msg("%s", error.text);
            check_sound(&problem, &found);
            double best = brute_force(&problem, tiny[i].ascending);
            assert_true(found.optimal);
            double value = value_of(&problem, found.step_time, found.own_step_time);
            if (fabs(value - best) > 1e-6)
                fail_msg("case %zu, round %d: found %g, the best is %g", i, round, value, best);
            weft_search_result_fini(&found);
            weft_schedule_destroy(places);
        }
}

/* Equal costs, P = 2 to 4 and M = 2 to 6, in the memory of 1F1B, less and more: proved, and more memory is never worse.
 */
static void test_gaps_of_kinds(void **state)
{
    (void)state;
    double ones[STAGES] = {1, 1, 1, 1, 1, 1, 1, 1};
    case_costs costs = {.view = {.forward = ones, .backward_input = ones, .backward_weight = ones, .message = 0.25}};
    printf("P M cap  best  by the best kind\n");
    for (int32_t P = 2; P <= 4; P++)
        for (int32_t M = 2; M <= 6; M += 2) {
            weft_schedule *places = place(P, 1, "loop", M);
            double before = INFINITY;
            for (int32_t cap = 1; cap <= P + 1; cap++) {
                weft_search_problem problem = pose(places, "loop", &costs, cap, false);
                weft_search_result found;
                weft_error error;
                assert_int_equal(weft_search(&problem, &found, &error), WEFT_OK);
                check_sound(&problem, &found);
                assert_true(found.optimal);
                assert_true(found.step_time <= before);
                before = found.step_time;
                printf("%d %d  %d  %5.2f  %s + %.1f %%\n", (int)P, (int)M, (int)cap, found.step_time,
                       found.rows[0].kind, 100 * (found.rows[0].step_time / found.step_time - 1));
                weft_search_result_fini(&found);
            }
            weft_schedule_destroy(places);
        }
}

/* 1F1B is the best there is in its memory when backward passes are whole: so says the source, and so does the search.
 */
static void test_1f1b_is_best(void **state)
{
    (void)state;
    double forward[] = {1, 1, 1, 1}, half[] = {1, 1, 1, 1};
    case_costs costs = {.view = {.forward = forward, .backward_input = half, .backward_weight = half}};
    for (int32_t P = 2; P <= 4; P++) {
        weft_schedule *places = place(P, 1, "linear", 6);
        weft_search_problem problem = pose(places, "linear", &costs, P, true);
        weft_search_result found;
        weft_error error;
        assert_int_equal(weft_search(&problem, &found, &error), WEFT_OK);
        assert_true(found.optimal);
        assert_string_equal(found.rows[0].kind, "1f1b");
        assert_true(fabs(found.step_time - 3 * (6 + P - 1)) < 1e-9);
        assert_true(found.rows[0].step_time == found.step_time);
        weft_search_result_fini(&found);
        weft_schedule_destroy(places);
    }
}

/* Without time there are still an order, the kinds and a bound below them; with time neither gets worse. */
static void test_time_limit(void **state)
{
    (void)state;
    dice d = {4};
    for (int round = 0; round < 30; round++) {
        case_costs costs;
        roll_costs(&d, &costs);
        int32_t P = 2 + (int32_t)dice_roll(&d, 2);
        const char *placement = dice_roll(&d, 2) ? "v" : "loop";
        weft_schedule *places = place(P, 2, placement, 3);
        level(places, &costs);
        weft_search_problem problem = pose(places, placement, &costs, 2 + dice_roll(&d, 5), dice_roll(&d, 2));
        weft_search_result none, some;
        weft_error error;
        problem.seconds = 0;
        assert_int_equal(weft_search(&problem, &none, &error), WEFT_OK);
        problem.seconds = 0.05;
        assert_int_equal(weft_search(&problem, &some, &error), WEFT_OK);
        check_sound(&problem, &none);
        check_sound(&problem, &some);
        assert_true(none.bound <= some.bound && none.step_time >= some.step_time);
        assert_true(none.row_count > 0);
        weft_search_result_fini(&none);
        weft_search_result_fini(&some);
        weft_schedule_destroy(places);
    }
}

/* What stands in the way of good orders in little memory: stages that cost differently, and no kind but sequential. */
static const double some_forward[] = {7, 4, 6, 4, 6, 4, 4, 4}, some_input[] = {9, 4, 4, 4, 3, 6, 5, 7},
                    some_weight[] = {7, 4, 6, 9, 6, 3, 8, 4};
static const weft_costs narrow = {
    .forward = some_forward, .backward_input = some_input, .backward_weight = some_weight, .message = 2};

static weft_search_problem pose_narrow(const weft_schedule *places)
{
    return (weft_search_problem){.ranks = 4,
                                 .stages = 8,
                                 .microbatches = places->microbatches,
                                 .stage_rank = places->stage_rank,
                                 .placement = "loop",
                                 .costs = &narrow,
                                 .cap = 7,
                                 .seconds = 600};
}

/* Within five of a hundred of what the search proves in the end, for a small part of the work that the proof takes. */
static void test_little_memory(void **state)
{
    (void)state;
    static const struct {
        int32_t M;
        double least; /* proved by the search without a limit of work */
    } cases[] = {{8, 334}, {12, 486}};
    for (int i = 0; i < 2; i++) {
        weft_schedule *places = place(4, 2, "loop", cases[i].M);
        weft_search_problem problem = pose_narrow(places);
        weft_search_result found;
        weft_error error;
        problem.work = 1000000;
        assert_int_equal(weft_search(&problem, &found, &error), WEFT_OK);
        check_sound(&problem, &found);
        assert_true(found.step_time <= 1.05 * cases[i].least);
        assert_true(found.bound <= cases[i].least);
        assert_true(found.rows[0].step_time > 3 * cases[i].least); /* of the kinds only sequential fits */
        weft_search_result_fini(&found);
        weft_schedule_destroy(places);
    }
}

static void search_narrow(weft_search_problem *problem, weft_text *out_csv, weft_search_result *out)
{
    weft_error error;
    assert_int_equal(weft_search(problem, out, &error), WEFT_OK);
    check_sound(problem, out);
    weft_text_init(out_csv);
    weft_schedule_write_csv(out->schedule, out_csv);
}

/* The same seed and work give the same order. The work of another seed is another. */
static void test_same_work_same_order(void **state)
{
    (void)state;
    weft_schedule *places = place(4, 2, "loop", 12);
    weft_search_result results[3];
    weft_text csv[3];
    for (int i = 0; i < 3; i++) {
        weft_search_problem problem = pose_narrow(places);
        problem.work = 400000;
        problem.seed = i == 2;
        search_narrow(&problem, &csv[i], &results[i]);
    }
    assert_string_equal(weft_text_get(&csv[0]), weft_text_get(&csv[1]));
    assert_true(results[0].work == results[1].work && results[0].nodes == results[1].nodes);
    assert_true(results[0].bound == results[1].bound);
    assert_string_not_equal(weft_text_get(&csv[0]), weft_text_get(&csv[2]));
    for (int i = 0; i < 3; i++) {
        weft_text_fini(&csv[i]);
        weft_search_result_fini(&results[i]);
    }
    weft_schedule_destroy(places);
}

/* Who is told to stop says what there is. */
static void test_stop(void **state)
{
    (void)state;
    weft_schedule *places = place(4, 2, "loop", 12);
    weft_search_problem problem = pose_narrow(places);
    weft_search_result found;
    weft_text csv;
    const volatile sig_atomic_t stop = 1;
    problem.stop = &stop;
    search_narrow(&problem, &csv, &found);
    assert_true(found.stopped && !found.optimal && found.bound < found.step_time);
    assert_true(found.work < 100000);
    weft_text_fini(&csv);
    weft_search_result_fini(&found);
    weft_schedule_destroy(places);
}

/* zb-h2 leaves no bubble between a rank's own begin and its own end: nothing is shorter, and the search sees it.
 * Without that memory, what is found by either objective is no better by the other. */
static void test_own_step(void **state)
{
    (void)state;
    double ones[] = {1, 1, 1, 1};
    case_costs costs = {.view = {.forward = ones, .backward_input = ones, .backward_weight = ones}};
    weft_schedule *places = place(4, 1, "linear", 8);
    for (int64_t cap = 2; cap <= 7; cap++) {
        weft_search_result by[2];
        weft_error error;
        for (int own = 0; own < 2; own++) {
            weft_search_problem problem = pose(places, "linear", &costs, cap, false);
            problem.own = own;
            problem.seconds = 600;
            problem.work = 3000000;
            assert_int_equal(weft_search(&problem, &by[own], &error), WEFT_OK);
            check_sound(&problem, &by[own]);
        }
        if (by[1].optimal) assert_true(by[1].own_step_time <= by[0].own_step_time);
        if (by[0].optimal) assert_true(by[0].step_time <= by[1].step_time);
        assert_true(by[1].own_step_time >= 24 && (cap < 7 || (by[1].optimal && by[1].own_step_time == 24)));
        for (int own = 0; own < 2; own++) weft_search_result_fini(&by[own]);
    }
    weft_schedule_destroy(places);
}

static void check_refused(const case_costs *costs, int32_t P, int32_t V, int32_t M, int64_t cap, const char *message)
{
    weft_schedule *places = place(P, V, "loop", M);
    weft_search_problem problem = pose(places, "loop", costs, cap, false);
    weft_search_result found;
    weft_error error;
    assert_int_equal(weft_search(&problem, &found, &error), WEFT_INVALID);
    if (!strstr(error.text, message)) fail_msg("%s", error.text);
    assert_null(found.schedule);
    weft_schedule_destroy(places);
}

static void test_refusals(void **state)
{
    (void)state;
    case_costs costs = {.view = {0}};
    double times[STAGES];
    check_refused(&costs, 4, 2, 33, 0, "8 stages x 33 micro-batches are too many");
    check_refused(&costs, 2, 9, 2, 0, "a rank with 9 stages is too much");
    check_refused(&costs, 2, 3, 2, 2, "a rank with 3 stages holds 3 micro-batch stages at least; the cap is 2");
    for (int s = 0; s < STAGES; s++) times[s] = s;
    costs.view = (weft_costs){.forward = times, .backward_input = times, .backward_weight = times, .backward = times};
    check_refused(&costs, 2, 1, 2, 0, "B of stage 1 takes 1, less than I and W together, 2");
    costs.view.backward = NULL;
    costs.view.latencies = times;
    check_refused(&costs, 2, 2, 2, 0, "stages 0 and 2 go from rank 0 to rank 1 with latencies of 0 and 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_orders),
        cmocka_unit_test(test_gaps_of_kinds),
        cmocka_unit_test(test_1f1b_is_best),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_same_work_same_order),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_own_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
