/* Bounds of a program: every number out of its range is refused by the check that looks at it, before it is used. */
#include "program/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Two ranks, stages 0,1,0,1, two micro-batches; the lanes of rank 0 come first, its compute lane before all. */
static weft_program *make(void)
{
    weft_schedule_options options = {.kind = "breadth-first", .ranks = 2, .loops = 2, .microbatches = 2};
    weft_lower_options lower = {.update = true, .clip = true};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, &lower, &program, &error), WEFT_OK);
    weft_schedule_destroy(schedule);
    return program;
}

static void refused(weft_program *program, const char *words)
{
    weft_error error = {0};
    assert_int_equal(weft_program_verify(program, &error), WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, error.text);
    weft_program_destroy(program);
}

/* One number of the program itself. */
static void count(size_t place, int32_t value, const char *words)
{
    weft_program *program = make();
    memcpy((char *)program + place, &value, sizeof value);
    refused(program, words);
}

static void test_counts(void **state)
{
    (void)state;
    count(offsetof(weft_program, ranks), 0, "a program cannot have 0 ranks");
    count(offsetof(weft_program, ranks), WEFT_STAGES_LIMIT + 1, "a program cannot have 16777217 ranks");
    count(offsetof(weft_program, stages), 0, "a program cannot have 0 stages");
    count(offsetof(weft_program, stages), WEFT_STAGES_LIMIT + 1, "a program cannot have 16777217 stages");
    count(offsetof(weft_program, microbatches), 0, "a program cannot have 0 micro-batches");
    count(offsetof(weft_program, microbatches), WEFT_MICROBATCHES_LIMIT + 1,
          "a program cannot have 1073741825 micro-batches");
    count(offsetof(weft_program, action_count), -1, "a program cannot have so many actions");
}

/* One number of one of its lists. */
static void entry(int32_t *(*list)(const weft_program *program), int32_t place, int32_t value, const char *words)
{
    weft_program *program = make();
    list(program)[place] = value;
    refused(program, words);
}

static int32_t *stage_rank(const weft_program *program)
{
    return program->stage_rank;
}

static int32_t *rank_lanes(const weft_program *program)
{
    return program->rank_lanes;
}

static int32_t *after_first(const weft_program *program)
{
    return (int32_t *)program->after_first;
}

static void test_lists(void **state)
{
    (void)state;
    entry(stage_rank, 1, -1, "stage 1 is on rank -1, but there are 2 ranks");
    entry(stage_rank, 3, 2, "stage 3 is on rank 2, but there are 2 ranks");
    entry(rank_lanes, 0, 1, "the lanes of rank 0 do not begin at 0");
    entry(rank_lanes, 1, 0, "rank 0 has no lanes");
    entry(after_first, 0, 1, "the dependencies do not begin at 0");
    entry(after_first, 5, 1 << 20, "the dependencies of action 5 are not in order");
}

/* One number of a lane of rank 0. */
static void lane(weft_lane_kind kind, size_t place, int32_t value, const char *words)
{
    weft_program *program = make();
    weft_lane *row = program->lanes;
    while (row->kind != kind) row++;
    memcpy((char *)row + place, &value, sizeof value);
    refused(program, words);
}

static void test_lanes(void **state)
{
    (void)state;
    const weft_lane_kind sends = WEFT_PROGRAM_SEND_F, reduces = WEFT_PROGRAM_REDUCE;
    lane(sends, offsetof(weft_lane, kind), WEFT_PROGRAM_LANES, "is not one of rank 0");
    lane(sends, offsetof(weft_lane, rank), 1, "is not one of rank 0");
    lane(sends, offsetof(weft_lane, kind), WEFT_PROGRAM_COMPUTE, "rank 0 must have one compute lane, its first");
    lane(WEFT_PROGRAM_COMPUTE, offsetof(weft_lane, kind), WEFT_PROGRAM_REDUCE, "must have one compute lane, its first");
    lane(sends, offsetof(weft_lane, first), 0, "do not follow those of the lane before");
    lane(sends, offsetof(weft_lane, count), 1 << 20, "do not follow those of the lane before");
    lane(reduces, offsetof(weft_lane, peer), 1, "the reduce lane of rank 0 has a peer");
    lane(reduces, offsetof(weft_lane, match), 1, "the reduce lane of rank 0 has a peer");
    lane(sends, offsetof(weft_lane, peer), -1, "a send-F lane of rank 0 has rank -1 as its peer");
    lane(sends, offsetof(weft_lane, peer), 2, "a send-F lane of rank 0 has rank 2 as its peer");
    lane(sends, offsetof(weft_lane, peer), 0, "a send-F lane of rank 0 has rank 0 as its peer");
    lane(sends, offsetof(weft_lane, match), 1, "has no match among the lanes of rank 1");
    lane(sends, offsetof(weft_lane, match), 1 << 20, "has no match among the lanes of rank 1");
    lane(sends, offsetof(weft_lane, kind), WEFT_PROGRAM_SEND_B, "cannot be told apart");
    lane(sends, offsetof(weft_lane, tag), 77, "the send-F lane of rank 0 and its match on rank 1 do not fit");
}

static weft_lane *lane_of(const weft_program *program, int32_t rank, weft_lane_kind kind)
{
    weft_lane *row = &program->lanes[program->rank_lanes[rank]];
    while (row->kind != kind) row++;
    return row;
}

/* Lanes that match each other but are no two ends of one thing. */
static void test_matches(void **state)
{
    (void)state;
    weft_program *program = make();
    weft_lane *forward = lane_of(program, 0, WEFT_PROGRAM_SEND_F), *backward = lane_of(program, 0, WEFT_PROGRAM_SEND_B);
    weft_lane *ends[] = {&program->lanes[forward->match], &program->lanes[backward->match]};
    int32_t held = forward->match;
    forward->match = backward->match;
    backward->match = held;
    held = ends[0]->match;
    ends[0]->match = ends[1]->match;
    ends[1]->match = held;
    held = ends[0]->tag;
    ends[0]->tag = ends[1]->tag;
    ends[1]->tag = held;
    refused(program, "the send-F lane of rank 0 and its match on rank 1 do not fit");
    program = make();
    lane_of(program, 1, WEFT_PROGRAM_RECV_F)->match = program->rank_lanes[1] - 1;
    refused(program, "the send-F lane of rank 0 and its match on rank 1 do not fit");
    program = make();
    lane_of(program, 1, WEFT_PROGRAM_RECV_F)->peer = 1;
    refused(program, "the send-F lane of rank 0 and its match on rank 1 do not fit");
    program = make();
    program->lanes[program->rank_lanes[2] - 1].count--;
    refused(program, "some actions are on no lane");
    program = make();
    program->lanes[program->rank_lanes[2] - 1].count++;
    refused(program, "do not follow those of the lane before");
}

/* The first action of rank 0 as another one. */
static void action(weft_action other, const char *words)
{
    weft_program *program = make();
    program->actions[0] = other;
    refused(program, words);
}

static void test_actions(void **state)
{
    (void)state;
    action((weft_action){.kind = WEFT_ACTION_KINDS}, "action 0 of rank 0 is of no known kind");
    action((weft_action){.kind = WEFT_F, .stage = 4}, "rank 0 runs 4F0, but there are 4 stages");
    action((weft_action){.kind = WEFT_F, .microbatch = 2}, "rank 0 runs 0F2, but there are 2 micro-batches");
    action((weft_action){.kind = WEFT_UPDATE, .stage = 4}, "rank 0 runs 4UPDATE, but there are 4 stages");
    action((weft_action){.kind = WEFT_UPDATE, .microbatch = 1},
           "runs 0UPDATE of stage 0, micro-batch 1, which the kind");
    action((weft_action){.kind = WEFT_NORM, .stage = 9},
           "rank 0 runs NORM of stage 9, micro-batch 0, which the kind has");
    action((weft_action){.kind = WEFT_F, .paired = 1}, "rank 0 has 0F0 as half of a pair that cannot overlap");
    weft_program *program = make();
    uint32_t first = program->lanes[0].first;
    program->actions[first + 1].paired = 1; /* two forward passes */
    refused(program, "as half of a pair that cannot overlap");
    program = make();
    program->actions[lane_of(program, 0, WEFT_PROGRAM_SEND_F)->first + 1].paired = 1;
    refused(program, "as half of a pair that cannot overlap");
    program = make();
    program->after[program->after_first[lane_of(program, 0, WEFT_PROGRAM_SEND_F)->first]] =
        lane_of(program, 1, WEFT_PROGRAM_COMPUTE)->first;
    refused(program, "0SEND_F0 waits for an action that is not on its rank 0");
    program = make();
    weft_lane *sends = lane_of(program, 0, WEFT_PROGRAM_SEND_F);
    program->after[program->after_first[sends->first]] = sends->first + 1;
    refused(program, "0SEND_F0 of rank 0 waits for an action of its own lane");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_lists),
                                       cmocka_unit_test(test_lanes), cmocka_unit_test(test_matches),
                                       cmocka_unit_test(test_actions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
