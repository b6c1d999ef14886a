#include "transport/local/hub.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static weft_status copy_groups(weft_local_hub *hub, const weft_group *groups, int32_t group_count, weft_error *error)
{
    size_t total = 0;
    for (int32_t i = 0; i < group_count; i++) total += (size_t)groups[i].count;
    TRY(weft_allocate((size_t)group_count, sizeof *hub->groups, &hub->groups, error));
    TRY(weft_allocate(total, sizeof *hub->members, &hub->members, error));
    int32_t *members = hub->members;
    for (int32_t i = 0; i < group_count; i++) {
        hub->groups[i] = (weft_group){.members = members, .count = groups[i].count};
        memcpy(members, groups[i].members, (size_t)groups[i].count * sizeof *members);
        members += groups[i].count;
    }
    hub->group_count = group_count;
    return WEFT_OK;
}

static weft_status allocate_hub(weft_local_hub *hub, int32_t size, const weft_group *groups, int32_t group_count,
                                weft_error *error)
{
    size_t n = (size_t)size;
    TRY(copy_groups(hub, groups, group_count, error));
    TRY(weft_allocate(n * n, sizeof *hub->lists, &hub->lists, error));
    TRY(weft_allocate(n, sizeof *hub->arrived, &hub->arrived, error));
    return weft_allocate(n, sizeof *hub->boxes, &hub->boxes, error);
}

weft_status weft_local_hub_create(int32_t size, const weft_group *groups, int32_t group_count, weft_local_hub **out,
                                  weft_error *error)
{
    *out = NULL;
    if (size < 1) FAIL(error, WEFT_INVALID, "local transport: a world of %" PRId32 " workers", size);
    TRY(weft_transport_check_groups(size, groups, group_count, error));
    weft_local_hub *hub = NULL;
    TRY(weft_allocate(1, sizeof *hub, &hub, error));
    pthread_mutex_init(&hub->mutex, NULL);
    init_condition(&hub->opened);
    hub->stopped_by = -1;
    weft_status status = allocate_hub(hub, size, groups, group_count, error);
    if (status != WEFT_OK) {
        weft_local_hub_destroy(hub);
        return status;
    }
    hub->size = size; /* from here on the boxes are there to be destroyed */
    for (int32_t i = 0; i < size; i++) {
        weft_local_box *box = &hub->boxes[i];
        pthread_mutex_init(&box->mutex, NULL);
        init_condition(&box->moved);
        box->from = hub->lists + (size_t)i * (size_t)size;
        box->stopped_by = -1;
    }
    *out = hub;
    return WEFT_OK;
}

void weft_local_hub_destroy(weft_local_hub *hub)
{
    if (!hub) return;
    for (int32_t i = 0; i < hub->size; i++) {
        pthread_cond_destroy(&hub->boxes[i].moved);
        pthread_mutex_destroy(&hub->boxes[i].mutex);
    }
    pthread_cond_destroy(&hub->opened);
    pthread_mutex_destroy(&hub->mutex);
    weft_free(hub->boxes);
    weft_free(hub->arrived);
    weft_free(hub->lists);
    weft_free(hub->members);
    weft_free(hub->groups);
    weft_free(hub);
}

weft_local_box *weft_local_box_get(const weft_local *local)
{
    return &local->hub->boxes[local->base.rank];
}

bool weft_local_sleep(pthread_cond_t *condition, pthread_mutex_t *mutex, double deadline)
{
    double left = deadline - weft_clock_seconds();
    if (left <= 0) return false;
    int64_t until = weft_clock_nanoseconds() + (int64_t)(left * 1e9);
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    pthread_cond_timedwait(condition, mutex, &at);
    return true;
}

weft_status weft_local_check_stop(const weft_local *local, weft_error *error)
{
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    int32_t by = box->stopped_by;
    pthread_mutex_unlock(&box->mutex);
    if (by < 0) return WEFT_OK;
    if (by == local->hub->size) FAIL(error, WEFT_STOPPED, "the run was stopped: not every worker could start");
    char text[WEFT_TRANSPORT_REPORT];
    weft_local_box *other = &local->hub->boxes[by];
    pthread_mutex_lock(&other->mutex);
    memcpy(text, other->text, sizeof text);
    pthread_mutex_unlock(&other->mutex);
    return weft_transport_fail_stopped(by, text, error);
}

/* Every worker but `by` sees it; by may be the hub's size, for the hub itself. */
static void stop_others(weft_local_hub *hub, int32_t by)
{
    for (int32_t i = 0; i < hub->size; i++) {
        if (i == by) continue;
        weft_local_box *box = &hub->boxes[i];
        pthread_mutex_lock(&box->mutex);
        if (box->stopped_by < 0) box->stopped_by = by;
        pthread_cond_broadcast(&box->moved);
        pthread_mutex_unlock(&box->mutex);
    }
    pthread_mutex_lock(&hub->mutex);
    if (hub->stopped_by < 0) hub->stopped_by = by;
    pthread_cond_broadcast(&hub->opened);
    pthread_mutex_unlock(&hub->mutex);
}

void weft_local_stop(weft_transport *transport)
{
    stop_others(((weft_local *)transport)->hub, transport->rank);
}

void weft_local_hub_stop(weft_local_hub *hub)
{
    stop_others(hub, hub->size);
}

/* Takes the worker's arrival back, so that the barrier can be tried again. Called with the hub's mutex held. */
static weft_status leave_barrier(weft_local_hub *hub, int32_t rank, double timeout, weft_error *error)
{
    hub->arrived[rank] = false;
    hub->arrived_count--;
    int32_t missing = 0, first = -1;
    for (int32_t i = hub->size - 1; i >= 0; i--) {
        if (hub->arrived[i] || i == rank) continue;
        missing++;
        first = i;
    }
    FAIL(error, WEFT_TIMEOUT,
         "local transport: barrier: %" PRId32 " of %" PRId32 " workers did not arrive within %.1f s (first: worker "
         "%" PRId32 ")",
         missing, hub->size, timeout, first);
}

static weft_status await_barrier(weft_local_hub *hub, int32_t rank, double timeout, weft_error *error)
{
    uint64_t generation = hub->generation;
    double deadline = weft_clock_seconds() + weft_transport_clamp(timeout);
    hub->arrived[rank] = true;
    hub->arrived_count++;
    if (hub->arrived_count == hub->size) {
        memset(hub->arrived, 0, (size_t)hub->size * sizeof *hub->arrived);
        hub->arrived_count = 0;
        hub->generation++;
        pthread_cond_broadcast(&hub->opened);
    }
    bool in_time = true;
    while (hub->generation == generation && (hub->stopped_by < 0 || hub->stopped_by == rank) && in_time)
        in_time = weft_local_sleep(&hub->opened, &hub->mutex, deadline);
    if (hub->generation != generation) return WEFT_OK;
    return leave_barrier(hub, rank, timeout, error);
}

weft_status weft_local_barrier(weft_transport *transport, double timeout, weft_error *error)
{
    weft_local *local = (weft_local *)transport;
    TRY(weft_local_check_stop(local, error));
    pthread_mutex_lock(&local->hub->mutex);
    weft_status status = await_barrier(local->hub, transport->rank, timeout, error);
    pthread_mutex_unlock(&local->hub->mutex);
    if (status != WEFT_OK) TRY(weft_local_check_stop(local, error));
    return status;
}
