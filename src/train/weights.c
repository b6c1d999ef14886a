/* What the weights of a worker begin with, from the seed, a checkpoint or other weights, a bounded range at a time. */
#include "base/hands.h"
#include "train/waiting.h"
#include "train/worker.h"

#include <string.h>

/* RANGE: elements that are made or read at once, by all hands together. GRAIN: of which a thread of the device makes a
 * part. */
enum { RANGE = 1 << 20, GRAIN = 1 << 13, MOST_HANDS = 16 };

/* Elements begin .. end - 1 of a parameter. */
typedef struct {
    weft_checkpoint_kind kind;
    int32_t p;
    int64_t begin, end;
} range;

/* Where values come from. */
typedef struct {
    weft_worker *worker;
    const weft_checkpoint *checkpoint; /* that is resumed, or NULL */
    const weft_weights *start;         /* else, or NULL; without either, initial values by the seed */
    bool side_by_side;                 /* by several hands, which reach the device's memory */
    size_t hands;
    int64_t most;      /* elements of a range */
    float *values;     /* (hands, most) host memory */
    uint16_t *rounded; /* (hands, most) the same as kernels read it */
    range *ranges;     /* (count) all that is to be filled */
    size_t count, capacity;
} source;

/* What others hear that this worker does. */
static const char *loading(const source *from)
{
    return from->start ? "the loading of weights" : "the loading of a checkpoint";
}

/* Under which name a checkpoint has it. */
static const weft_parameter *stored(const weft_job *job, int32_t p)
{
    return &job->parameters[job->parameters[p].tied ? job->tied_embedding : p];
}

/* A range that a hand fills. */
typedef struct {
    const source *from;
    range what;
    size_t hand;
    float *values; /* (end - begin) host memory: where they stay, or the hand's own */
} filling;

static weft_status read_piece(const filling *it, const weft_piece *piece, weft_error *error)
{
    const source *from = it->from;
    const weft_parameter *named = stored(from->worker->job, it->what.p);
    float *out = it->values + piece->at - it->what.begin;
    if (from->start) return weft_weights_read(from->start, named, piece->from, piece->rows, piece->columns, out, error);
    return weft_checkpoint_read(from->checkpoint, it->what.kind, named->name, named->dimensions, named->shape,
                                piece->from, piece->rows, piece->columns, out, error);
}

/* What pads a parameter is in no file. */
static weft_status read_pieces(void *context, weft_error *error)
{
    const filling *it = context;
    const weft_worker *worker = it->from->worker;
    weft_piece pieces[WEFT_PIECES];
    int32_t count = weft_parameter_pieces(&worker->job->parameters[it->what.p], worker->at.tensor, it->what.begin,
                                          it->what.end, pieces);
    int64_t there = 0;
    for (int32_t i = 0; i < count; i++) there += pieces[i].rows * pieces[i].columns;
    for (int64_t i = 0; i < it->what.end - it->what.begin && there < it->what.end - it->what.begin; i++)
        it->values[i] = 0;
    for (int32_t i = 0; i < count; i++) TRY(read_piece(it, &pieces[i], error));
    return WEFT_OK;
}

static void make_part(void *context, int64_t low, int64_t high)
{
    const filling *it = context;
    const weft_worker *worker = it->from->worker;
    weft_parameter_init(&worker->job->parameters[it->what.p], worker->at.tensor,
                        (uint64_t)worker->job->config->run.seed, it->what.begin + low, it->what.begin + high,
                        it->values + low);
}

static weft_status make_values(filling *it, weft_error *error)
{
    const source *from = it->from;
    weft_worker *worker = from->worker;
    if (from->side_by_side) return read_pieces(it, error);
    if (from->checkpoint || from->start) return weft_waiting_work(worker, loading(from), read_pieces, it, error);
    weft_device_divide(worker->device, it->what.end - it->what.begin, GRAIN, make_part, it);
    return WEFT_OK;
}

/* Nothing where they are there already. Hands are no callers of the device. */
static weft_status put(const source *from, void *to, const void *values, size_t bytes, weft_error *error)
{
    weft_device *device = from->worker->device;
    if (to == values) return WEFT_OK;
    if (!from->side_by_side) return device->operations->write(device, to, values, bytes, error);
    memcpy(to, values, bytes);
    return WEFT_OK;
}

/* Values to be rounded. */
typedef struct {
    const float *values;
    uint16_t *rounded;
} rounding;

static void round_part(void *context, int64_t low, int64_t high)
{
    const rounding *it = context;
    for (int64_t i = low; i < high; i++) it->rounded[i] = weft_bf16_from_float(it->values[i]);
}

/* Elements low .. high - 1 as kernels read them. */
static weft_status place_storage(const filling *it, int64_t low, int64_t high, void *to, weft_error *error)
{
    const source *from = it->from;
    const float *values = it->values + low - it->what.begin;
    uint16_t *rounded = from->rounded + (int64_t)it->hand * from->most;
    size_t count = (size_t)(high - low);
    if (from->worker->job->options.element == WEFT_FP32) return put(from, to, values, count * sizeof *values, error);
    rounding all = {values, rounded};
    if (from->side_by_side)
        round_part(&all, 0, high - low);
    else
        weft_device_divide(from->worker->device, high - low, GRAIN, round_part, &all);
    return put(from, to, rounded, count * sizeof *rounded, error);
}

/* Own masters, and what kernels read of the parameter for good. fp32 masters are part of what kernels read: where that
 * is whole they come with it. */
static weft_status place_weights(const filling *it, weft_error *error)
{
    const source *from = it->from;
    const weft_worker *worker = from->worker;
    weft_share share = weft_share_of(worker->job, it->what.p, worker->at.data);
    int64_t low = weft_share_clamp(share, it->what.begin), high = weft_share_clamp(share, it->what.end);
    size_t element = weft_element_bytes(worker->job->options.element), at = (size_t)(low - share.from);
    bool rounds = worker->job->options.element != WEFT_FP32, whole = worker->job->shard != WEFT_SHARD_WEIGHTS;
    weft_own own = weft_worker_own(worker, it->what.p);
    if (low < high && (rounds || !whole))
        TRY(put(from, own.weight + at, it->values + low - it->what.begin, (size_t)(high - low) * sizeof(float), error));
    if (whole && worker->storage[it->what.p])
        return place_storage(it, it->what.begin, it->what.end,
                             (unsigned char *)worker->storage[it->what.p] + (size_t)it->what.begin * element, error);
    if (rounds && low < high) return place_storage(it, low, high, (unsigned char *)own.storage + at * element, error);
    return WEFT_OK;
}

/* Where values stay: of moments, which are this worker's own, and of weights, when they are all its own or fp32. NULL:
 * they go to more places than one. */
static float *place_of(const filling *it)
{
    const weft_worker *worker = it->from->worker;
    weft_share share = weft_share_of(worker->job, it->what.p, worker->at.data);
    weft_own own = weft_worker_own(worker, it->what.p);
    if (it->what.kind == WEFT_CHECKPOINT_MOMENT1) return own.moment1 + it->what.begin - share.from;
    if (it->what.kind == WEFT_CHECKPOINT_MOMENT2) return own.moment2 + it->what.begin - share.from;
    bool whole = worker->job->shard != WEFT_SHARD_WEIGHTS && worker->storage[it->what.p];
    if (whole && worker->job->options.element == WEFT_FP32)
        return (float *)worker->storage[it->what.p] + it->what.begin;
    return share.from <= it->what.begin && it->what.end <= share.to ? own.weight + it->what.begin - share.from : NULL;
}

static weft_status fill_range(void *context, size_t hand, size_t index, weft_error *error)
{
    const source *from = context;
    filling it = {.from = from, .what = from->ranges[index], .hand = hand};
    it.values = from->side_by_side ? place_of(&it) : NULL;
    if (!it.values) it.values = from->values + (int64_t)hand * from->most;
    TRY(make_values(&it, error));
    if (it.what.kind == WEFT_CHECKPOINT_WEIGHTS) return place_weights(&it, error);
    return put(from, place_of(&it), it.values, (size_t)(it.what.end - it.what.begin) * sizeof(float), error);
}

static weft_status fill_ranges(void *context, weft_error *error)
{
    source *from = context;
    return weft_hands_run(from->hands, from->count, fill_range, from, error);
}

static weft_status list_ranges(source *from, weft_checkpoint_kind kind, int32_t p, weft_share wanted, weft_error *error)
{
    for (int64_t begin = wanted.from; begin < wanted.to; begin += from->most) {
        int64_t end = wanted.to - begin < from->most ? wanted.to : begin + from->most;
        TRY(weft_grow(&from->ranges, &from->capacity, from->count + 1, sizeof *from->ranges, error));
        from->ranges[from->count++] = (range){kind, p, begin, end};
    }
    return WEFT_OK;
}

static weft_status list_weights(source *from, int32_t p, weft_error *error)
{
    const weft_job *job = from->worker->job;
    weft_share wanted = {0, job->parameters[p].own};
    if (job->shard == WEFT_SHARD_WEIGHTS) wanted = weft_share_of(job, p, from->worker->at.data);
    return list_ranges(from, WEFT_CHECKPOINT_WEIGHTS, p, wanted, error);
}

/* Of a parameter that was frozen when the checkpoint was written there are no moments: they begin at zero. */
static weft_status list_moment(source *from, weft_checkpoint_kind kind, int32_t p, float *moment, weft_error *error)
{
    weft_worker *worker = from->worker;
    weft_share share = weft_share_of(worker->job, p, worker->at.data);
    if (!moment) return WEFT_OK;
    if (from->checkpoint && weft_checkpoint_has(from->checkpoint, kind, stored(worker->job, p)->name))
        return list_ranges(from, kind, p, share, error);
    worker->device->operations->zero(worker->device, NULL, moment, (size_t)(share.to - share.from) * sizeof *moment);
    return WEFT_OK;
}

static bool has_own_copy(const weft_worker *worker, int32_t p)
{
    int32_t u = worker->job->unit_of[p];
    return worker->units[u].master && worker->job->units[u].weights == u;
}

static weft_status list_all(source *from, weft_error *error)
{
    weft_worker *worker = from->worker;
    for (int32_t p = 0; p < worker->job->parameter_count; p++) {
        if (!has_own_copy(worker, p)) continue;
        TRY(list_weights(from, p, error));
        weft_own own = weft_worker_own(worker, p);
        TRY(list_moment(from, WEFT_CHECKPOINT_MOMENT1, p, own.moment1, error));
        TRY(list_moment(from, WEFT_CHECKPOINT_MOMENT2, p, own.moment2, error));
    }
    return WEFT_OK;
}

static weft_status fill(source *from, weft_error *error)
{
    weft_worker *worker = from->worker;
    size_t most = (size_t)from->most;
    TRY(weft_allocate(from->hands * most, sizeof *from->values, &from->values, error));
    TRY(weft_allocate(from->hands * most, sizeof *from->rounded, &from->rounded, error));
    TRY(list_all(from, error));
    TRY(from->side_by_side ? weft_waiting_work(worker, loading(from), fill_ranges, from, error)
                           : fill_ranges(from, error));
    return worker->device->operations->stream_wait(worker->device, NULL, error); /* programs run on others */
}

/* What is in files is read by all threads, where they reach the device's memory. */
static weft_status fill_from(source from, weft_error *error)
{
    const weft_job *job = from.worker->job;
    from.side_by_side = (from.checkpoint || from.start) && job->device->host_reaches;
    from.hands = from.side_by_side && job->options.threads > 1 ? (size_t)job->options.threads : 1;
    if (from.hands > MOST_HANDS) from.hands = MOST_HANDS;
    from.most = RANGE / (int64_t)from.hands;
    weft_status status = fill(&from, error);
    weft_free(from.ranges);
    weft_free(from.rounded);
    weft_free(from.values);
    return status;
}

weft_status weft_worker_init_weights(weft_worker *worker, weft_error *error)
{
    return fill_from((source){.worker = worker}, error);
}

weft_status weft_worker_load(weft_worker *worker, const weft_checkpoint *checkpoint, weft_error *error)
{
    return fill_from((source){.worker = worker, .checkpoint = checkpoint}, error);
}

weft_status weft_worker_start(weft_worker *worker, const weft_weights *weights, weft_error *error)
{
    return fill_from((source){.worker = worker, .start = weights}, error);
}
