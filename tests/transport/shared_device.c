#include "shared_device.h"

#include "base/memory.h"

#include <pthread.h>

struct shared_device {
    weft_device *device;
    pthread_mutex_t mutex;
};

typedef struct handle {
    weft_device base;
    shared_device *shared;
} handle;

static weft_device *enter(weft_device *device)
{
    shared_device *shared = ((handle *)device)->shared;
    pthread_mutex_lock(&shared->mutex);
    return shared->device;
}

/* What went wrong on the device went wrong for all. */
static void leave(weft_device *device)
{
    shared_device *shared = ((handle *)device)->shared;
    if (device->error.status == WEFT_OK) device->error = shared->device->error;
    pthread_mutex_unlock(&shared->mutex);
}

/* The same call on the device that is shared. */
#define PASS_ON(operation, parameters, arguments)                                                                      \
    static void do_##operation parameters                                                                              \
    {                                                                                                                  \
        weft_device *to = enter(device);                                                                               \
        to->operations->operation arguments;                                                                           \
        leave(device);                                                                                                 \
    }
#define ANSWER(type, operation, parameters, arguments)                                                                 \
    static type do_##operation parameters                                                                              \
    {                                                                                                                  \
        weft_device *to = enter(device);                                                                               \
        type answer = to->operations->operation arguments;                                                             \
        leave(device);                                                                                                 \
        return answer;                                                                                                 \
    }
#define ON weft_device *device, weft_stream *stream

/* clang-format off */
ANSWER(weft_status, allocate, (weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error),
       (to, kind, bytes, out, error))
PASS_ON(release, (weft_device *device, void *memory), (to, memory))
ANSWER(weft_status, stream_create, (weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error),
       (to, kind, out, error))
PASS_ON(stream_destroy, (ON), (to, stream))
ANSWER(weft_status, stream_wait, (ON, weft_error *error), (to, stream, error))
ANSWER(weft_status, events_create, (weft_device *device, int32_t count, weft_event *out, weft_error *error),
       (to, count, out, error))
PASS_ON(events_destroy, (weft_device *device, int32_t count, weft_event *events), (to, count, events))
PASS_ON(event_record, (ON, weft_event *event), (to, stream, event))
PASS_ON(event_wait, (ON, const weft_event *event), (to, stream, event))
ANSWER(bool, event_done, (weft_device *device, const weft_event *event), (to, event))
ANSWER(int64_t, event_due, (weft_device *device, const weft_event *event), (to, event))
PASS_ON(copy_in, (ON, void *out, const void *pinned, size_t bytes), (to, stream, out, pinned, bytes))
PASS_ON(copy_out, (ON, void *pinned, const void *from, size_t bytes), (to, stream, pinned, from, bytes))
PASS_ON(copy, (ON, void *out, const void *from, size_t bytes), (to, stream, out, from, bytes))
PASS_ON(zero, (ON, void *memory, size_t bytes), (to, stream, memory, bytes))
ANSWER(weft_status, read, (weft_device *device, void *host, const void *from, size_t bytes, weft_error *error),
       (to, host, from, bytes, error))
PASS_ON(sum, (ON, weft_element element, int64_t count, int32_t parts, const void *const *from, void *out),
        (to, stream, element, count, parts, from, out))
/* clang-format on */

/* All have the same memory. */
static void do_copy_peer(ON, void *out, const weft_device *peer, const void *from, size_t bytes)
{
    if (((const handle *)peer)->shared == ((handle *)device)->shared) do_copy(device, stream, out, from, bytes);
}

static void destroy(weft_device *device)
{
    weft_free(device);
}

static const weft_device_operations operations = {
    .destroy = destroy,
    .allocate = do_allocate,
    .release = do_release,
    .stream_create = do_stream_create,
    .stream_destroy = do_stream_destroy,
    .stream_wait = do_stream_wait,
    .events_create = do_events_create,
    .events_destroy = do_events_destroy,
    .event_record = do_event_record,
    .event_wait = do_event_wait,
    .event_done = do_event_done,
    .event_due = do_event_due,
    .copy_in = do_copy_in,
    .copy_out = do_copy_out,
    .copy = do_copy,
    .copy_peer = do_copy_peer,
    .zero = do_zero,
    .read = do_read,
    .sum = do_sum,
};

weft_status shared_device_create(weft_element element, shared_device **out, weft_error *error)
{
    const weft_device_kind *kind = weft_device_kind_find("deferred");
    *out = NULL;
    if (!kind) FAIL(error, WEFT_INVALID, "this program has no deferred device");
    shared_device *shared = NULL;
    TRY(weft_allocate(1, sizeof *shared, &shared, error));
    weft_status status = kind->create(&(weft_device_options){.element = element, .threads = 1}, &shared->device, error);
    if (status != WEFT_OK) {
        weft_free(shared);
        return status;
    }
    pthread_mutex_init(&shared->mutex, NULL);
    *out = shared;
    return WEFT_OK;
}

void shared_device_destroy(shared_device *shared)
{
    if (!shared) return;
    shared->device->operations->destroy(shared->device);
    pthread_mutex_destroy(&shared->mutex);
    weft_free(shared);
}

weft_status shared_device_open(shared_device *shared, weft_device **out, weft_error *error)
{
    handle *h = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *h, &h, error));
    h->base = (weft_device){.operations = &operations, .element = shared->device->element, .threads = 1};
    h->shared = shared;
    *out = &h->base;
    return WEFT_OK;
}
