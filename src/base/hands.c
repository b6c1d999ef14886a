#include "base/hands.h"

#include "base/memory.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

int weft_thread_start(pthread_t *out, void *(*run)(void *argument), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(out, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

int weft_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores < INT_MAX ? (int)cores : INT_MAX;
}

typedef struct course {
    weft_hands_work work;
    void *context;
    size_t count;
    atomic_size_t next;
} course;

typedef struct hand {
    course *of;
    size_t number;
    pthread_t thread;
    size_t index; /* of the piece that failed, if status says so */
    weft_status status;
    weft_error error;
} hand;

static void *work(void *pointer)
{
    hand *self = pointer;
    course *of = self->of;
    for (size_t i; self->status == WEFT_OK && (i = atomic_fetch_add(&of->next, 1)) < of->count;) {
        self->index = i;
        self->status = of->work(of->context, self->number, i, &self->error);
    }
    if (self->status != WEFT_OK) atomic_store(&of->next, of->count);
    return NULL;
}

static weft_status first_failure(const hand *all, size_t hands, weft_error *error)
{
    const hand *first = NULL;
    for (size_t i = 0; i < hands; i++)
        if (all[i].status != WEFT_OK && (!first || all[i].index < first->index)) first = &all[i];
    if (!first) return WEFT_OK;
    if (error) *error = first->error;
    return first->status;
}

/* The others first, so that they begin while this thread works. */
static void run_all(hand *all, size_t hands)
{
    size_t started = 1;
    while (started < hands && weft_thread_start(&all[started].thread, work, &all[started]) == 0) started++;
    work(&all[0]);
    for (size_t i = 1; i < started; i++) pthread_join(all[i].thread, NULL);
}

weft_status weft_hands_run(size_t hands, size_t count, weft_hands_work does, void *context, weft_error *error)
{
    course of = {.work = does, .context = context, .count = count};
    hand *all = NULL;
    if (hands > count) hands = count;
    if (hands < 1) hands = 1;
    TRY(weft_allocate(hands, sizeof *all, &all, error));
    for (size_t i = 0; i < hands; i++) {
        all[i].of = &of;
        all[i].number = i;
        weft_error_clear(&all[i].error);
    }
    run_all(all, hands);
    weft_status status = first_failure(all, hands, error);
    weft_free(all);
    return status;
}
