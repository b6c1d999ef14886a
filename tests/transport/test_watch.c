/* The watch over calls that may not return. */
#include "base/clock.h"
#include "transport/watch.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void post(void *context)
{
    sem_post(context);
}

static weft_watch *start(double seconds, sem_t *told)
{
    weft_watch *watch = NULL;
    weft_error error;
    assert_int_equal(sem_init(told, 0, 0), 0);
    assert_int_equal(weft_watch_start(seconds, post, told, &watch, &error), WEFT_OK);
    return watch;
}

static void test_tells_when_it_is_late(void **state)
{
    (void)state;
    sem_t told;
    double begin = weft_clock_seconds();
    weft_watch *watch = start(0.05, &told);
    while (sem_wait(&told) != 0) continue;
    assert_true(weft_clock_seconds() - begin >= 0.05);
    weft_watch_end(watch);
    sem_destroy(&told);
}

static void test_is_silent_once_it_has_ended(void **state)
{
    (void)state;
    sem_t told;
    int count = 0;
    weft_watch_end(start(1e9, &told));
    assert_int_equal(sem_getvalue(&told, &count), 0);
    assert_int_equal(count, 0);
    sem_destroy(&told);
    weft_watch_end(NULL);
}

/* MPI may start processes of its own, which have what this one has open. */
static void test_ends_though_a_child_lives_on(void **state)
{
    (void)state;
    sem_t told;
    int gate[2], status = 0;
    assert_int_equal(pipe(gate), 0);
    weft_watch *watch = start(1e9, &told);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    weft_watch_end(watch);
    close(gate[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(gate[0]);
    sem_destroy(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tells_when_it_is_late),
        cmocka_unit_test(test_is_silent_once_it_has_ended),
        cmocka_unit_test(test_ends_though_a_child_lives_on),
    };
    return cmocka_run_group_tests_name("transport watch", tests, NULL, NULL);
}
