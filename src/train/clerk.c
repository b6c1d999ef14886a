#include "train/clerk.h"

#include "base/clock.h"

#include <pthread.h>
#include <time.h>

struct weft_clerk {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t turned; /* the work was given, or done, or there will be none any more */
    /* Guarded by mutex. */
    weft_clerk_work work; /* NULL: nothing to do */
    void *context;
    weft_error *error;
    weft_status status; /* of the last work */
    bool leaves;
};

static void *run(void *argument)
{
    weft_clerk *clerk = argument;
    pthread_mutex_lock(&clerk->mutex);
    while (!clerk->leaves) {
        if (!clerk->work) {
            pthread_cond_wait(&clerk->turned, &clerk->mutex);
            continue;
        }
        pthread_mutex_unlock(&clerk->mutex);
        weft_status status = clerk->work(clerk->context, clerk->error); /* the other thread only waits meanwhile */
        pthread_mutex_lock(&clerk->mutex);
        clerk->status = status;
        clerk->work = NULL;
        pthread_cond_signal(&clerk->turned);
    }
    pthread_mutex_unlock(&clerk->mutex);
    return NULL;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

weft_status weft_clerk_create(weft_clerk **out, weft_error *error)
{
    weft_clerk *clerk = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *clerk, &clerk, error));
    pthread_mutex_init(&clerk->mutex, NULL);
    init_condition(&clerk->turned);
    if (pthread_create(&clerk->thread, NULL, run, clerk) == 0) {
        *out = clerk;
        return WEFT_OK;
    }
    pthread_cond_destroy(&clerk->turned);
    pthread_mutex_destroy(&clerk->mutex);
    weft_free(clerk);
    FAIL(error, WEFT_FAILED, "cannot start a thread for work with files");
}

void weft_clerk_destroy(weft_clerk *clerk)
{
    if (!clerk) return;
    pthread_mutex_lock(&clerk->mutex);
    clerk->leaves = true;
    pthread_cond_signal(&clerk->turned);
    pthread_mutex_unlock(&clerk->mutex);
    pthread_join(clerk->thread, NULL);
    pthread_cond_destroy(&clerk->turned);
    pthread_mutex_destroy(&clerk->mutex);
    weft_free(clerk);
}

void weft_clerk_begin(weft_clerk *clerk, weft_clerk_work work, void *context, weft_error *error)
{
    pthread_mutex_lock(&clerk->mutex);
    clerk->work = work;
    clerk->context = context;
    clerk->error = error;
    pthread_cond_signal(&clerk->turned);
    pthread_mutex_unlock(&clerk->mutex);
}

bool weft_clerk_wait(weft_clerk *clerk, double seconds, weft_status *out_status)
{
    int64_t until = weft_clock_nanoseconds() + (int64_t)(seconds * 1e9);
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    int late = 0;
    pthread_mutex_lock(&clerk->mutex);
    while (clerk->work && late == 0) late = pthread_cond_timedwait(&clerk->turned, &clerk->mutex, &at);
    bool done = !clerk->work;
    *out_status = clerk->status;
    pthread_mutex_unlock(&clerk->mutex);
    return done;
}
