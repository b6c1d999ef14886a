/* Work by several hands: all of it is done once, and what fails is told as if one hand had done it in order. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "base/hands.h"

#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The linker puts this in front of pthread_create: threads that cannot be made, and how many have ended. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument);

enum { PIECES = 1000, HANDS = 5 };

typedef struct {
    void *(*main)(void *);
    void *argument;
} thread_call;

static int threads_left = INT32_MAX, made;
static thread_call calls[HANDS]; /* no run makes more threads */
static atomic_int ended;

static void *run_thread(void *pointer)
{
    const thread_call *self = pointer;
    void *result = self->main(self->argument);
    atomic_fetch_add(&ended, 1);
    return result;
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*main)(void *), void *argument)
{
    if (threads_left == 0) return EAGAIN;
    threads_left--;
    thread_call *next = &calls[made++ % HANDS];
    *next = (thread_call){main, argument};
    return __real_pthread_create(out, attributes, run_thread, next);
}

typedef struct {
    atomic_int done[PIECES], busy[HANDS];
    size_t hands;
    pthread_t asks;
} record;

static weft_status note(void *context, size_t hand, size_t index, weft_error *error)
{
    record *it = context;
    if (hand >= it->hands) FAIL(error, WEFT_FAILED, "there is no hand %zu", hand);
    if ((hand == 0) != (pthread_equal(pthread_self(), it->asks) != 0))
        FAIL(error, WEFT_FAILED, "hand %zu is another thread", hand);
    if (atomic_fetch_add(&it->busy[hand], 1) != 0) FAIL(error, WEFT_FAILED, "hand %zu does two pieces at once", hand);
    atomic_fetch_add(&it->done[index], 1);
    atomic_fetch_sub(&it->busy[hand], 1);
    return WEFT_OK;
}

static void test_all_is_done_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, HANDS - 1, HANDS, PIECES};
    weft_error error;
    for (size_t hands = 0; hands <= HANDS; hands++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (int threads = 0; threads <= HANDS; threads++) {
                record it = {.hands = hands ? hands : 1, .asks = pthread_self()};
                threads_left = threads; /* fewer do it, too */
                if (weft_hands_run(hands, counts[i], note, &it, &error) != WEFT_OK) fail_msg("%s", error.text);
                for (size_t k = 0; k < PIECES; k++) assert_int_equal(atomic_load(&it.done[k]), k < counts[i]);
            }
    threads_left = INT32_MAX;
}

static weft_status meet(void *context, size_t hand, size_t index, weft_error *error)
{
    (void)hand;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    pthread_barrier_wait(context);
    if (hand > 0 && !sigismember(&blocked, SIGTERM)) FAIL(error, WEFT_FAILED, "piece %zu would take a signal", index);
    return WEFT_OK;
}

/* Each waits for all others, and none of them takes signals. */
static void test_side_by_side(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    weft_error error;
    sigset_t blocked;
    pthread_barrier_init(&barrier, NULL, HANDS);
    assert_int_equal(weft_hands_run(HANDS, HANDS, meet, &barrier, &error), WEFT_OK);
    pthread_barrier_destroy(&barrier);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
}

typedef struct {
    size_t first, second; /* pieces that fail; the first one after the second has */
    atomic_bool failed;
    atomic_size_t last; /* that was begun */
} failure;

static weft_status fail_late(void *context, size_t hand, size_t index, weft_error *error)
{
    (void)hand;
    failure *it = context;
    size_t last = atomic_load(&it->last);
    while (index > last && !atomic_compare_exchange_weak(&it->last, &last, index)) continue;
    if (index == it->second) atomic_store(&it->failed, true);
    while (index == it->first && !atomic_load(&it->failed)) continue;
    if (index == it->first || index == it->second) FAIL(error, WEFT_FAILED, "piece %zu", index);
    return WEFT_OK;
}

static void test_the_first_failure_is_told(void **state)
{
    (void)state;
    weft_error error;
    for (size_t first = 0; first < 20; first++) {
        failure it = {.first = first, .second = first + 1};
        assert_int_equal(weft_hands_run(2, PIECES, fail_late, &it, &error), WEFT_FAILED);
        char words[32];
        snprintf(words, sizeof words, "piece %zu", first);
        assert_string_equal(error.text, words);
        assert_int_equal(atomic_load(&it.last), first + 1); /* nothing was begun after it */
        failure alone = {.first = PIECES, .second = first};
        assert_int_equal(weft_hands_run(1, PIECES, fail_late, &alone, NULL), WEFT_FAILED);
        assert_int_equal(atomic_load(&alone.last), first);
    }
}

/* The other hand goes on once the one that failed is gone. */
static weft_status fail_alone(void *context, size_t hand, size_t index, weft_error *error)
{
    atomic_int *begun = context;
    atomic_fetch_add(begun, 1);
    if (hand > 0) FAIL(error, WEFT_FAILED, "piece %zu", index);
    while (atomic_load(&ended) == 0) sched_yield();
    return WEFT_OK;
}

static void test_the_others_stop(void **state)
{
    (void)state;
    weft_error error;
    atomic_int begun = 0;
    atomic_store(&ended, 0);
    assert_int_equal(weft_hands_run(2, PIECES, fail_alone, &begun, &error), WEFT_FAILED);
    assert_in_range(atomic_load(&begun), 1, 2);
}

static weft_status run_some(void *context, weft_error *error)
{
    (void)context;
    record it = {.hands = HANDS, .asks = pthread_self()};
    return weft_hands_run(HANDS, PIECES, note, &it, error);
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(failing_each(run_some, NULL, FAILING_REPORTS), 1);
}

/* The machine's cores, not those that a launcher has left to this process. */
static void test_cores(void **state)
{
    (void)state;
    cpu_set_t own, one;
    int cores = weft_cores(), first = 0;
    assert_true(cores >= 1);
    assert_int_equal(sched_getaffinity(0, sizeof own, &own), 0);
    while (!CPU_ISSET(first, &own)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(weft_cores(), cores);
    assert_int_equal(sched_setaffinity(0, sizeof own, &own), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_done_once),
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_the_first_failure_is_told),
        cmocka_unit_test(test_the_others_stop),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
