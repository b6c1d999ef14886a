/* The deferred device catches what it is there to catch: each misuse shows under some order, and what is right never
 * does. */
#include "deferred.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEDS = 20, COUNT = 8 };

/* A device with two streams, two events, two device blocks and two pinned ones of COUNT floats. */
typedef struct bench {
    weft_device *device;
    const weft_device_operations *does;
    weft_stream *first, *second;
    weft_event events[2];
    float *x, *y, *pinned, *back;
} bench;

static void *take(weft_device *device, weft_memory_kind kind)
{
    void *memory = NULL;
    assert_int_equal(device->operations->allocate(device, kind, COUNT * sizeof(float), &memory, NULL), WEFT_OK);
    return memory;
}

static void set(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void start(bench *b)
{
    const weft_device_options options = {.element = WEFT_FP32, .threads = 1};
    assert_int_equal(weft_device_kind_find("deferred")->create(&options, &b->device, NULL), WEFT_OK);
    b->does = b->device->operations;
    assert_int_equal(b->does->stream_create(b->device, WEFT_STREAM_COMPUTE, &b->first, NULL), WEFT_OK);
    assert_int_equal(b->does->stream_create(b->device, WEFT_STREAM_TRANSFER, &b->second, NULL), WEFT_OK);
    assert_int_equal(b->does->events_create(b->device, 2, b->events, NULL), WEFT_OK);
    b->x = take(b->device, WEFT_MEMORY_DEVICE);
    b->y = take(b->device, WEFT_MEMORY_DEVICE);
    b->pinned = take(b->device, WEFT_MEMORY_PINNED);
    b->back = take(b->device, WEFT_MEMORY_PINNED);
}

static void end(bench *b)
{
    b->does->events_destroy(b->device, 2, b->events);
    b->does->stream_destroy(b->device, b->first);
    b->does->stream_destroy(b->device, b->second);
    b->does->destroy(b->device);
}

static void fill(float *pinned, float value)
{
    for (int i = 0; i < COUNT; i++) pinned[i] = value;
}

static void wait_for(bench *b, const weft_event *event)
{
    while (!b->does->event_done(b->device, event)) continue;
}

/* In how many of the orders the work ends with all of `back` being `right`. Work that must not fail leaves no error. */
static int count_right(void (*work)(bench *b), float right, bool fails)
{
    int count = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        bench b = {0};
        set("WEFT_DEFERRED_SEED", seed);
        start(&b);
        fill(b.back, -1.0f);
        work(&b);
        assert_int_equal(weft_device_check(b.device, NULL) != WEFT_OK, fails);
        int same = 0;
        for (int i = 0; i < COUNT; i++) same += b.back[i] == right;
        count += same == COUNT;
        end(&b);
    }
    unsetenv("WEFT_DEFERRED_SEED");
    return count;
}

/* 3 comes in on the first stream and goes out, doubled, on the second. */
static void ordered(bench *b)
{
    fill(b->pinned, 3.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->event_record(b->device, b->first, &b->events[0]);
    b->does->event_wait(b->device, b->second, &b->events[0]);
    b->does->add(b->device, b->second, COUNT, b->x, b->x, b->y);
    b->does->copy_out(b->device, b->second, b->back, b->y, COUNT * sizeof(float));
    b->does->event_record(b->device, b->second, &b->events[1]);
    wait_for(b, &b->events[1]);
}

/* An event that was recorded on both streams in turn, of which either may come first, stands for the last. */
static void records_anew(bench *b)
{
    for (int i = 0; i < 100; i++) b->does->event_record(b->device, i % 2 == 0 ? b->first : b->second, &b->events[0]);
    ordered(b);
}

static void without_a_wait(bench *b)
{
    fill(b->pinned, 3.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->add(b->device, b->second, COUNT, b->x, b->x, b->y);
    b->does->copy_out(b->device, b->second, b->back, b->y, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->second, NULL), WEFT_OK);
}

/* The event is recorded after the wait for it was given: it is not waited for. */
static void waits_before_the_record(bench *b)
{
    fill(b->pinned, 3.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->event_wait(b->device, b->second, &b->events[0]);
    b->does->event_record(b->device, b->first, &b->events[0]);
    b->does->add(b->device, b->second, COUNT, b->x, b->x, b->y);
    b->does->copy_out(b->device, b->second, b->back, b->y, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->second, NULL), WEFT_OK);
}

/* What the second stream reads is overwritten by the first, with nothing between. */
static void overwrites_an_operand(bench *b)
{
    fill(b->pinned, 3.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->event_record(b->device, b->first, &b->events[0]);
    b->does->event_wait(b->device, b->second, &b->events[0]);
    b->does->add(b->device, b->second, COUNT, b->x, b->x, b->y);
    b->does->zero(b->device, b->first, b->x, COUNT * sizeof(float));
    b->does->copy_out(b->device, b->second, b->back, b->y, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->second, NULL), WEFT_OK);
}

static void reuses_pinned_memory(bench *b)
{
    fill(b->pinned, 6.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    fill(b->pinned, 7.0f);
    b->does->copy_out(b->device, b->first, b->back, b->x, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
}

static void fills_pinned_memory_late(bench *b)
{
    fill(b->pinned, 7.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    fill(b->pinned, 6.0f);
    b->does->copy_out(b->device, b->first, b->back, b->x, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
}

static void reads_too_early(bench *b)
{
    float early[COUNT];
    fill(b->pinned, 6.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->copy_out(b->device, b->first, b->back, b->x, COUNT * sizeof(float));
    memcpy(early, b->back, sizeof early);
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
    memcpy(b->back, early, sizeof early);
}

static void test_orders(void **state)
{
    (void)state;
    assert_int_equal(count_right(ordered, 6.0f, false), SEEDS);
    assert_int_equal(count_right(records_anew, 6.0f, false), SEEDS);
    static void (*const wrong[])(bench * b) = {without_a_wait,       waits_before_the_record,  overwrites_an_operand,
                                               reuses_pinned_memory, fills_pinned_memory_late, reads_too_early};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int right = count_right(wrong[i], 6.0f, false);
        if (right == 0 || right > SEEDS - 3) print_error("misuse %d: right in %d of %d orders\n", (int)i, right, SEEDS);
        assert_in_range(right, 1, SEEDS - 3);
    }
}

/* An event is not done before its work is, however often it is asked for. */
static void test_events_do_not_lie(void **state)
{
    (void)state;
    for (int seed = 1; seed < SEEDS; seed++) {
        bench b = {0};
        set("WEFT_DEFERRED_SEED", seed);
        start(&b);
        assert_true(b.does->event_done(b.device, &b.events[0]));
        for (int round = 0; round < 30; round++) {
            fill(b.pinned, (float)round);
            b.does->copy_in(b.device, b.first, b.x, b.pinned, COUNT * sizeof(float));
            for (int i = 0; i < 3; i++) b.does->add(b.device, b.second, COUNT, b.y, b.y, b.y);
            b.does->copy_out(b.device, b.first, b.back, b.x, COUNT * sizeof(float));
            b.does->event_record(b.device, b.first, &b.events[0]);
            int64_t asked = deferred_polls();
            wait_for(&b, &b.events[0]);
            assert_true(deferred_polls() > asked);
            assert_true(b.back[COUNT - 1] == (float)round);
        }
        end(&b);
    }
    unsetenv("WEFT_DEFERRED_SEED");
}

static void touch_device(bench *b)
{
    b->back[0] = *(volatile float *)b->x;
}

static void write_device(bench *b)
{
    *(volatile float *)b->x = 1.0f;
}

static void run_over_the_end(bench *b)
{
    b->does->zero(b->device, b->first, b->x, 2 * weft_device_deferred.alignment);
    (void)b->does->stream_wait(b->device, b->first, NULL);
}

static void touch_after_an_operation(bench *b)
{
    ordered(b);
    b->back[0] = *(volatile float *)b->y;
}

/* The signal that ends a process in which the work is done, or 0. */
static int signal_of(void (*work)(bench *b))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        bench b = {0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        start(&b);
        work(&b);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void test_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(signal_of(ordered), 0);
    static void (*const wrong[])(bench * b) = {touch_device, write_device, run_over_the_end, touch_after_an_operation};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_int_not_equal(signal_of(wrong[i]), 0);
}

static void released(bench *b)
{
    fill(b->pinned, 6.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
    b->does->copy_out(b->device, b->first, b->back, b->x, COUNT * sizeof(float));
    b->does->release(b->device, b->x);
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
}

static void released_before(bench *b)
{
    fill(b->pinned, 6.0f);
    b->does->copy_in(b->device, b->first, b->x, b->pinned, COUNT * sizeof(float));
    b->does->release(b->device, b->x);
    b->does->copy_out(b->device, b->first, b->back, b->x, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
    if (b->back[0] != b->back[0]) fill(b->back, 5.0f);
}

static void unwritten(bench *b)
{
    b->does->add(b->device, b->first, COUNT, b->x, b->y, b->y);
    b->does->copy_out(b->device, b->first, b->back, b->y, COUNT * sizeof(float));
    assert_int_equal(b->does->stream_wait(b->device, b->first, NULL), WEFT_OK);
    int bad = 0;
    for (int i = 0; i < COUNT; i++) bad += b->back[i] != b->back[i];
    if (bad == COUNT) fill(b->back, 5.0f);
}

static void test_no_memory_of_what_was(void **state)
{
    (void)state;
    assert_in_range(count_right(released, 6.0f, false), 1, SEEDS - 3);
    assert_in_range(count_right(released_before, 5.0f, false), 1, SEEDS);
    assert_int_equal(count_right(unwritten, 5.0f, false), SEEDS);
}

static void host_operand(bench *b)
{
    float local[COUNT] = {0};
    b->does->add(b->device, b->first, COUNT, local, b->x, b->y);
}

static void pinned_operand(bench *b)
{
    b->does->add(b->device, b->first, COUNT, b->pinned, b->x, b->y);
}

static void copy_from_the_stack(bench *b)
{
    float local[COUNT] = {0};
    b->does->copy_in(b->device, b->first, b->x, local, sizeof local);
}

static void unmade_event(bench *b)
{
    weft_event event = {0};
    b->does->event_record(b->device, b->first, &event);
}

static void test_foreign_operands(void **state)
{
    (void)state;
    static void (*const wrong[])(bench * b) = {host_operand, pinned_operand, copy_from_the_stack, unmade_event};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) count_right(wrong[i], 0.0f, true);
}

/* One wait between two streams and one of the host: 2 L, known ahead, and one poll each however long L is. */
static void test_delay(void **state)
{
    (void)state;
    enum { DELAY = 3000 };
    bench b = {0};
    set("WEFT_DEFERRED_DELAY", DELAY);
    start(&b);
    const int64_t began = weft_clock_nanoseconds(), asked = deferred_polls();
    fill(b.pinned, 3.0f);
    b.does->copy_in(b.device, b.first, b.x, b.pinned, COUNT * sizeof(float));
    b.does->event_record(b.device, b.first, &b.events[0]);
    b.does->event_wait(b.device, b.second, &b.events[0]);
    b.does->add(b.device, b.second, COUNT, b.x, b.x, b.y);
    b.does->copy_out(b.device, b.second, b.back, b.y, COUNT * sizeof(float));
    b.does->event_record(b.device, b.second, &b.events[1]);
    int waits = 0;
    while (!b.does->event_done(b.device, &b.events[1])) {
        int64_t due = b.does->event_due(b.device, &b.events[1]);
        assert_true(due < INT64_MAX);
        weft_clock_sleep((double)(due - weft_clock_nanoseconds()) * 1e-9);
        waits++;
    }
    assert_true(waits <= 2);
    assert_int_equal(deferred_polls() - asked, waits + 1);
    assert_true(b.back[0] == 6.0f);
    const int64_t first = b.does->event_time(b.device, &b.events[0]), last = b.does->event_time(b.device, &b.events[1]);
    assert_true(first >= began + DELAY * 1000 && last >= first + DELAY * 1000);
    unsetenv("WEFT_DEFERRED_DELAY");
    end(&b);
}

/* More work than a queue holds, and a wait for another stream at its head. */
static void test_full_queue(void **state)
{
    (void)state;
    for (int seed = 1; seed < 4; seed++) {
        bench b = {0};
        set("WEFT_DEFERRED_SEED", seed);
        start(&b);
        b.does->zero(b.device, b.second, b.x, COUNT * sizeof(float));
        b.does->event_record(b.device, b.second, &b.events[0]);
        b.does->event_wait(b.device, b.first, &b.events[0]);
        for (int i = 0; i < 5000; i++) b.does->copy(b.device, b.first, b.y, b.x, COUNT * sizeof(float));
        assert_int_equal(b.does->read(b.device, b.back, b.y, COUNT * sizeof(float), NULL), WEFT_OK);
        assert_true(b.back[3] == 0.0f);
        end(&b);
    }
    unsetenv("WEFT_DEFERRED_SEED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),           cmocka_unit_test(test_events_do_not_lie),
        cmocka_unit_test(test_out_of_reach),     cmocka_unit_test(test_no_memory_of_what_was),
        cmocka_unit_test(test_foreign_operands), cmocka_unit_test(test_delay),
        cmocka_unit_test(test_full_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
