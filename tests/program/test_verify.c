/* Verification: whatever brute force can break is refused, and wrongs that are always wrong are refused always. */
#include "mutate.h"
#include "oracle.h"
#include "program/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ORACLE_RUNS = 10 };

static weft_program *random_program(dice *d, expectation *expected)
{
    stage_sizes sizes;
    weft_schedule *schedule = dice_roll(d, 2) ? build_kind(d) : build_random(d);
    build_sizes(d, schedule->stages, &sizes);
    weft_lower_options options = build_options(d, &sizes);
    options.sizes = &sizes.view;
    weft_program *program = NULL;
    weft_error error = {0};
    if (weft_program_create(schedule, &options, &program, &error) != WEFT_OK) fail_msg("%s", error.text);
    *expected = oracle_expect(program, &options);
    weft_schedule_destroy(schedule);
    return program;
}

typedef struct tally {
    int tried, broken, refused;
} tally;

static void judge(const weft_program *program, const expectation *expected, uint64_t seed, const char *what, tally *out)
{
    weft_error error = {0};
    const char *complaint = NULL;
    bool refused = weft_program_verify(program, &error) == WEFT_INVALID;
    for (uint64_t run = 0; run < ORACLE_RUNS && !complaint && !refused; run++)
        complaint = oracle_run(program, expected, seed + run);
    if (complaint) fail_msg("%s was accepted, but: %s", what, complaint);
    if (refused) assert_true(error.text[0]);
    if (refused) complaint = oracle_run(program, expected, seed);
    out->tried++;
    out->refused += refused;
    out->broken += complaint != NULL;
}

/* Wrongs of one kind; returns how they fared. */
static tally wrongs(mutation kind, const char *name, int count)
{
    dice d = {77 + (uint64_t)kind};
    tally out = {0};
    for (int i = 0; i < count; i++) {
        expectation expected;
        weft_program *program = random_program(&d, &expected);
        for (int k = 0; k < 5; k++) {
            weft_program *wrong = mutate(program, kind, &d);
            if (wrong) judge(wrong, &expected, d.state, name, &out);
            weft_program_destroy(wrong);
        }
        weft_program_destroy(program);
    }
    return out;
}

/* These change what is computed, whatever the program. An update may be dropped unseen only where it is the only one.
 */
static void test_always_wrong(void **state)
{
    (void)state;
    tally stage = wrongs(MUTATE_STAGE, "another stage", 250);
    assert_int_equal(stage.refused, stage.tried);
    tally microbatch = wrongs(MUTATE_MICROBATCH, "another micro-batch", 250);
    assert_int_equal(microbatch.refused, microbatch.tried);
    tally twice = wrongs(MUTATE_DOUBLE, "an action twice", 250);
    assert_int_equal(twice.refused, twice.tried);
    tally messages = wrongs(MUTATE_MESSAGES, "messages out of order", 250);
    assert_int_equal(messages.refused, messages.tried);
    tally kinds = wrongs(MUTATE_KIND, "another kind", 250);
    assert_int_equal(kinds.refused, kinds.tried);
    tally overwrites = wrongs(MUTATE_OVERWRITE, "another overwrite", 250);
    assert_int_equal(overwrites.refused, overwrites.tried);
    assert_int_equal(overwrites.broken, overwrites.tried);
    tally pages = wrongs(MUTATE_PAGE, "another page", 500);
    assert_int_equal(pages.refused, pages.tried);
    assert_int_equal(pages.broken, pages.tried);
    assert_true(overwrites.tried > 500 && pages.tried > 300);
    assert_true(stage.broken && microbatch.broken && twice.broken && messages.broken && kinds.broken);
}

/* These may be harmless: a dependency that another implies, two slots that never meet. Brute force decides. */
static void test_sometimes_wrong(void **state)
{
    (void)state;
    static const struct {
        mutation kind;
        const char *name;
        bool harmless; /* some are: lowering leaves out every dependency that another implies */
    } rows[] = {{MUTATE_SWAP, "two actions swapped", true},
                {MUTATE_EDGE, "a dependency dropped", false},
                {MUTATE_MERGE, "two slots merged", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tally t = wrongs(rows[i].kind, rows[i].name, 400);
        assert_true(t.tried > 1000);
        assert_true(t.broken > 100);
        if (rows[i].harmless) assert_true(t.refused < t.tried);
    }
}

/* A missing action is called by its name; of gathers and reductions it is said what they leave undone. */
static void named(const weft_program *program, const weft_program *wrong, const weft_error *error)
{
    char name[WEFT_ACTION_TEXT], words[WEFT_ACTION_TEXT + 16];
    uint32_t lost = 0;
    while (lost < wrong->action_count &&
           memcmp(&program->actions[lost], &wrong->actions[lost], sizeof(weft_action)) == 0)
        lost++;
    weft_action action = program->actions[lost];
    if (action.kind == WEFT_UNSHARD || action.kind == WEFT_RESHARD || action.kind == WEFT_REDUCE_GRAD ||
        action.kind == WEFT_REDUCE_TENSOR)
        return;
    snprintf(words, sizeof words, "never runs %s", weft_action_text(action, name));
    if (!strstr(error->text, words)) fail_msg("\"%s\" is not in \"%s\"", words, error->text);
}

/* A dropped action is missed, but for the last of its kind at the end of the step: that program has other options. */
static void test_dropped(void **state)
{
    (void)state;
    dice d = {5};
    int tried = 0;
    for (int i = 0; i < 400; i++) {
        expectation expected;
        weft_error error = {0};
        weft_program *program = random_program(&d, &expected), *wrong = mutate(program, MUTATE_DROP, &d);
        uint32_t had[WEFT_ACTION_KINDS] = {0}, left[WEFT_ACTION_KINDS] = {0};
        for (uint32_t a = 0; a < program->action_count; a++) had[program->actions[a].kind]++;
        for (uint32_t a = 0; a < wrong->action_count; a++) left[wrong->actions[a].kind]++;
        bool counted = true;
        for (int kind = WEFT_REDUCE_TIED; kind < WEFT_ACTION_KINDS; kind++) counted &= !had[kind] || left[kind];
        assert_non_null(oracle_run(wrong, &expected, d.state));
        if (counted) assert_int_equal(weft_program_verify(wrong, &error), WEFT_INVALID);
        if (counted) named(program, wrong, &error);
        tried += counted;
        weft_program_destroy(wrong);
        weft_program_destroy(program);
    }
    assert_true(tried > 300);
}

/* Breadth-first, two micro-batches, over the ranks of a list. */
static weft_program *placed(const char *placement, int32_t ranks, const weft_lower_options *lower)
{
    weft_schedule_options options = {
        .kind = "breadth-first", .ranks = ranks, .placement = placement, .microbatches = 2};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_error error = {0};
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(schedule, lower, &program, &error), WEFT_OK);
    weft_schedule_destroy(schedule);
    return program;
}

static weft_program *small(bool sizes)
{
    static const size_t input[] = {0, 64, 64, 64}, stash[] = {64, 64, 64, 64}, work[4];
    static const weft_slot_sizes view = {input, stash, work};
    return placed("0,1,0,1", 2, &(weft_lower_options){.update = true, .clip = true, .sizes = sizes ? &view : NULL});
}

static void refused(weft_program *program, const char *words)
{
    weft_error error = {0};
    assert_int_equal(weft_program_verify(program, &error), WEFT_INVALID);
    if (!strstr(error.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, error.text);
    weft_program_destroy(program);
}

static void accepted(weft_program *program)
{
    weft_error error = {0};
    if (weft_program_verify(program, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_program_destroy(program);
}

static uint32_t find(const weft_program *program, weft_action_kind kind, uint32_t stage, uint32_t microbatch)
{
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->actions[a].kind == kind && program->actions[a].stage == stage &&
            program->actions[a].microbatch == microbatch)
            return a;
    fail_msg("no such action");
    return 0;
}

/* The first one of the stage, whatever its buffer. */
static uint32_t find_kind(const weft_program *program, weft_action_kind kind, uint32_t stage)
{
    uint32_t a = 0;
    while (program->actions[a].kind != (uint32_t)kind || program->actions[a].stage != stage) a++;
    return a;
}

/* Counter-examples say what is wrong in words. */
static void test_messages(void **state)
{
    (void)state;
    weft_program *program = small(false);
    uint32_t f = find(program, WEFT_F, 1, 0);
    program->after[program->after_first[f]] = find(program, WEFT_RECV_F, 3, 0);
    refused(program, "waits in a circle");
    program = small(false);
    f = find(program, WEFT_F, 1, 1);
    program->after[program->after_first[f]] = find(program, WEFT_RECV_F, 1, 0);
    refused(program, "on rank 1 nothing makes 1F1 wait for 1RECV_F1, which it needs");
    program = small(true);
    program->slots[(WEFT_SLOT_STASH * 4 + 2) * 2 + 1] = program->slots[(WEFT_SLOT_STASH * 4 + 2) * 2];
    refused(program,
            "has two tenants at once: 2F1 writes stash of stage 2, micro-batch 1, but nothing makes it wait for "
            "2B0, the last reader of stash of stage 2, micro-batch 0");
    program = small(true);
    program->slots[(WEFT_SLOT_WORK * 4 + 2) * 2] = program->slots[(WEFT_SLOT_STASH * 4 + 2) * 2];
    refused(program, "slots, but its actions write");
    program = small(true);
    program->buffers[1].offset = program->buffers[0].offset;
    refused(program, "overlap");
    program = small(false);
    program->actions[find(program, WEFT_F, 2, 1)].microbatch = 0;
    refused(program, "rank 0 runs 2F0 twice");
}

/* An UPDATE that may be skipped waits for what decides it, and not for half of that. */
static void test_skipping(void **state)
{
    (void)state;
    static const weft_lower_options lower = {.update = true, .clip = true, .skip = true};
    weft_program *program = placed("0,1,0,1", 2, &lower);
    uint32_t first = find(program, WEFT_UPDATE, 3, 0), *after = &program->after[program->after_first[first]];
    assert_int_equal(program->actions[*after].kind, WEFT_METRICS);
    *after = find(program, WEFT_RECV_F, 1, 0);
    refused(program, "on rank 1 nothing makes 3UPDATE wait for METRICS, which it needs");
    program = placed("0,1,0,1", 2, &lower);
    after = &program->after[program->after_first[first]];
    *after -= 1;
    assert_int_equal(program->actions[*after].kind, WEFT_NORM);
    refused(program, "on rank 1 nothing makes 3UPDATE wait for METRICS, which it needs");
}

/* What is on the wrong rank, lane or side is called that; nothing else complains of it first. */
static void test_places(void **state)
{
    (void)state;
    weft_program *program = small(false);
    program->actions[find(program, WEFT_F, 1, 0)].stage = 0;
    refused(program, "rank 1 runs 0F0, but stage 0 is on rank 0");
    program = small(false);
    program->actions[find(program, WEFT_SEND_F, 1, 0)].stage = 3;
    refused(program, "3SEND_F0 on rank 1 has no neighbouring stage to exchange with");
    program = small(false);
    program->actions[find(program, WEFT_RECV_F, 2, 0)].stage = 0;
    refused(program, "0RECV_F0 on rank 0 has no neighbouring stage to exchange with");
    program = placed("0,1,1,0", 2, &(weft_lower_options){0});
    program->actions[find(program, WEFT_SEND_F, 2, 0)].stage = 1;
    refused(program, "1SEND_F0 on rank 1: stages 1 and 2 share the rank and exchange no message");
    program = placed("0,1,2,1,0", 3, &(weft_lower_options){0});
    program->actions[find(program, WEFT_SEND_F, 1, 0)].stage = 3;
    refused(program, "3SEND_F0 on rank 1 is on the lane of rank 2, but stage 4 is on rank 0");
    program = small(false);
    program->actions[find(program, WEFT_B, 2, 1)].kind = WEFT_SEND_B;
    refused(program, "2SEND_B1 does not belong on the compute lane of rank 0");
    program = small(false);
    program->forward_only = true;
    refused(program, "does not belong in a forward program");
    program = placed("0,1", 2, &(weft_lower_options){.data = 2});
    program->data = 1;
    refused(program, "0REDUCE_GRAD on rank 0: sharded data parallelism is not part of a program of width one");
    program = small(false);
    program->microbatches = 1 << 29;
    refused(program, "cannot be 536870912 micro-batches through 4 stages");
}

/* Backward passes are whole or split; collectives have all their members and no others. */
static void test_completeness(void **state)
{
    (void)state;
    weft_program *program = small(false);
    weft_action *action = &program->actions[find(program, WEFT_B, 2, 1)];
    *action = (weft_action){.kind = WEFT_I, .stage = 2, .microbatch = 0};
    refused(program, "the backward pass is either whole or split in I and W");
    program = small(false);
    action = &program->actions[find(program, WEFT_B, 2, 1)];
    *action = (weft_action){.kind = WEFT_W, .stage = 2, .microbatch = 0};
    refused(program, "rank 0 runs both 2B0 and 2W0: B has the weight gradients in it already");
    program = placed("0,1,2", 3, &(weft_lower_options){.data = 2, .tied = true});
    program->actions[find(program, WEFT_REDUCE_GRAD, 1, 0)] = (weft_action){.kind = WEFT_REDUCE_TIED};
    refused(program, "rank 1 runs REDUCE_TIED but holds neither the first nor the last stage");
    program = placed("0,1", 2, &(weft_lower_options){.update = true});
    program->clip = true;
    refused(program, "gradients are to be clipped, but no rank runs NORM");
    program = placed("0,1", 2, &(weft_lower_options){.update = true, .metrics = true});
    program->skip = true;
    refused(program, "steps are to be skipped, but no rank runs NORM");
    program = placed("0,1", 2, &(weft_lower_options){.update = true, .norm = true});
    program->skip = true;
    refused(program, "steps are to be skipped, but no rank runs METRICS");
    program = placed("0,1", 2, &(weft_lower_options){0});
    program->clip = true; /* and nothing is updated */
    accepted(program);
}

/* Every action waits once more for what the first action of its lane that waits at all has waited for. */
static void repeat_waits(weft_program *p)
{
    uint32_t edges = p->after_first[p->action_count], next = 0, *first = NULL, *after = NULL;
    assert_int_equal(weft_allocate((size_t)p->action_count + 1, sizeof *first, &first, NULL), WEFT_OK);
    assert_int_equal(weft_allocate((size_t)edges + p->action_count, sizeof *after, &after, NULL), WEFT_OK);
    for (int32_t i = 0; i < p->rank_lanes[p->ranks]; i++) {
        uint32_t waited = WEFT_NO_ACTION;
        for (uint32_t a = p->lanes[i].first; a < p->lanes[i].first + p->lanes[i].count; a++) {
            first[a] = next;
            for (uint32_t k = p->after_first[a]; k < p->after_first[a + 1]; k++) after[next++] = p->after[k];
            if (waited != WEFT_NO_ACTION) after[next++] = waited;
            if (waited == WEFT_NO_ACTION && next > first[a]) waited = after[first[a]];
        }
    }
    first[p->action_count] = next;
    weft_free(p->after_first);
    weft_free(p->after);
    p->after_first = first;
    p->after = after;
}

/* What says the same in other words is accepted: waits that others imply, buffers in any order. */
static void test_right_all_the_same(void **state)
{
    (void)state;
    dice d = {31};
    for (int i = 0; i < 200; i++) {
        expectation expected;
        weft_program *program = random_program(&d, &expected);
        repeat_waits(program);
        accepted(program);
    }
    weft_program *program = small(true);
    weft_buffer *a = &program->buffers[0], *b = a + 1;
    assert_true(a->rank == b->rank && a->bytes == b->bytes);
    size_t held = a->offset;
    a->offset = b->offset;
    b->offset = held;
    accepted(program);
}

/* Gathers and reductions name buffers that there are, and leave no gradient out. */
static void test_sharding(void **state)
{
    (void)state;
    const char *list = "0,1,0,1";
    weft_program *program =
        placed(list, 2, &(weft_lower_options){.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 1});
    program->actions[find(program, WEFT_UNSHARD, 2, 0)].microbatch = 1;
    refused(program, "rank 0: 2UNSHARD is about buffer 1, but there are 1");
    program = placed(list, 2, &(weft_lower_options){.data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 2});
    uint32_t there = program->actions[find_kind(program, WEFT_UNSHARD, 2)].microbatch;
    program->actions[find_kind(program, WEFT_RESHARD, 2)].microbatch = !there;
    refused(program, there ? "rank 0 runs 2RESHARD of buffer 0, but the weights of stage 2 are in buffer 1"
                           : "rank 0 runs 2RESHARD of buffer 1, but the weights of stage 2 are in buffer 0");
    program = placed(list, 2, &(weft_lower_options){.data = 2, .shard = WEFT_SHARD_GRADIENTS, .gradient_buffers = 1});
    program->actions[find(program, WEFT_REDUCE_GRAD, 2, 0)].microbatch = 1;
    refused(program, "rank 0: 2REDUCE_GRAD is about buffer 1, but there are 1");
    program = placed(list, 2, &(weft_lower_options){.data = 2});
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->actions[a].kind == WEFT_REDUCE_GRAD && program->actions[a].stage == 2)
            program->actions[a].stage = 0;
    refused(program, "rank 0 never reduces the gradients of 2B0");
}

/* What overwrites, what adds, and in which buffer, in words. */
static void test_effects(void **state)
{
    (void)state;
    const weft_lower_options pages = {
        .data = 2, .shard = WEFT_SHARD_WEIGHTS, .weight_buffers = 1, .gradient_buffers = 1};
    weft_program *program = small(false);
    program->actions[find(program, WEFT_B, 2, 0)].overwrite = 0;
    refused(program, "rank 0: 2B0 adds to gradients that are not of this step, or were reduced: it is the first");
    program = small(false);
    program->actions[find(program, WEFT_B, 2, 1)].overwrite = 1;
    refused(program, "rank 0: 2B1 overwrites gradients of its stage that it has to add to");
    program = small(false);
    program->actions[find(program, WEFT_F, 2, 1)].overwrite = 1;
    refused(program, "rank 0 runs 2F1 of stage 2, micro-batch 1, which the kind has not");
    program = placed("0,1,0,1", 2, &pages);
    program->actions[find_kind(program, WEFT_REDUCE_GRAD, 2)].overwrite = 0;
    refused(program, "rank 0: 2REDUCE_GRAD adds to gradients that are not of this step, or were reduced");
    program = placed("0,1,0,1", 2, &pages);
    program->pages[find(program, WEFT_F, 2, 1)].weights = 1;
    refused(program, "rank 0 runs 2F1 with weights in buffer 1, but those of its stage are in buffer 0");
    program = placed("0,1,0,1", 2, &pages);
    program->pages[find(program, WEFT_B, 2, 1)].gradients = 1;
    refused(program, "rank 0 runs 2B1 with gradients in buffer 1, but those of its stage are in buffer 0");
    program = placed("0,1,0,1", 2, &pages);
    program->pages[find(program, WEFT_F, 2, 1)].gradients = 1;
    refused(program, "2F1 works in buffer 0 of weights and 1 of gradients, which the kind has not");
    program = placed("0,1,0,1", 2, &pages);
    weft_free(program->pages);
    program->pages = NULL;
    refused(program, "the program does not say where passes work");
}

/* Each REDUCE_GRAD has its REDUCE_TENSOR before it, and passes exchange only with others. */
static void test_tensor(void **state)
{
    (void)state;
    const weft_lower_options both = {.data = 2, .tensor = 2};
    weft_program *program = placed("0,1,0,1", 2, &both);
    weft_action *sum = &program->actions[find_kind(program, WEFT_REDUCE_TENSOR, 2)], held = sum[0];
    assert_int_equal(sum[1].kind, WEFT_REDUCE_GRAD);
    sum[0].kind = WEFT_REDUCE_GRAD;
    sum[0].overwrite = 1;
    sum[1] = held;
    refused(program, "rank 0 runs 2REDUCE_GRAD without REDUCE_TENSOR of the same gradients before it");
    program = placed("0,1,0,1", 2, &both);
    program->actions[find_kind(program, WEFT_REDUCE_GRAD, 2)] = held;
    refused(program, "rank 0 runs 2REDUCE_TENSOR twice for the same gradients");
    program = placed("0,1,0,1", 2, &both);
    program->tensor = 1;
    refused(program, "2REDUCE_TENSOR on rank 0: tensor parallelism is not part of a program of width one");
    program = placed("0,1,0,1", 2, &(weft_lower_options){0});
    assert_int_equal(weft_allocate(4 * WEFT_PASS_KINDS, sizeof *program->exchanges, &program->exchanges, NULL),
                     WEFT_OK);
    refused(program, "passes of the program exchange something, but workers divide none");
    program = placed("0,1,0,1", 2, &(weft_lower_options){.tensor = 2});
    assert_int_equal(weft_allocate(4 * WEFT_PASS_KINDS, sizeof *program->exchanges, &program->exchanges, NULL),
                     WEFT_OK);
    program->exchanges[3].bytes = 7;
    refused(program, "a pass cannot exchange 7 bytes in 0 exchanges");
}

/* The k-th message that is sent is the k-th that is received, of the same stage and of the same micro-batch. */
static void test_messages_that_differ(void **state)
{
    (void)state;
    weft_program *program = small(false);
    weft_action *a = &program->actions[find(program, WEFT_RECV_F, 1, 0)], held = *a;
    weft_action *b = &program->actions[find(program, WEFT_RECV_F, 3, 0)];
    *a = *b;
    *b = held;
    refused(program, "message 0 from rank 0 to rank 1: the sender runs 0SEND_F0, the receiver 3RECV_F0");
    program = small(false);
    a = &program->actions[find(program, WEFT_RECV_F, 1, 0)];
    b = &program->actions[find(program, WEFT_RECV_F, 1, 1)];
    a->microbatch = 1;
    b->microbatch = 0;
    refused(program, "message 0 from rank 0 to rank 1: the sender runs 0SEND_F0, the receiver 1RECV_F1");
}

/* Puts a lane without actions behind those of a rank. */
static void add_lane(weft_program *p, weft_lane lane)
{
    int32_t at = p->rank_lanes[lane.rank + 1], count = p->rank_lanes[p->ranks];
    weft_lane *lanes = NULL;
    assert_int_equal(weft_allocate((size_t)count + 1, sizeof *lanes, &lanes, NULL), WEFT_OK);
    for (int32_t i = 0; i < count; i++) {
        lanes[i + (i >= at)] = p->lanes[i];
        lanes[i + (i >= at)].match += p->lanes[i].match >= at;
    }
    lane.first = p->lanes[at - 1].first + p->lanes[at - 1].count;
    lanes[at] = lane;
    for (int32_t rank = lane.rank + 1; rank <= p->ranks; rank++) p->rank_lanes[rank]++;
    weft_free(p->lanes);
    p->lanes = lanes;
}

/* A second pair of lanes from rank 0 to rank 1, of one kind and tag, that match each other. */
static void add_messages(weft_program *p, weft_lane_kind send, weft_lane_kind receive, int32_t tag)
{
    add_lane(p, (weft_lane){.kind = send, .rank = 0, .peer = 1, .match = -1, .tag = tag});
    int32_t from = p->rank_lanes[1] - 1, to = p->rank_lanes[2];
    add_lane(p, (weft_lane){.kind = receive, .rank = 1, .peer = 0, .match = from, .tag = tag});
    p->lanes[from].match = to;
}

static weft_lane *lane_of(weft_program *p, int32_t rank, weft_lane_kind kind)
{
    for (int32_t i = p->rank_lanes[rank]; i < p->rank_lanes[rank + 1]; i++)
        if (p->lanes[i].kind == kind) return &p->lanes[i];
    fail_msg("no such lane");
    return NULL;
}

/* Messages of two lanes with one sender, receiver and tag would be taken for each other, and of two lanes of one kind a
 * reader finds one. */
static void test_lanes_that_look_alike(void **state)
{
    (void)state;
    weft_program *program = small(false);
    lane_of(program, 0, WEFT_PROGRAM_SEND_B)->tag = lane_of(program, 0, WEFT_PROGRAM_SEND_F)->tag;
    lane_of(program, 1, WEFT_PROGRAM_RECV_B)->tag = lane_of(program, 0, WEFT_PROGRAM_SEND_F)->tag;
    refused(program, "rank 0 has two lanes that cannot be told apart: send-F and send-B");
    program = small(false);
    lane_of(program, 1, WEFT_PROGRAM_SEND_B)->tag = lane_of(program, 1, WEFT_PROGRAM_SEND_F)->tag;
    lane_of(program, 0, WEFT_PROGRAM_RECV_B)->tag = lane_of(program, 1, WEFT_PROGRAM_SEND_F)->tag;
    refused(program, "rank 0 has two lanes that cannot be told apart: recv-F and recv-B");
    program = small(false);
    add_lane(program, (weft_lane){.kind = WEFT_PROGRAM_REDUCE, .rank = 1, .peer = -1, .match = -1});
    refused(program, "rank 1 has two lanes that cannot be told apart: reduce and reduce");
    program = small(false);
    add_messages(program, WEFT_PROGRAM_SEND_F, WEFT_PROGRAM_RECV_F, 77);
    refused(program, "rank 0 has two lanes that cannot be told apart: send-F and send-F");
}

/* Contents out of range, anywhere, are refused and read nothing that is not there (the sanitizers watch). */
static void test_hostile(void **state)
{
    (void)state;
    dice d = {9};
    int refusals = 0;
    for (int i = 0; i < 4000; i++) {
        weft_program *p = small(true);
        weft_error error = {0};
        mutate_number(p, &d);
        bool wrong = weft_program_verify(p, &error) != WEFT_OK;
        if (wrong) assert_true(error.text[0]);
        refusals += wrong;
        weft_program_destroy(p);
    }
    assert_true(refusals > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_always_wrong),
        cmocka_unit_test(test_sometimes_wrong),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_completeness),
        cmocka_unit_test(test_skipping),
        cmocka_unit_test(test_messages_that_differ),
        cmocka_unit_test(test_sharding),
        cmocka_unit_test(test_effects),
        cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_right_all_the_same),
        cmocka_unit_test(test_lanes_that_look_alike),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
