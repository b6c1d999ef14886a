#include "device/emulated/emulated.h"

#include "base/clock.h"
#include "base/memory.h"
#include "device/at_once.h"
#include "device/kinds.h"

#include <string.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

/* A lane: when it is free, and how much later what is recorded next is reached. */
struct weft_stream {
    int64_t free, latency;
};

static void destroy(weft_device *device)
{
    weft_free(device);
}

static weft_status allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error)
{
    (void)device;
    (void)kind;
    return weft_allocate(bytes, 1, out, error);
}

static void release(weft_device *device, void *memory)
{
    (void)device;
    weft_free(memory);
}

static void copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    (void)device;
    (void)stream;
    if (bytes > 0) memcpy(to, from, bytes);
}

static void zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes)
{
    (void)device;
    (void)stream;
    if (bytes > 0) memset(memory, 0, bytes);
}

static weft_status stream_create(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error)
{
    (void)device;
    (void)kind;
    return weft_allocate(1, sizeof **out, out, error);
}

static void stream_destroy(weft_device *device, weft_stream *stream)
{
    (void)device;
    weft_free(stream);
}

static void spend(weft_device *device, weft_stream *stream, int64_t since, int64_t nanoseconds, int64_t latency)
{
    (void)device;
    if (stream->free < since) stream->free = since;
    stream->free += nanoseconds;
    stream->latency = latency;
}

static void event_record(weft_device *device, weft_stream *stream, weft_event *event)
{
    (void)device;
    event->nanoseconds = weft_clock_nanoseconds();
    if (stream == NULL) return;
    event->nanoseconds = stream->free + stream->latency;
    stream->latency = 0;
}

static void event_wait(weft_device *device, weft_stream *stream, const weft_event *event)
{
    (void)device;
    if (stream != NULL && stream->free < event->nanoseconds) stream->free = event->nanoseconds;
}

static bool event_done(weft_device *device, const weft_event *event)
{
    (void)device;
    return weft_clock_nanoseconds() >= event->nanoseconds;
}

static const weft_device_operations operations = {
    .destroy = destroy,
    .allocate = allocate,
    .release = release,
    .copy = copy,
    .zero = zero,
    .memory = weft_at_once_memory,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .stream_wait = weft_at_once_stream_wait,
    .events_create = weft_at_once_events_create,
    .events_destroy = weft_at_once_events_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
    .event_done = event_done,
    .event_time = weft_at_once_event_time,
    .event_due = weft_at_once_event_time,
    .copy_in = weft_at_once_copy_in,
    .copy_out = weft_at_once_copy_out,
    .write = weft_at_once_write,
    .read = weft_at_once_read,
    .spend = spend,
    .embed_forward = emulated_embed_forward,
    .embed_backward = emulated_embed_backward,
    .norm_forward = emulated_norm_forward,
    .norm_backward_input = emulated_norm_backward_input,
    .norm_backward_weight = emulated_norm_backward_weight,
    .linear_forward = emulated_linear_forward,
    .linear_backward_input = emulated_linear_backward_input,
    .linear_backward_weight = emulated_linear_backward_weight,
    .activation_forward = emulated_activation_forward,
    .activation_backward = emulated_activation_backward,
    .rotary = emulated_rotary,
    .attention_forward = emulated_attention_forward,
    .attention_step = emulated_attention_step,
    .attention_backward = emulated_attention_backward,
    .add = emulated_add,
    .sum = emulated_sum,
    .round = emulated_round,
    .cross_entropy = emulated_cross_entropy,
    .loss_part = emulated_loss_part,
    .loss_finish = emulated_loss_finish,
    .square_sums = emulated_square_sums,
    .place_sums = emulated_place_sums,
    .norm_finish = emulated_norm_finish,
    .judge = emulated_judge,
    .adamw = emulated_adamw,
};

/* Linux lets a sleeping thread lie for another 50 us, to wake several at a time: at each message 1 % of an action of
 * 5 ms. */
static void wake_in_time(void)
{
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
}

static weft_status create(const weft_device_options *options, weft_device **out, weft_error *error)
{
    *out = NULL;
    if (options->threads < 1) {
        FAIL(error, WEFT_INVALID, "device emulated: threads is %d, must be at least 1", (int)options->threads);
    }
    TRY(weft_allocate(1, sizeof **out, out, error));
    **out = (weft_device){.operations = &operations, .element = options->element, .threads = options->threads};
    wake_in_time();
    return WEFT_OK;
}

static size_t linear_workspace(const weft_device_options *options, const weft_linear *linear)
{
    (void)options;
    (void)linear;
    return 0;
}

static size_t attention_workspace(const weft_device_options *options, const weft_attention *attention)
{
    (void)options;
    (void)attention;
    return 0;
}

const weft_device_kind weft_device_emulated = {
    .name = "emulated",
    .summary = "computes nothing and takes the time that a table of costs says",
    .computes_nothing = true,
    .host_reaches = true,
    .alignment = WEFT_ALIGNMENT,
    .sum_chunk = (size_t)1 << 17,
    .create = create,
    .linear_workspace = linear_workspace,
    .attention_workspace = attention_workspace,
};
