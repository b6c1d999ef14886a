#include "device/cpu/pairs.h"

#include "base/memory.h"
#include "device/at_once.h"
#include "device/kinds.h"

#include <omp.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/* Bytes of a huge page of today's processors; memory of many such pages is asked for in them. */
static const size_t huge_page = (size_t)2 << 20;

enum {
    COPY_GRAIN = 1 << 18, /* bytes that are worth a thread */
    PIECE = 1 << 28,      /* bytes, short enough for others to be heard in between */
    SMALL_PAGE = 4096,    /* bytes: no page is smaller */
};

void weft_cpu_between(weft_device *device)
{
    weft_cpu *cpu = weft_cpu_of(device);
    if (device->between == NULL || cpu->in_between) return;
    cpu->in_between = true;
    device->between(device->between_context);
    cpu->in_between = false;
}

weft_cpu_span weft_cpu_part(int64_t total, int64_t grain)
{
    int64_t place = omp_get_thread_num(), team = omp_get_num_threads();
    int64_t grains = weft_cpu_divide_up(total, grain);
    int64_t begin = grains * place / team * grain, end = grains * (place + 1) / team * grain;
    return (weft_cpu_span){begin < total ? begin : total, end < total ? end : total};
}

static void divide(weft_device *device, int64_t count, int64_t grain, weft_device_work work, void *context)
{
#pragma omp parallel num_threads(weft_cpu_team(device, weft_cpu_divide_up(count, grain)))
    {
        weft_cpu_span part = weft_cpu_part(count, grain);
        if (part.begin < part.end) work(context, part.begin, part.end);
    }
    weft_cpu_between(device);
}

static void divide_memory(weft_device *device, void *memory, size_t bytes, size_t grain, weft_device_work work)
{
    for (size_t at = 0; at < bytes; at += PIECE) {
        const size_t left = bytes - at;
        divide(device, (int64_t)(left < PIECE ? left : PIECE), (int64_t)grain, work, (char *)memory + at);
    }
}

/* The system clears each page when it is touched first: a second for some gigabytes, and it is all that has to be done
 * to them. */
static void touch(void *memory, int64_t begin, int64_t end)
{
    for (int64_t at = begin; at < end; at += SMALL_PAGE) ((volatile char *)memory)[at] = 0;
}

static void clear(void *memory, int64_t begin, int64_t end)
{
    memset((char *)memory + begin, 0, (size_t)(end - begin));
}

/* Matrix products walk through gigabytes with long strides: in small pages they spend a fifth of their time on address
 * translation. The advice must come before the first write, so this does not go through weft_allocate. */
static weft_status allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error)
{
    (void)kind;
    if (bytes < 2 * huge_page) return weft_allocate(bytes, 1, out, error);
    *out = bytes > SIZE_MAX - huge_page ? NULL : aligned_alloc(huge_page, (bytes + huge_page - 1) & ~(huge_page - 1));
    if (*out == NULL) FAIL(error, WEFT_NO_MEMORY, "device cpu: out of memory: %zu bytes asked for", bytes);
#ifdef MADV_HUGEPAGE
    (void)madvise(*out, bytes, MADV_HUGEPAGE); /* advice only */
#endif
    divide_memory(device, *out, bytes, huge_page, touch);
    return WEFT_OK;
}

static void release(weft_device *device, void *memory)
{
    (void)device;
    weft_free(memory);
}

typedef struct copying {
    char *to;
    const char *from;
} copying;

static void copy_bytes(void *context, int64_t begin, int64_t end)
{
    const copying *it = context;
    memcpy(it->to + begin, it->from + begin, (size_t)(end - begin));
}

static void copy(weft_device *device, weft_stream *stream, void *to, const void *from, size_t bytes)
{
    (void)stream;
    copying it = {to, from};
    if (weft_cpu_begins(device)) divide(device, (int64_t)bytes, COPY_GRAIN, copy_bytes, &it);
}

static void zero(weft_device *device, weft_stream *stream, void *memory, size_t bytes)
{
    (void)stream;
    if (weft_cpu_begins(device)) divide_memory(device, memory, bytes, COPY_GRAIN, clear);
}

static void destroy(weft_device *device)
{
    if (device == NULL) return;
    weft_cpu *cpu = weft_cpu_of(device);
    weft_onednn_destroy(cpu->onednn);
    weft_free(cpu->losses);
    weft_free(cpu->rows);
    weft_free(cpu);
}

static const weft_device_operations operations = {
    .destroy = destroy,
    .allocate = allocate,
    .release = release,
    .copy = copy,
    .zero = zero,
    .divide = divide,
    WEFT_AT_ONCE_OPERATIONS,
    .embed_forward = weft_cpu_embed_forward,
    .embed_backward = weft_cpu_embed_backward,
    .norm_forward = weft_cpu_norm_forward,
    .norm_backward_input = weft_cpu_norm_backward_input,
    .norm_backward_weight = weft_cpu_norm_backward_weight,
    .linear_forward = weft_cpu_linear_forward,
    .linear_backward_input = weft_cpu_linear_backward_input,
    .linear_backward_weight = weft_cpu_linear_backward_weight,
    .activation_forward = weft_cpu_activation_forward,
    .activation_backward = weft_cpu_activation_backward,
    .rotary = weft_cpu_rotary,
    .attention_forward = weft_cpu_attention_forward,
    .attention_step = weft_cpu_attention_step,
    .attention_backward = weft_cpu_attention_backward,
    .add = weft_cpu_add,
    .sum = weft_cpu_sum,
    .round = weft_cpu_round,
    .cross_entropy = weft_cpu_cross_entropy,
    .loss_part = weft_cpu_loss_part,
    .loss_finish = weft_cpu_loss_finish,
    .square_sums = weft_cpu_square_sums,
    .place_sums = weft_cpu_place_sums,
    .norm_finish = weft_cpu_norm_finish,
    .judge = weft_cpu_judge,
    .adamw = weft_cpu_adamw,
};

static weft_status create(const weft_device_options *options, weft_device **out, weft_error *error)
{
    *out = NULL;
    if (options->threads < 1) {
        FAIL(error, WEFT_INVALID, "device cpu: threads is %d, must be at least 1", (int)options->threads);
    }
    weft_cpu *cpu = NULL;
    TRY(weft_allocate(1, sizeof *cpu, &cpu, error));
    cpu->base.operations = &operations;
    cpu->base.element = options->element;
    cpu->base.threads = options->threads;
    cpu->element_bytes = weft_element_bytes(options->element);
    cpu->loops = weft_cpu_loops_select(options->element);
    /* oneDNN starts a team of its own unless the calling thread is in an active team or may have only one thread; a
     * team of one is not active. Own loops name their team size. */
    omp_set_num_threads(1);
    weft_status status = weft_onednn_create(options->element, options->threads, &cpu->onednn, error);
    if (status != WEFT_OK) {
        destroy(&cpu->base);
        return status;
    }
    cpu->widens = weft_onednn_widens(options->element);
    cpu->packs = weft_onednn_packs(options->element);
    cpu->pairs = weft_pairs_find(options->element);
    *out = &cpu->base;
    return WEFT_OK;
}

const weft_device_kind weft_device_cpu = {
    .name = "cpu",
    .summary = "matrix products by oneDNN, vector loops for the rest, on the processor's cores",
    .host_reaches = true,
    .alignment = WEFT_ALIGNMENT,
    .sum_chunk = (size_t)1 << 17,
    .create = create,
    .linear_workspace = weft_cpu_linear_workspace,
    .attention_workspace = weft_cpu_attention_workspace,
    .measure_peak = weft_cpu_measure_peak,
};
