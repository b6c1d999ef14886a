/*
 * The deferred device's instance, shared by its files.
 *
 * Threads: the one that created it.
 */
#ifndef WEFT_TESTS_DEVICE_DEFERRED_PARTS_H
#define WEFT_TESTS_DEVICE_DEFERRED_PARTS_H

#include "base/random.h"
#include "deferred.h"

enum { DEFERRED_OPERANDS = 16, DEFERRED_NUMBERS = 5, DEFERRED_QUEUE = 2048, DEFERRED_DEVICES = 3 };
enum { DEFERRED_AHEAD = 64 }; /* records of one event that may be under way */

/* A block of memory: the host has it at address, operations find it at address + distance, where the host is not told
 * to look. Released blocks stay, so that nothing else comes to lie there. */
typedef struct deferred_block {
    struct deferred_block *next;
    char *address;
    ptrdiff_t distance;
    size_t bytes, mapped;
    void *mapping;
    weft_memory_kind kind;
    bool released;
} deferred_block;

/* What stands behind a weft_event: how often it was given to a stream, and how many of these in a row ran; when the
 * last was reached or will be. */
typedef struct deferred_event {
    int64_t given, ran, due;
    uint64_t early; /* bit i: the one with i between it and the last that ran in a row ran, on another stream */
} deferred_event;

/* Work, a record or a wait. Operands are addresses at which operations find them. */
typedef struct deferred_item {
    void (*run)(weft_device *reference, const struct deferred_item *item); /* NULL: a record or a wait */
    const char *name;
    deferred_event *event;
    bool waits;
    int64_t turn; /* of the event; of work, nothing */
    int64_t order;
    union {
        weft_embed embed;
        weft_linear linear;
        weft_attention attention;
        weft_norm norm;
        weft_activation activation;
        weft_rotary rotary;
        weft_loss loss;
    } shape;
    int64_t numbers[DEFERRED_NUMBERS];
    const void *operands[DEFERRED_OPERANDS];
} deferred_item;

struct weft_stream {
    struct weft_stream *next;
    int64_t begin, end; /* of the items that are left; places in the ring are these modulo its length */
    int64_t due;        /* when the last event recorded here is reached */
    uint64_t priority;
    deferred_item items[DEFERRED_QUEUE];
};

typedef enum deferred_haste { DEFERRED_AT_ONCE, DEFERRED_ASKED, DEFERRED_SOME } deferred_haste;

typedef struct deferred_device {
    weft_device base;
    weft_device *reference; /* does the work */
    weft_stream *streams;   /* the last is the one that NULL means */
    deferred_block *blocks;
    weft_random_key key;
    uint64_t drawn;
    int64_t given; /* items */
    int64_t delay; /* nanoseconds */
    bool in_order;
    deferred_haste haste;
    bool in_between;
} deferred_device;

static inline deferred_device *deferred_of(weft_device *device)
{
    return (deferred_device *)device;
}

/* deferred_memory.c */
weft_status deferred_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error);
void deferred_release(weft_device *device, void *memory);
void deferred_forget_blocks(deferred_device *deferred);
/* Where operations find it; NULL: it is not memory of this kind from this instance. */
void *deferred_find(const deferred_device *deferred, weft_memory_kind kind, const void *memory);

/* deferred_queue.c: streams and events, as device.h has them. */
weft_status deferred_stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error);
void deferred_stream_destroy(weft_device *device, weft_stream *stream);
weft_status deferred_stream_wait(weft_device *device, weft_stream *stream, weft_error *error);
weft_status deferred_events_create(weft_device *device, int32_t count, weft_event *out, weft_error *error);
void deferred_events_destroy(weft_device *device, int32_t count, weft_event *events);
void deferred_event_record(weft_device *device, weft_stream *stream, weft_event *event);
void deferred_event_wait(weft_device *device, weft_stream *stream, const weft_event *event);
bool deferred_event_done(weft_device *device, const weft_event *event);
int64_t deferred_event_time(weft_device *device, const weft_event *event);
int64_t deferred_event_due(weft_device *device, const weft_event *event);
/* Runs what all streams have been given, and waits until its events are reached. */
void deferred_finish(deferred_device *deferred);
/* Takes work whose operands are the caller's addresses, all in device memory but that at place `pinned`, if any. */
void deferred_put(weft_device *device, weft_stream *stream, const deferred_item *item, int pinned);

/* deferred.c */
void deferred_destroy(weft_device *device);
weft_status deferred_write(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error);
weft_status deferred_read(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error);

/* deferred_operations.c */
extern const weft_device_operations deferred_operations;

#endif
