/*
 * Streams, events, and which item runs next. The item that was given before all others that are left can always run:
 * what it waits for was given before it. So nothing here can stand still.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "deferred_parts.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A test looks at it from outside all instances. */
static atomic_int_fast64_t polls;

int64_t deferred_polls(void)
{
    return atomic_load(&polls);
}

static uint64_t draw(deferred_device *deferred)
{
    return weft_random_bits(deferred->key, deferred->drawn++);
}

weft_status deferred_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error)
{
    (void)kind;
    deferred_device *deferred = deferred_of(device);
    TRY(weft_allocate(1, sizeof **out, out, error));
    (*out)->next = deferred->streams;
    (*out)->priority = draw(deferred);
    deferred->streams = *out;
    return WEFT_OK;
}

static weft_stream *stream_of(const deferred_device *deferred, weft_stream *stream)
{
    if (stream != NULL) return stream;
    for (stream = deferred->streams; stream->next != NULL;) stream = stream->next;
    return stream;
}

static deferred_item *item_at(weft_stream *stream, int64_t place)
{
    return &stream->items[place % DEFERRED_QUEUE];
}

static bool has_run(const deferred_event *event, int64_t turn)
{
    return turn <= event->ran || (event->early >> (turn - event->ran - 1) & 1) != 0;
}

static void mark_run(deferred_event *event, int64_t turn)
{
    event->early |= (uint64_t)1 << (turn - event->ran - 1);
    for (; (event->early & 1) != 0; event->early >>= 1) event->ran++;
}

/* When the first item that is left can run: now (0), later, or at a time that others decide (INT64_MAX). */
static int64_t head_due(weft_stream *stream)
{
    const deferred_item *head = item_at(stream, stream->begin);
    if (!head->waits) return 0;
    return has_run(head->event, head->turn) ? head->event->due : INT64_MAX;
}

static bool can_run(weft_stream *stream, int64_t now)
{
    return stream->begin < stream->end && head_due(stream) <= now;
}

/* When something here can run: 0 where something can, INT64_MAX where nothing is left. */
static int64_t next_due(const deferred_device *deferred, int64_t now)
{
    int64_t due = INT64_MAX;
    for (weft_stream *stream = deferred->streams; stream != NULL; stream = stream->next) {
        if (stream->begin == stream->end) continue;
        int64_t head = head_due(stream);
        if (head < due) due = head;
    }
    return due <= now ? 0 : due;
}

static bool goes_before(const deferred_device *deferred, weft_stream *a, weft_stream *b)
{
    if (deferred->in_order) return item_at(a, a->begin)->order < item_at(b, b->begin)->order;
    return a->priority > b->priority;
}

/* The stream with the highest priority; now and then a stream gets another. */
static weft_stream *choose(deferred_device *deferred)
{
    weft_stream *chosen = NULL;
    const int64_t now = deferred->delay > 0 ? weft_clock_nanoseconds() : INT64_MAX - 1;
    for (weft_stream *stream = deferred->streams; stream != NULL; stream = stream->next) {
        if (!can_run(stream, now)) continue;
        if (chosen == NULL || goes_before(deferred, stream, chosen)) chosen = stream;
    }
    if (chosen != NULL && !deferred->in_order && draw(deferred) % 8 == 0) chosen->priority = draw(deferred);
    return chosen;
}

/* False where nothing can run now. */
static bool run_one(deferred_device *deferred)
{
    weft_stream *stream = choose(deferred);
    if (stream == NULL) return false;
    deferred_item *item = item_at(stream, stream->begin);
    if (item->run != NULL) {
        item->run(deferred->reference, item);
    } else if (!item->waits) {
        mark_run(item->event, item->turn);
        item->event->due = stream->due = weft_clock_nanoseconds() + deferred->delay;
    }
    stream->begin++;
    return true;
}

static void run_some(deferred_device *deferred, int64_t count)
{
    while (count-- > 0 && run_one(deferred)) continue;
}

/* Nothing can run before then. */
static void sleep_until(int64_t due)
{
    int64_t left = due - weft_clock_nanoseconds();
    if (left > 0) weft_clock_sleep((double)left * 1e-9);
}

/* Until the stream has at most so many items left. */
static void run_down(deferred_device *deferred, const weft_stream *stream, int64_t left)
{
    while (stream->end - stream->begin > left) {
        if (!run_one(deferred)) sleep_until(next_due(deferred, weft_clock_nanoseconds()));
    }
}

void deferred_stream_destroy(weft_device *device, weft_stream *stream)
{
    deferred_device *deferred = deferred_of(device);
    if (stream == NULL) return;
    run_down(deferred, stream, 0);
    for (weft_stream **place = &deferred->streams; *place != NULL; place = &(*place)->next) {
        if (*place != stream) continue;
        *place = stream->next;
        weft_free(stream);
        return;
    }
}

void deferred_finish(deferred_device *deferred)
{
    for (weft_stream *stream = deferred->streams; stream != NULL; stream = stream->next) {
        run_down(deferred, stream, 0);
        sleep_until(stream->due);
    }
}

weft_status deferred_stream_wait(weft_device *device, weft_stream *stream, weft_error *error)
{
    deferred_device *deferred = deferred_of(device);
    stream = stream_of(deferred, stream);
    run_down(deferred, stream, 0);
    sleep_until(stream->due);
    return weft_device_check(device, error);
}

/* A device starts what it is given when it likes. */
static void after_giving(deferred_device *deferred)
{
    if (deferred->haste == DEFERRED_AT_ONCE) run_some(deferred, INT64_MAX);
    if (deferred->haste == DEFERRED_SOME && draw(deferred) % 4 == 0) run_some(deferred, (int64_t)(draw(deferred) % 8));
}

static void after_asking(deferred_device *deferred)
{
    run_some(deferred, deferred->haste == DEFERRED_AT_ONCE ? INT64_MAX : 1 + (int64_t)(draw(deferred) % 4));
}

/* As a device does whose queue is full, it waits for room. */
static void give(deferred_device *deferred, weft_stream *stream, const deferred_item *item)
{
    run_down(deferred, stream, DEFERRED_QUEUE - 1);
    deferred_item *place = item_at(stream, stream->end++);
    *place = *item;
    place->order = deferred->given++;
    after_giving(deferred);
}

static void call_between(deferred_device *deferred)
{
    if (deferred->base.between == NULL || deferred->in_between) return;
    deferred->in_between = true;
    deferred->base.between(deferred->base.between_context);
    deferred->in_between = false;
}

void deferred_put(weft_device *device, weft_stream *stream, const deferred_item *item, int pinned)
{
    deferred_device *deferred = deferred_of(device);
    if (device->error.status != WEFT_OK) return;
    deferred_item found = *item;
    for (int i = 0; i < DEFERRED_OPERANDS; i++) {
        if (item->operands[i] == NULL) continue;
        found.operands[i] =
            deferred_find(deferred, i == pinned ? WEFT_MEMORY_PINNED : WEFT_MEMORY_DEVICE, item->operands[i]);
        if (found.operands[i] != NULL) continue;
        (void)weft_fail(&device->error, WEFT_FAILED,
                        "device deferred: %s: its operand %d is not %s memory of this device", item->name, i,
                        i == pinned ? "pinned" : "device");
        return;
    }
    give(deferred, stream_of(deferred, stream), &found);
    call_between(deferred);
}

weft_status deferred_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error)
{
    (void)device;
    deferred_event *events = NULL;
    if (count == 0) return WEFT_OK;
    TRY(weft_allocate((size_t)count, sizeof *events, &events, error));
    for (int32_t i = 0; i < count; i++) out[i] = (weft_event){.handle = &events[i]};
    return WEFT_OK;
}

void deferred_events_destroy(weft_device *device, int32_t count, weft_event *events)
{
    deferred_finish(deferred_of(device));
    if (count > 0 && events != NULL) weft_free(events[0].handle);
}

static deferred_event *event_of(weft_device *device, const weft_event *event)
{
    if (event->handle == NULL)
        (void)weft_fail(&device->error, WEFT_FAILED, "device deferred: an event was not made by events_create");
    return event->handle;
}

void deferred_event_record(weft_device *device, weft_stream *stream, weft_event *event)
{
    deferred_event *of = event_of(device, event);
    if (of == NULL) return;
    if (of->given - of->ran >= DEFERRED_AHEAD) deferred_finish(deferred_of(device));
    const deferred_item item = {.event = of, .turn = ++of->given};
    give(deferred_of(device), stream_of(deferred_of(device), stream), &item);
}

void deferred_event_wait(weft_device *device, weft_stream *stream, const weft_event *event)
{
    deferred_event *of = event_of(device, event);
    if (of == NULL) return;
    const deferred_item item = {.event = of, .turn = of->given, .waits = true};
    give(deferred_of(device), stream_of(deferred_of(device), stream), &item);
}

bool deferred_event_done(weft_device *device, const weft_event *event)
{
    const deferred_event *of = event_of(device, event);
    atomic_fetch_add(&polls, 1);
    if (of == NULL) return true;
    after_asking(deferred_of(device));
    return has_run(of, of->given) && (deferred_of(device)->delay == 0 || weft_clock_nanoseconds() >= of->due);
}

int64_t deferred_event_time(weft_device *device, const weft_event *event)
{
    const deferred_event *of = event_of(device, event);
    return of == NULL ? 0 : of->due;
}

/* Where its work has not run, nothing can come of it before what holds up the streams is reached. */
int64_t deferred_event_due(weft_device *device, const weft_event *event)
{
    const deferred_event *of = event_of(device, event);
    if (of == NULL || has_run(of, of->given)) return of == NULL ? 0 : of->due;
    return next_due(deferred_of(device), weft_clock_nanoseconds());
}
