/* What simulation costs where programs are large, by counting: bytes held at once, and looks of the walk, an action. */
#include "../program/build.h"
#include "program/walk.h"
#include "simulate/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 64, RANKS = 64 };

/* What weft_allocate gave out and nobody gave back. */
static struct {
    void *piece[PIECES];
    size_t bytes[PIECES], held, most;
} heap;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *piece);
void __wrap_free(void *piece);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    void *piece = __real_aligned_alloc(alignment, size);
    for (int i = 0; i < PIECES && piece; i++) {
        if (heap.piece[i]) continue;
        heap.piece[i] = piece;
        heap.bytes[i] = size;
        heap.held += size;
        if (heap.held > heap.most) heap.most = heap.held;
        return piece;
    }
    abort();
}

void __wrap_free(void *piece)
{
    for (int i = 0; i < PIECES && piece; i++) {
        if (heap.piece[i] != piece) continue;
        heap.held -= heap.bytes[i];
        heap.piece[i] = NULL;
    }
    __real_free(piece);
}

static weft_schedule *create(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    weft_schedule_options options = {.kind = kind, .ranks = ranks, .loops = loops, .microbatches = microbatches};
    weft_schedule *schedule = NULL;
    weft_error error = {0};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) fail_msg("%s: %s", kind, error.text);
    return schedule;
}

static weft_program *lower(weft_schedule *schedule)
{
    weft_program *program = NULL;
    weft_error error = {0};
    if (weft_program_create(schedule, &(weft_lower_options){0}, &program, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    weft_schedule_destroy(schedule);
    return program;
}

static void simulate(const weft_program *program)
{
    static double times[8 * RANKS];
    for (int i = 0; i < 8 * RANKS; i++) times[i] = 1 + i % 3;
    weft_costs costs = {.forward = times, .backward_input = times, .backward_weight = times, .message = 0.5};
    weft_timeline timeline;
    weft_bubble_rank ranks[RANKS];
    weft_error error = {0};
    double step, bubble;
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &step, &bubble, ranks);
    weft_timeline_fini(&timeline);
}

/* Most bytes held an action, from the schedule to the bubble; the schedule goes when its program is there. */
static double bytes_an_action(const char *kind, int32_t ranks, int32_t loops, int32_t microbatches)
{
    heap.most = heap.held;
    size_t before = heap.held;
    weft_program *program = lower(create(kind, ranks, loops, microbatches));
    uint32_t actions = program->action_count;
    simulate(program);
    weft_program_destroy(program);
    assert_int_equal(heap.held, before);
    return (double)(heap.most - before) / actions;
}

/* Breadth-first over many loops is what the limit is stated for; its lanes and stages count too. */
static void test_bytes(void **state)
{
    (void)state;
    double small = bytes_an_action("breadth-first", 16, 8, 64), large = bytes_an_action("breadth-first", 64, 8, 256);
    if (small > 32 || large > 31) fail_msg("%.2f and %.2f bytes an action", small, large);
    assert_true(large < small);
    const char *const *names = weft_schedule_kind_names();
    for (int i = 0; names[i]; i++) {
        double bytes = bytes_an_action(names[i], 16, 0, 512);
        if (bytes > 31) fail_msg("%s: %.2f bytes an action", names[i], bytes);
    }
}

static double looks_an_action(const char *kind, int32_t ranks, int32_t microbatches, uint64_t *out_stretches)
{
    weft_program *program = lower(create(kind, ranks, 0, microbatches));
    weft_walk walk;
    weft_error error = {0};
    assert_int_equal(weft_walk_init(&walk, program, -1, &error), WEFT_OK);
    for (*out_stretches = 0; weft_walk_next(&walk); ++*out_stretches) continue;
    assert_true(walk.remaining == 0);
    double looks = (double)walk.looks / program->action_count;
    weft_walk_fini(&walk);
    weft_program_destroy(program);
    return looks;
}

static void test_looks(void **state)
{
    (void)state;
    const char *const *names = weft_schedule_kind_names();
    uint64_t stretches;
    for (int i = 0; names[i]; i++)
        for (int32_t ranks = 4; ranks <= RANKS; ranks *= 4) {
            double looks = looks_an_action(names[i], ranks, 2 * RANKS, &stretches);
            if (looks > 2) fail_msg("%s, P %d: %.2f looks an action", names[i], ranks, looks);
        }
    /* All micro-batches of a stage go in one stretch each way, and so do their messages. */
    looks_an_action("breadth-first", RANKS, 2 * RANKS, &stretches);
    assert_true(stretches <= 4 * RANKS);
}

/* Sums beyond 32 bits end in one line, and nothing is read before. */
static void test_too_many(void **state)
{
    (void)state;
    int32_t home[] = {0};
    size_t first[] = {0, 0};
    weft_schedule schedule = {.ranks = 1, .stages = 1, .microbatches = 1 << 30, .stage_rank = home, .first = first};
    weft_program *program = NULL;
    weft_error error = {0};
    static const size_t counts[] = {UINT32_MAX / 3, UINT32_MAX - 1ul, 1ul << 32, (1ul << 62) + 1};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        first[1] = counts[i];
        assert_int_equal(weft_program_create(&schedule, &(weft_lower_options){0}, &program, &error), WEFT_INVALID);
        assert_non_null(strstr(error.text, "the program has more than 4294967293 actions"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_looks),
                                       cmocka_unit_test(test_too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
