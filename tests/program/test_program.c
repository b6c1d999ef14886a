/* Lowering: whatever is generated verifies and, run in any order, computes the right thing. */
#include "oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static weft_program *lower(const weft_schedule *schedule, const weft_lower_options *options)
{
    weft_error error = {0};
    weft_program *program = NULL;
    if (weft_program_create(schedule, options, &program, &error) != WEFT_OK)
        fail_msg("%s, P %d, S %d, M %d: %s", schedule->name, schedule->ranks, schedule->stages, schedule->microbatches,
                 error.text);
    return program;
}

static void check(const weft_schedule *schedule, dice *d)
{
    stage_sizes sizes;
    weft_error error = {0};
    build_sizes(d, schedule->stages, &sizes);
    weft_lower_options options = build_options(d, &sizes);
    weft_program *program = lower(schedule, &options);
    if (weft_program_verify(program, &error) != WEFT_OK) fail_msg("%s: %s", schedule->name, error.text);
    expectation expected = oracle_expect(program, &options);
    for (uint64_t seed = 0; seed < 4; seed++) {
        const char *complaint = oracle_run(program, &expected, d->state + seed);
        if (complaint) fail_msg("%s: %s", schedule->name, complaint);
    }
    weft_program_destroy(program);
}

static void test_kinds(void **state)
{
    (void)state;
    dice d = {1};
    for (int i = 0; i < 2000; i++) {
        weft_schedule *schedule = build_kind(&d);
        check(schedule, &d);
        weft_schedule_destroy(schedule);
    }
}

static void test_random_orders(void **state)
{
    (void)state;
    dice d = {2};
    for (int i = 0; i < 3000; i++) {
        weft_schedule *schedule = build_random(&d);
        check(schedule, &d);
        weft_schedule_destroy(schedule);
    }
}

/* A file with messages is executed as written: lanes keep its order, and the same program comes out of a file that
 * writes what lowering would have put in. */
static void test_messages_as_written(void **state)
{
    (void)state;
    dice d = {3};
    for (int i = 0; i < 500; i++) {
        weft_schedule *schedule = build_kind(&d), *written = build_with_messages(schedule);
        weft_lower_options options = {.update = true, .clip = true};
        weft_program *first = lower(schedule, &options), *second = lower(written, &options);
        weft_text a, b;
        weft_text_init(&a);
        weft_text_init(&b);
        weft_program_print(first, &a);
        weft_program_print(second, &b);
        assert_string_equal(weft_text_get(&a), weft_text_get(&b));
        weft_text_fini(&a);
        weft_text_fini(&b);
        weft_program_destroy(first);
        weft_program_destroy(second);
        check(written, &d);
        weft_schedule_destroy(schedule);
        weft_schedule_destroy(written);
    }
}

static weft_schedule *create(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches, bool forward_only)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = microbatches};
    weft_schedule *schedule = NULL, *forward = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    if (!forward_only) return schedule;
    if (weft_schedule_forward(schedule, &forward, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    weft_schedule_destroy(schedule);
    return forward;
}

/* Bytes by kind of the rank's buffers, with 64 bytes a message, 1024 a stash. */
static void memory(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches, bool forward_only,
                   int32_t rank, size_t bytes[WEFT_SLOT_KINDS])
{
    size_t input[64], stash[64], work[64];
    for (int i = 0; i < 64; i++) {
        input[i] = i ? 64 : 0;
        stash[i] = 1024;
        work[i] = 0;
    }
    weft_slot_sizes view = {input, stash, work};
    weft_schedule *schedule = create(kind, ranks, loops, microbatches, forward_only);
    weft_program *program = lower(schedule, &(weft_lower_options){.update = true, .sizes = &view});
    weft_program_memory(program, rank, bytes);
    size_t sum = 0;
    for (int k = 0; k < WEFT_SLOT_KINDS; k++) sum += bytes[k];
    assert_int_equal(sum, program->arena_bytes[rank]);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* What is kept for the backward pass is what the schedule holds, no more. */
static void test_memory(void **state)
{
    (void)state;
    size_t bytes[WEFT_SLOT_KINDS];
    for (int32_t rank = 0; rank < 4; rank++) {
        memory("gpipe", 4, 1, 16, false, rank, bytes);
        assert_int_equal(bytes[WEFT_SLOT_STASH], 16 * 1024);
        memory("1f1b", 4, 1, 16, false, rank, bytes);
        assert_int_equal(bytes[WEFT_SLOT_STASH], (size_t)(4 - rank) * 1024);
        memory("breadth-first", 4, 3, 16, false, rank, bytes);
        assert_int_equal(bytes[WEFT_SLOT_STASH], 3 * 16 * 1024);
        memory("gpipe", 4, 1, 64, true, rank, bytes);
        assert_int_equal(bytes[WEFT_SLOT_STASH], 1024);
        assert_true(bytes[WEFT_SLOT_INPUT] + bytes[WEFT_SLOT_OUTPUT] <= 6 * 64);
    }
    /* Forward, breadth first, P = 2, 2 loops: rank 0 takes M - P + 1 arrivals while it is still in its first loop. */
    memory("breadth-first", 2, 2, 16, true, 0, bytes);
    assert_true(bytes[WEFT_SLOT_INPUT] + bytes[WEFT_SLOT_OUTPUT] >= (16 - 2 + 1) * 64);
}

/* The end of a step by the design: REDUCE_TIED, NORM, METRICS on the reduce lane; UPDATEs wait as they must. */
static void test_end_of_step(void **state)
{
    (void)state;
    weft_schedule *schedule = create("gpipe", 2, 1, 1, false);
    weft_program *program = lower(
        schedule, &(weft_lower_options){.update = true, .norm = true, .clip = true, .tied = true, .metrics = true});
    weft_text text;
    weft_text_init(&text);
    weft_program_print(program, &text);
    assert_string_equal(weft_text_get(&text), "0 compute 0F0\n"
                                              "0 compute 0B0 after 0RECV_B0\n"
                                              "0 compute 0UPDATE after NORM\n"
                                              "0 send-F:1 0SEND_F0 after 0F0\n"
                                              "0 recv-B:1 0RECV_B0\n"
                                              "0 reduce REDUCE_TIED after 0B0\n"
                                              "0 reduce NORM\n"
                                              "0 reduce METRICS\n"
                                              "1 compute 1F0 after 1RECV_F0\n"
                                              "1 compute 1B0\n"
                                              "1 compute 1UPDATE after NORM\n"
                                              "1 recv-F:0 1RECV_F0\n"
                                              "1 send-B:0 1SEND_B0 after 1B0\n"
                                              "1 reduce REDUCE_TIED after 1B0\n"
                                              "1 reduce NORM\n"
                                              "1 reduce METRICS\n");
    weft_program_destroy(program);
    program = lower(schedule, &(weft_lower_options){.update = true, .norm = true, .tied = true});
    const weft_lane *compute = &program->lanes[0];
    uint32_t last = compute->first + compute->count - 1;
    assert_int_equal(program->actions[last].kind, WEFT_UPDATE);
    assert_int_equal(program->after_first[last + 1] - program->after_first[last], 1);
    assert_int_equal(program->actions[program->after[program->after_first[last]]].kind, WEFT_REDUCE_TIED);
    weft_program_destroy(program);
    program = lower(schedule, &(weft_lower_options){.update = true, .clip = true, .skip = true});
    text.length = 0;
    weft_program_print(program, &text);
    assert_non_null(strstr(weft_text_get(&text), "0 compute 0UPDATE after METRICS\n"));
    assert_non_null(strstr(weft_text_get(&text), "0 reduce NORM after 0B0\n0 reduce METRICS\n"));
    assert_non_null(strstr(weft_text_get(&text), "1 compute 1UPDATE after METRICS\n"));
    weft_program_destroy(program);
    weft_text_fini(&text);
    weft_schedule_destroy(schedule);
}

/* What overwrites and what adds, and where: two stages of a rank that share a buffer of each kind. */
static void test_effects(void **state)
{
    (void)state;
    weft_schedule *schedule = create("breadth-first", 1, 2, 2, false);
    weft_program *program = lower(
        schedule,
        &(weft_lower_options){.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 1, .gradient_buffers = 1});
    weft_text text;
    weft_text_init(&text);
    weft_program_print(program, &text);
    assert_string_equal(weft_text_get(&text), "0 compute 0F0 weights:0 after 0UNSHARD\n"
                                              "0 compute 0F1 weights:0\n"
                                              "0 compute 1F0 weights:0 after 1UNSHARD\n"
                                              "0 compute 1F1 weights:0\n"
                                              "0 compute 1B0 weights:0 gradients:0\n"
                                              "0 compute 1B1 adds weights:0 gradients:0\n"
                                              "0 compute 0B0 weights:0 gradients:0 after 0UNSHARD,1REDUCE_GRAD\n"
                                              "0 compute 0B1 adds weights:0 gradients:0\n"
                                              "0 reduce 1REDUCE_GRAD gradients:0 after 1B1\n"
                                              "0 reduce 0REDUCE_GRAD gradients:0 after 0B1\n"
                                              "0 gather 0UNSHARD weights:0\n"
                                              "0 gather 0RESHARD weights:0 after 0F1\n"
                                              "0 gather 1UNSHARD weights:0\n"
                                              "0 gather 1RESHARD weights:0 after 1B1\n"
                                              "0 gather 0UNSHARD weights:0\n"
                                              "0 gather 0RESHARD weights:0 after 0B1\n");
    weft_text_fini(&text);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* The stages of a lane's actions of one kind, in order. */
static void list_stages(const weft_program *program, int32_t rank, weft_lane_kind lane_kind, weft_action_kind kind,
                        char out[64])
{
    int used = 0;
    out[0] = 0;
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t a = lane->first; lane->kind == lane_kind && a < lane->first + lane->count; a++)
            if (program->actions[a].kind == kind)
                used += snprintf(out + used, 64 - (size_t)used, "%u ", (unsigned)program->actions[a].stage);
    }
}

/* The stage whose gradients are complete first is updated first, and gathered again first; those of a tied weight are
 * complete last. */
static void test_update_order(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        bool tied;
        const char *order[2]; /* by rank */
    } cases[] = {{"breadth-first", false, {"4 2 0 ", "5 3 1 "}},
                 {"breadth-first", true, {"4 2 0 ", "3 1 5 "}},
                 {"depth-first", true, {"4 2 0 ", "3 1 5 "}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_schedule *schedule = create(cases[i].kind, 2, 3, 4, false);
        weft_program *program = lower(
            schedule,
            &(weft_lower_options){.update = true, .tied = cases[i].tied, .data = 2, .shard = WEFT_SHARD_OPTIMIZER});
        for (int32_t rank = 0; rank < 2; rank++) {
            char updates[64], gathers[64];
            list_stages(program, rank, WEFT_PROGRAM_COMPUTE, WEFT_UPDATE, updates);
            list_stages(program, rank, WEFT_PROGRAM_GATHER, WEFT_UNSHARD, gathers);
            assert_string_equal(updates, cases[i].order[rank]);
            assert_string_equal(gathers, cases[i].order[rank]);
        }
        weft_program_destroy(program);
        weft_schedule_destroy(schedule);
    }
}

/* What cannot be executed is refused with the action that is missing or in the way. */
static void refuse(weft_schedule *schedule, const char *words)
{
    weft_program *program = NULL;
    weft_error error = {0};
    assert_int_equal(weft_program_create(schedule, &(weft_lower_options){0}, &program, &error), WEFT_INVALID);
    assert_null(program);
    if (!strstr(error.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, error.text);
}

static void test_refusals(void **state)
{
    (void)state;
    weft_schedule *schedule = create("1f1b", 2, 1, 2, false);
    weft_action *actions = schedule->actions, held = actions[0];
    actions[0].microbatch = 1;
    refuse(schedule, "rank 0 runs 0F1 twice");
    actions[0].microbatch = 7;
    refuse(schedule, "rank 0 runs 0F7, but there are 2 micro-batches");
    actions[0] = (weft_action){.kind = WEFT_F, .stage = 1};
    refuse(schedule, "rank 0 runs 1F0, but stage 1 is on rank 1");
    actions[0] = (weft_action){.kind = WEFT_UPDATE};
    refuse(schedule, "rank 0 has 0UPDATE, which is not an action of a schedule");
    actions[0] = (weft_action){.kind = WEFT_UNSHARD};
    refuse(schedule, "rank 0 never runs 0F0");
    actions[0] = held;
    size_t first = schedule->first[1];
    actions[first] = (weft_action){.kind = WEFT_B, .stage = 1};
    actions[first + 1] = (weft_action){.kind = WEFT_F, .stage = 1};
    refuse(schedule, "rank 1 runs 1B0 before 1F0, which it needs");
    weft_schedule_destroy(schedule);
}

/* Costs that are no costs are refused before anything is shared by them. */
static void test_stage_costs(void **state)
{
    (void)state;
    static const size_t bytes[2] = {64, 64};
    static const weft_slot_sizes view = {bytes, bytes, bytes};
    const double wrong[] = {1, -1}, none[] = {0, 0};
    weft_schedule *schedule = create("gpipe", 2, 1, 3, false);
    weft_lower_options options = {.sizes = &view, .stage_cost = wrong};
    weft_program *program = NULL;
    weft_error error = {0};
    assert_int_equal(weft_program_create(schedule, &options, &program, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "the cost of stage 1"));
    options.stage_cost = none;
    assert_int_equal(weft_program_create(schedule, &options, &program, &error), WEFT_OK);
    assert_int_equal(weft_program_verify(program, &error), WEFT_OK);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

/* Rank 0 asks for the gradient of micro-batch 0 before it sends micro-batch 1, which rank 1 wants first. */
static void test_circle(void **state)
{
    (void)state;
    weft_action rows[] = {{WEFT_F, 0, 0, 0, 0}, {WEFT_B, 0, 0, 0, 0}, {WEFT_F, 0, 0, 0, 1}, {WEFT_B, 0, 0, 0, 1},
                          {WEFT_F, 0, 0, 1, 0}, {WEFT_F, 0, 0, 1, 1}, {WEFT_B, 0, 0, 1, 0}, {WEFT_B, 0, 0, 1, 1}};
    int32_t home[] = {0, 1};
    size_t first[] = {0, 4, 8};
    weft_schedule schedule = {.ranks = 2,
                              .loops = 1,
                              .stages = 2,
                              .microbatches = 2,
                              .name = "circle",
                              .stage_rank = home,
                              .first = first,
                              .actions = rows};
    refuse(&schedule, "it waits in a circle");
    refuse(&schedule, "rank 0 waits to run 0B0 because 0RECV_B0 is not done");
    refuse(&schedule, "rank 0 waits to run 0SEND_F1 because 0F1 is not done, which is behind 0B0 on its lane");
    refuse(&schedule, "rank 1 waits to run 1RECV_F1 because rank 0 has not come to 0SEND_F1");
    refuse(&schedule, "rank 1 waits to run 1F1 because 1RECV_F1 is not done");
    refuse(&schedule, "rank 1 waits to run 1SEND_B0 because 1B0 is not done, which is behind 1F1 on its lane");
}

/* Halves of pairs that cannot overlap: nothing before it, two of one micro-batch, three in a row. */
static void test_pairs(void **state)
{
    (void)state;
    weft_action rows[] = {{WEFT_F, 0, 0, 0, 0}, {WEFT_F, 0, 0, 0, 1}, {WEFT_B, 1, 0, 0, 0}, {WEFT_B, 0, 0, 0, 1}};
    int32_t home[] = {0};
    size_t first[] = {0, 4};
    weft_schedule schedule = {.ranks = 1,
                              .loops = 1,
                              .stages = 1,
                              .microbatches = 2,
                              .name = "pairs",
                              .stage_rank = home,
                              .first = first,
                              .actions = rows};
    weft_program *program = NULL;
    weft_error error;
    assert_int_equal(weft_program_create(&schedule, &(weft_lower_options){0}, &program, &error), WEFT_OK);
    for (int i = 0; i < 4; i++) {
        bool was = program->actions[i].paired;
        assert_int_equal(was, i == 2);
        assert_int_equal(weft_program_verify(program, &error), WEFT_OK);
        program->actions[i].paired = !was;
        assert_int_equal(weft_program_verify(program, &error), was ? WEFT_OK : WEFT_INVALID);
        program->actions[i].paired = was;
        if (was) continue;
        rows[i].paired = true;
        refuse(&schedule, "as half of a pair that cannot overlap");
        rows[i].paired = false;
    }
    weft_program_destroy(program);
}

/* Both ends of a message, and all members of a collective, begin when the last one asked for it, unless they had ended
 * by then. */
static void test_messages_meet(void **state)
{
    (void)state;
    weft_schedule_options options = {.kind = "gpipe", .ranks = 2, .microbatches = 3};
    weft_schedule *schedule = NULL;
    weft_timeline timeline;
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    weft_program *program = lower(schedule, &(weft_lower_options){.norm = true});
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    uint32_t send = 0, norms = 0, norm[2] = {0};
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->actions[a].kind == WEFT_NORM) norm[norms++] = a;
    assert_int_equal(norms, 2);
    timeline.begin[norm[0]] = 14;
    timeline.begin[norm[1]] = 15;
    timeline.end[norm[0]] = timeline.end[norm[1]] = 16;
    for (int32_t l = 0; l < program->rank_lanes[2]; l++)
        if (program->lanes[l].kind == WEFT_PROGRAM_SEND_F) send = (uint32_t)l;
    uint32_t s = program->lanes[send].first, r = program->lanes[program->lanes[send].match].first;
    static const double asked[3][4] = {{1, 4, 0, 4.5}, {7, 8, 5, 8}, {9, 10, 11, 12}}; /* send, then receive */
    for (uint32_t k = 0; k < 3; k++) {
        timeline.begin[s + k] = asked[k][0];
        timeline.end[s + k] = asked[k][1];
        timeline.begin[r + k] = asked[k][2];
        timeline.end[r + k] = asked[k][3];
    }
    weft_timeline_meet(&timeline);
    assert_true(timeline.begin[norm[0]] == 15 && timeline.begin[norm[1]] == 15);
    assert_true(timeline.begin[s] == 1 && timeline.begin[r] == 1);
    assert_true(timeline.begin[s + 1] == 7 && timeline.begin[r + 1] == 7);
    assert_true(timeline.begin[s + 2] == 9 && timeline.begin[r + 2] == 11); /* sent before it was asked for */
    for (uint32_t k = 0; k < 3; k++)
        assert_true(timeline.end[s + k] == asked[k][1] && timeline.end[r + k] == asked[k][3]);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_random_orders),
        cmocka_unit_test(test_messages_as_written),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_end_of_step),
        cmocka_unit_test(test_effects),
        cmocka_unit_test(test_update_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_circle),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_stage_costs),
        cmocka_unit_test(test_messages_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
