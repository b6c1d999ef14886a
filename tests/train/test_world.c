/* The numbers of workers and the groups that they form, for every order and many widths. */
#include "train/world.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ORDERS = WEFT_CONFIG_PIPELINE_DATA_TENSOR + 1, MOST = 5 };

/* As much of a job as says who is who. */
static weft_job make_job(const weft_config *config, int32_t ranks, int32_t data, int32_t tensor)
{
    return (weft_job){
        .config = config, .ranks = ranks, .data = data, .tensor = tensor, .workers = ranks * data * tensor};
}

typedef void job_check(const weft_job *job);

/* A weight that two stages share is on the first and the last rank, either way round, or on one. */
static void check_ties(weft_job *job, job_check *check)
{
    int32_t last = job->ranks - 1, ends[][2] = {{0, last}, {last, 0}, {last / 2, last}, {last, last}};
    check(job);
    job->tied = true;
    job->stage_count = 2;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        weft_job_stage stages[2] = {{.rank = ends[i][0]}, {.rank = ends[i][1]}};
        job->stages = stages;
        job->tied_alias = ends[i][0] == ends[i][1];
        check(job);
    }
}

static void for_each_job(job_check *check)
{
    for (int order = 0; order < ORDERS; order++)
        for (int32_t ranks = 1; ranks <= MOST; ranks++)
            for (int32_t data = 1; data <= MOST; data++)
                for (int32_t tensor = 1; tensor <= MOST; tensor++) {
                    weft_config config = {.parallel = {.order = order}};
                    weft_job job = make_job(&config, ranks, data, tensor);
                    check_ties(&job, check);
                }
}

static bool is_in(const weft_job *job, weft_coordinates at)
{
    return at.rank >= 0 && at.rank < job->ranks && at.data >= 0 && at.data < job->data && at.tensor >= 0 &&
           at.tensor < job->tensor;
}

/* Numbers 0 .. workers - 1 have coordinates in range and these have their number: as there are as many of both, each
 * has one of its own. */
static void check_numbers(const weft_job *job)
{
    for (int32_t number = 0; number < job->workers; number++) {
        weft_coordinates at = weft_world_coordinates(job, number);
        assert_true(is_in(job, at));
        assert_int_equal(weft_world_number(job, at), number);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    for_each_job(check_numbers);
}

/* The axis that an order names first is that of neighbours. */
static void test_neighbours(void **state)
{
    (void)state;
    static const struct {
        weft_config_order order;
        weft_coordinates next, far;
    } rows[ORDERS] = {{WEFT_CONFIG_TENSOR_DATA_PIPELINE, {.tensor = 1}, {.rank = 1}},
                      {WEFT_CONFIG_TENSOR_PIPELINE_DATA, {.tensor = 1}, {.data = 1}},
                      {WEFT_CONFIG_DATA_TENSOR_PIPELINE, {.data = 1}, {.rank = 1}},
                      {WEFT_CONFIG_DATA_PIPELINE_TENSOR, {.data = 1}, {.tensor = 1}},
                      {WEFT_CONFIG_PIPELINE_TENSOR_DATA, {.rank = 1}, {.data = 1}},
                      {WEFT_CONFIG_PIPELINE_DATA_TENSOR, {.rank = 1}, {.tensor = 1}}};
    for (int i = 0; i < ORDERS; i++) {
        weft_config config = {.parallel = {.order = (int64_t)rows[i].order}};
        weft_job job = make_job(&config, 2, 2, 2);
        assert_int_equal(weft_world_number(&job, rows[i].next), 1);
        assert_int_equal(weft_world_number(&job, rows[i].far), 4);
    }
}

static bool over_data(weft_world_purpose purpose)
{
    return purpose == WEFT_WORLD_GATHER || purpose == WEFT_WORLD_REDUCE;
}

/* A worker's place in its group is its coordinate; all other coordinates are shared. */
static void check_membership(const weft_job *job, weft_world_purpose purpose, int32_t number, const weft_group *group)
{
    weft_coordinates own = weft_world_coordinates(job, number);
    int32_t place = over_data(purpose) ? own.data : own.tensor;
    assert_int_equal(group->count, over_data(purpose) ? job->data : job->tensor);
    assert_int_equal(group->members[place], number);
    for (int32_t i = 0; i < group->count; i++) {
        weft_coordinates other = weft_world_coordinates(job, group->members[i]);
        assert_int_equal(other.rank, own.rank);
        assert_int_equal(over_data(purpose) ? other.tensor : other.data, over_data(purpose) ? own.tensor : own.data);
        assert_true(i == 0 || group->members[i] > group->members[i - 1]);
    }
}

static bool shares(const weft_job *job, int32_t number)
{
    int32_t rank = weft_world_coordinates(job, number).rank;
    return rank == job->stages[0].rank || rank == job->stages[1].rank;
}

/* The two holders of a weight are the workers of the pipeline that have one of the stages. */
static int32_t check_tied(const weft_job *job, const weft_group *groups, int32_t *uses)
{
    if (!job->tied || job->tied_alias) return 0;
    for (int32_t w = 0; w < job->workers; w++) {
        if (!shares(job, w)) continue;
        weft_coordinates own = weft_world_coordinates(job, w);
        int32_t g = weft_world_group(job, WEFT_WORLD_TIED, own);
        const weft_group *group = &groups[g];
        assert_int_equal(group->count, 2);
        assert_true(group->members[0] < group->members[1]);
        assert_true(group->members[0] == w || group->members[1] == w);
        int32_t peer = group->members[group->members[0] == w];
        weft_coordinates other = weft_world_coordinates(job, peer);
        assert_true(shares(job, peer) && other.data == own.data && other.tensor == own.tensor);
        char text[WEFT_WORLD_NAMES], wanted[WEFT_WORLD_NAMES];
        weft_world_describe(job, WEFT_WORLD_TIED, own, text, sizeof text);
        snprintf(wanted, sizeof wanted, "with rank %d", (int)peer);
        assert_string_equal(text, wanted);
        uses[g]++;
    }
    return job->workers / job->ranks;
}

static void check_groups(const weft_job *job)
{
    weft_arena arena;
    weft_error error;
    const weft_group *groups = NULL;
    int32_t count = 0, wanted = 1;
    weft_arena_init(&arena);
    assert_int_equal(weft_world_groups(job, &arena, &groups, &count, &error), WEFT_OK);
    assert_int_equal(groups[WEFT_GROUP_ALL].count, job->workers);
    for (int32_t w = 0; w < job->workers; w++) assert_int_equal(groups[WEFT_GROUP_ALL].members[w], w);
    int32_t *uses = calloc((size_t)count, sizeof *uses); /* members that have named it as theirs */
    assert_non_null(uses);
    for (int purpose = 0; purpose < WEFT_WORLD_TIED; purpose++) {
        int32_t size = over_data((weft_world_purpose)purpose) ? job->data : job->tensor;
        if (size == 1) continue; /* it needs no group */
        wanted += job->workers / size;
        for (int32_t w = 0; w < job->workers; w++) {
            int32_t group = weft_world_group(job, (weft_world_purpose)purpose, weft_world_coordinates(job, w));
            assert_in_range(group, 1, count - 1);
            check_membership(job, (weft_world_purpose)purpose, w, &groups[group]);
            uses[group]++;
        }
    }
    assert_int_equal(count, wanted + check_tied(job, groups, uses));
    for (int32_t g = 1; g < count; g++) assert_int_equal(uses[g], groups[g].count); /* none has two purposes */
    free(uses);
    weft_arena_fini(&arena);
}

static void test_groups(void **state)
{
    (void)state;
    for_each_job(check_groups);
}

static void test_words(void **state)
{
    (void)state;
    weft_config config = {.parallel = {.order = WEFT_CONFIG_TENSOR_DATA_PIPELINE}};
    weft_job job = make_job(&config, 2, 2, 2), wide = make_job(&config, 1, 1, 4), one = make_job(&config, 3, 1, 1);
    char text[WEFT_WORLD_NAMES];
    weft_world_describe(&job, WEFT_WORLD_TENSOR_GATHER, (weft_coordinates){1, 1, 0}, text, sizeof text);
    assert_string_equal(text, "with rank 7");
    weft_world_describe(&job, WEFT_WORLD_REDUCE, (weft_coordinates){1, 1, 0}, text, sizeof text);
    assert_string_equal(text, "with rank 4");
    weft_world_describe(&wide, WEFT_WORLD_TENSOR_SUM, (weft_coordinates){0, 0, 2}, text, sizeof text);
    assert_string_equal(text, "of ranks 0, 1, 2 and 3");
    weft_world_describe_rank(&job, 1, text, sizeof text);
    assert_string_equal(text, "one of the ranks 4, 5, 6 and 7");
    weft_world_describe_rank(&one, 2, text, sizeof text);
    assert_string_equal(text, "rank 2");
    char tight[12];
    weft_world_describe(&wide, WEFT_WORLD_TENSOR_SUM, (weft_coordinates){0, 0, 2}, tight, sizeof tight);
    assert_string_equal(tight, "of ranks 0,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_neighbours),
                                       cmocka_unit_test(test_groups), cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
