/* Paging of stages through few buffers: valid, least in loads, and the counts of the design for real schedules. */
#include "program/paging.h"

#include "build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 14 };

static weft_paging_stay *plan(const int32_t *stages, uint32_t count, int32_t stage_count, int32_t buffers,
                              uint32_t *out_count)
{
    weft_error error;
    weft_error_clear(&error);
    weft_paging_stay *stays = NULL;
    assert_int_equal(weft_paging_plan(stages, NULL, count, stage_count, buffers, &stays, out_count, &error), WEFT_OK);
    return stays;
}

/* Every use falls into one stay of its stage; stays of a buffer follow one another; loads begin in order. */
static void check(const int32_t *stages, uint32_t count, int32_t buffers, const weft_paging_stay *stays,
                  uint32_t stay_count)
{
    for (uint32_t use = 0; use < count; use++) {
        int held = 0;
        for (uint32_t i = 0; i < stay_count; i++)
            held += stays[i].stage == stages[use] && stays[i].first <= use && use <= stays[i].last;
        assert_int_equal(held, 1);
    }
    for (uint32_t i = 0; i < stay_count; i++) {
        assert_in_range(stays[i].buffer, 0, buffers - 1);
        assert_int_equal(stages[stays[i].first], stays[i].stage);
        assert_int_equal(stages[stays[i].last], stays[i].stage);
        assert_true(stays[i].before < (int64_t)stays[i].first);
        if (i > 0) assert_true(stays[i - 1].before <= stays[i].before);
        int followers = 0, predecessors = 0;
        for (uint32_t k = 0; k < stay_count; k++) {
            if (k == i || stays[k].buffer != stays[i].buffer) continue;
            assert_true(stays[k].last < stays[i].first || stays[i].last < stays[k].first);
            followers += stays[k].before == (int64_t)stays[i].last && stays[i].then == (int64_t)stays[k].first;
            predecessors += (int64_t)stays[k].last == stays[i].before;
        }
        assert_int_equal(followers, stays[i].then >= 0);
        assert_int_equal(predecessors, stays[i].before >= 0);
    }
}

/* The least number of loads, by trying what every set of resident stages can become. */
static uint32_t least(const int32_t *stages, uint32_t count, int32_t stage_count, int32_t buffers)
{
    uint32_t sets = 1u << stage_count, never = UINT32_MAX, cost[64], next[64], best = UINT32_MAX;
    memset(cost, 0xff, sizeof cost);
    cost[0] = 0;
    for (uint32_t use = 0; use < count; use++) {
        uint32_t wanted = 1u << stages[use];
        memset(next, 0xff, sizeof next);
        for (uint32_t set = 0; set < sets; set++) {
            if (cost[set] == never) continue;
            uint32_t loads = cost[set] + !(set & wanted);
            for (uint32_t kept = set;; kept = (kept - 1) & set) {
                uint32_t after = kept | wanted;
                if (__builtin_popcount(after) <= buffers && loads < next[after]) next[after] = loads;
                if (kept == 0) break;
            }
        }
        memcpy(cost, next, sizeof cost);
    }
    for (uint32_t set = 0; set < sets; set++)
        if (cost[set] < best) best = cost[set];
    return best;
}

static void loads_are_least(void **state)
{
    (void)state;
    dice d = {.state = 4711};
    for (int round = 0; round < 3000; round++) {
        int32_t stages[MOST], stage_count = 1 + (int32_t)dice_roll(&d, 6), buffers = 1 + (int32_t)dice_roll(&d, 4);
        uint32_t count = 1 + dice_roll(&d, MOST), stay_count = 0;
        for (uint32_t use = 0; use < count; use++) stages[use] = (int32_t)dice_roll(&d, (uint32_t)stage_count);
        weft_paging_stay *stays = plan(stages, count, stage_count, buffers, &stay_count);
        check(stages, count, buffers, stays, stay_count);
        assert_int_equal(stay_count, least(stages, count, stage_count, buffers));
        weft_free(stays);
    }
}

/* Where two uses begin as one, both stages are there; that may cost loads. */
static void pairs_are_there_together(void **state)
{
    (void)state;
    dice d = {.state = 815};
    for (int round = 0; round < 1000; round++) {
        int32_t stages[MOST];
        bool together[MOST] = {false};
        weft_paging_stay *stays = NULL;
        weft_error error = {0};
        uint32_t stay_count = 0, count = MOST;
        for (uint32_t use = 0; use < count; use++) stages[use] = (int32_t)dice_roll(&d, 5);
        for (uint32_t use = 1; use < count; use++) together[use] = !together[use - 1] && dice_roll(&d, 2);
        assert_int_equal(weft_paging_plan(stages, together, count, 5, 2, &stays, &stay_count, &error), WEFT_OK);
        check(stages, count, 2, stays, stay_count);
        for (uint32_t use = 1; use < count; use++)
            for (uint32_t i = 0; together[use] && i < stay_count; i++)
                assert_false(stays[i].first == use && stays[i].before == (int64_t)use - 1);
        weft_free(stays);
    }
}

static void no_uses_need_no_loads(void **state)
{
    (void)state;
    uint32_t count = 1;
    assert_null(plan(NULL, 0, 3, 2, &count));
    assert_int_equal(count, 0);
}

/* Gathers of a rank's weights in one step of a kind. */
static uint32_t gathers(const char *kind, int32_t P, int32_t V, int32_t M, int32_t buffers)
{
    weft_error error;
    weft_error_clear(&error);
    weft_schedule *schedule = NULL;
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = V, .microbatches = M};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    uint32_t most = (uint32_t)schedule->first[1], loads = 0;
    int32_t *stages = calloc(most, sizeof *stages);
    for (uint32_t i = 0; i < most; i++) stages[i] = (int32_t)schedule->actions[i].stage;
    weft_paging_stay *stays = plan(stages, most, schedule->stages, buffers, &loads);
    weft_free(stays);
    free(stages);
    weft_schedule_destroy(schedule);
    return loads;
}

/* A stage is gathered twice a step under breadth-first, 2 M / P times under depth-first and 2 M times under 1F1B, less
 * the two stages that are still in a buffer wherever the order turns round. */
static void counts_of_the_design(void **state)
{
    (void)state;
    const int32_t P = 4;
    for (int32_t V = 3; V <= 8; V++) {
        for (int32_t M = P; M <= 4 * P; M += P) {
            assert_int_equal(gathers("breadth-first", P, V, M, 2), 2 * V - 2);
            assert_int_equal(gathers("breadth-first", P, V, M, V), V);
            assert_int_equal(gathers("depth-first", P, V, M, 2), 2 * V * M / P - 2 * (2 * M / P - 1));
            uint32_t linear = gathers("1f1b", P, V, M, 2);
            assert_in_range(linear, 2 * V * M - 2 * (2 * M - 1), 2 * V * M);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_are_least),
        cmocka_unit_test(pairs_are_there_together),
        cmocka_unit_test(no_uses_need_no_loads),
        cmocka_unit_test(counts_of_the_design),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
