/* Rounds of a ragged number of micro-batches, and what kinds are called elsewhere. */
#include "check.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *even, *gaps;
    bool split;
} pairs[] = {{"depth-first", "depth-first-gaps", false},
             {"interleaved-zero-bubble", "interleaved-zero-bubble-gaps", true}};

enum { PAIRS = 2 };

static double step_of(weft_schedule *schedule, seconds cost)
{
    duration time;
    if (!execute(schedule, cost, &time)) fail_msg("%s does not end", schedule->name);
    weft_schedule_destroy(schedule);
    return time.step;
}

/* Rounds with a gap are never shorter; where P divides M, and below P, they are the same. */
static void test_never_longer(void **state)
{
    (void)state;
    static const seconds costs[] = {{1, 1, 1}, {2, 2, 1}, {2, 3, 2}};
    int shorter = 0;
    for (int pair = 0; pair < PAIRS; pair++)
        for (int32_t P = 1; P <= 8; P++)
            for (int32_t V = 1; V <= 4; V++)
                for (int32_t M = 1; M <= 40; M++) {
                    seconds cost = costs[(P + V + M) % 3];
                    double even = step_of(make(pairs[pair].even, NULL, P, V, M, false), cost);
                    double gaps = step_of(make(pairs[pair].gaps, NULL, P, V, M, false), cost);
                    shorter += even < gaps * (1 - 1e-9);
                    if (even > gaps * (1 + 1e-9)) fail_msg("P %d, V %d, M %d: %g, not %g", P, V, M, even, gaps);
                    if (M % P == 0 || M < P) assert_true(even == gaps);
                }
    assert_true(shorter > 500);
}

/* Nine micro-batches over eight ranks are one round, not two. */
static void test_one_round(void **state)
{
    (void)state;
    const seconds cost = {4, 4, 4};
    assert_true(step_of(make("depth-first", NULL, 8, 4, 9, false), cost) == 129);
    assert_true(step_of(make("depth-first-gaps", NULL, 8, 4, 9, false), cost) == 172);
}

/* The order of ScheduleInterleaved1F1B and ScheduleInterleavedZeroBubble of torch.distributed.pipelining: R rounds of
 * M / R micro-batches, warm-up passes, then one forward and one backward in turn, then what is left; W behind all but
 * the first r of rank r. */
typedef struct torch_order {
    int32_t P, V, M, rank, round, warm_up;
    weft_text text;
} torch_order;

static void add(torch_order *it, int32_t local, const char *kind, int32_t k)
{
    int32_t group = k / (it->round * it->V);
    weft_text_add(&it->text, "%s%d%s%d", it->text.length ? "," : "", local * it->P + it->rank, kind,
                  group * it->round + k % it->round);
}

static void add_forward(torch_order *it, int32_t k)
{
    add(it, k / it->round % it->V, "F", k);
}

static void add_backward(torch_order *it, int32_t k, const char *kind)
{
    add(it, it->V - 1 - k / it->round % it->V, kind, k);
}

static void write_torch(torch_order *it, bool split)
{
    int32_t after = it->P - 1 - it->rank, all = it->M * it->V, weights = 0;
    it->warm_up = (it->V - 1) * it->round + (split ? 1 : 2) * after;
    if (it->warm_up > all) it->warm_up = all;
    for (int32_t k = 0; k < it->warm_up; k++) add_forward(it, k);
    for (int32_t k = 0; k < all; k++) {
        if (k + it->warm_up < all) add_forward(it, k + it->warm_up);
        add_backward(it, k, split ? "I" : "B");
        if (split && k >= it->rank) add_backward(it, weights++, "W");
    }
    while (split && weights < all) add_backward(it, weights++, "W");
}

static void check_torch(const weft_schedule *schedule, torch_order *it, bool split)
{
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    const char *row = weft_text_get(&text);
    for (it->rank = 0; it->rank < it->P; it->rank++) {
        weft_text_init(&it->text);
        write_torch(it, split);
        size_t length = it->text.length;
        if (strncmp(row, weft_text_get(&it->text), length) != 0 || row[length] != '\n')
            fail_msg("%s, P %d, V %d, M %d, rank %d: %.*s, not %s", schedule->name, it->P, it->V, it->M, it->rank,
                     (int)strcspn(row, "\n"), row, weft_text_get(&it->text));
        row += length + 1;
        weft_text_fini(&it->text);
    }
    weft_text_fini(&text);
}

static void test_cells_of_torch(void **state)
{
    (void)state;
    int compared = 0;
    for (int pair = 0; pair < PAIRS; pair++)
        for (int32_t P = 1; P <= 8; P++)
            for (int32_t V = 1; V <= 4; V++)
                for (int32_t M = 1; M <= 26; M++) {
                    int32_t rounds = M < P ? 1 : M / P;
                    if (M % rounds) continue;
                    weft_schedule *schedule = make(pairs[pair].even, NULL, P, V, M, false);
                    check_torch(schedule, &(torch_order){.P = P, .V = V, .M = M, .round = M / rounds},
                                pairs[pair].split);
                    weft_schedule_destroy(schedule);
                    compared += M % P > 0;
                }
    assert_true(compared > 100);
}

/* (V - 1) K + 2 P - 1 stages of a micro-batch at most, (V - 1) K + P where the backward pass is split, for K
 * micro-batches of the largest round, on the first rank; and no more than there are. */
static void test_held(void **state)
{
    (void)state;
    for (int pair = 0; pair < PAIRS; pair++)
        for (int32_t P = 1; P <= 8; P++)
            for (int32_t V = 1; V <= 4; V++)
                for (int32_t M = 1; M <= 40; M++) {
                    int32_t rounds = M < P ? 1 : M / P, largest = M / rounds + (M % rounds > 0);
                    int32_t wanted = (V - 1) * largest + (pairs[pair].split ? P : 2 * P - 1);
                    weft_schedule *schedule = make(pairs[pair].even, NULL, P, V, M, false);
                    check_complete(schedule);
                    assert_true(schedule->ascending);
                    assert_int_equal(most_held(schedule, 0), wanted < M * V ? wanted : M * V);
                    weft_schedule_destroy(schedule);
                }
}

static const struct {
    const char *name, *kind;
} names[] = {
    {"Interleaved1F1B", "depth-first"},
    {"ScheduleInterleaved1F1B", "depth-first"},
    {"interleaved", "depth-first"},
    {"interleaved_1f1b", "depth-first"},
    {"forward_backward_pipelining_with_interleaving", "depth-first"},
    {"forward_backward_pipelining_without_interleaving", "1f1b"},
    {"LoopedBFS", "breadth-first-descending"},
    {"scheduleloopedbfs", "breadth-first-descending"},
    {"ZBVZeroBubble", "zb-v"},
    {"ScheduleZBVZeroBubble", "zb-v"},
    {"InterleavedZeroBubble", "interleaved-zero-bubble"},
    {"INTERLEAVED_ZERO_BUBBLE", "interleaved-zero-bubble"},
    {"ScheduleGPipe", "gpipe"},
    {"GPipe", "gpipe"},
    {"Schedule1F1B", "1f1b"},
    {"1F1B", "1f1b"},
    {"DualPipeV", "dualpipe-v"},
    {"ScheduleDualPipeV", "dualpipe-v"},
    {"BreadthFirst", "breadth-first"},
    {"TrainSchedule", "1f1b"},
    {"ZB-2p", "zb-h2"},
    {"ZBV", "zb-v"},
    {"VHalf", "v-half"},
    {"bredth-first", "breadth-first"},
};

/* Names of others are hints, not names. */
static void test_names_of_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        weft_schedule_options options = {.kind = names[i].name, .ranks = 2, .microbatches = 4};
        weft_schedule *schedule = NULL;
        weft_error error;
        char wanted[200];
        snprintf(wanted, sizeof wanted, "unknown schedule \"%s\"; did you mean %s?", names[i].name, names[i].kind);
        assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_INVALID);
        assert_null(schedule);
        assert_string_equal(error.text, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_longer),    cmocka_unit_test(test_one_round),
        cmocka_unit_test(test_cells_of_torch),  cmocka_unit_test(test_held),
        cmocka_unit_test(test_names_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
