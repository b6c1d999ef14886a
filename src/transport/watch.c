#include "transport/watch.h"

#include "base/clock.h"
#include "transport/common.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct weft_watch {
    double deadline;
    void (*late)(void *context);
    void *context;
    int over; /* an eventfd: what is written to it ends the watch */
    pthread_t thread;
};

static void *keep_watch(void *argument)
{
    weft_watch *watch = argument;
    struct pollfd over = {.fd = watch->over, .events = POLLIN};
    for (;;) {
        double left = watch->deadline - weft_clock_seconds();
        int changed = poll(&over, 1, left > 0 ? (int)(left * 1e3) + 1 : 0);
        if (changed > 0) return NULL;
        if (changed == 0 && left <= 0) break;
    }
    watch->late(watch->context);
    return NULL;
}

static weft_status start(weft_watch *watch, weft_error *error)
{
    watch->over = eventfd(0, EFD_CLOEXEC);
    if (watch->over < 0) FAIL(error, WEFT_FAILED, "cannot watch over MPI: %s", strerror(errno));
    int code = pthread_create(&watch->thread, NULL, keep_watch, watch);
    if (code == 0) return WEFT_OK;
    close(watch->over);
    FAIL(error, WEFT_FAILED, "cannot watch over MPI: no thread: %s", strerror(code));
}

weft_status weft_watch_start(double seconds, void (*late)(void *context), void *context, weft_watch **out,
                             weft_error *error)
{
    weft_watch *watch = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *watch, &watch, error));
    watch->deadline = weft_clock_seconds() + weft_transport_clamp(seconds);
    watch->late = late;
    watch->context = context;
    weft_status status = start(watch, error);
    if (status == WEFT_OK)
        *out = watch;
    else
        weft_free(watch);
    return status;
}

void weft_watch_end(weft_watch *watch)
{
    if (!watch) return;
    eventfd_write(watch->over, 1);
    pthread_join(watch->thread, NULL);
    close(watch->over);
    weft_free(watch);
}
