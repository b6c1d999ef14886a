/* What the weights of a worker begin with, from the seed, a checkpoint or other weights, a bounded range at a time. */
#include "train/waiting.h"
#include "train/worker.h"

/* Elements that are made or read at once, and of which a thread of the device has a part. */
enum { RANGE = 1 << 20, GRAIN = 1 << 13 };

/* Where values come from. */
typedef struct {
    weft_worker *worker;
    const weft_checkpoint *checkpoint; /* that is resumed, or NULL */
    const weft_weights *start;         /* else, or NULL; without either, initial values by the seed */
    float *range;                      /* (RANGE) host memory */
    uint16_t *rounded;                 /* (RANGE) the same as kernels read it */
} source;

/* Under which name a checkpoint has it. */
static const weft_parameter *stored(const weft_job *job, int32_t p)
{
    return &job->parameters[job->parameters[p].tied ? job->tied_embedding : p];
}

/* A range of a parameter that is to be made or read. */
typedef struct {
    const source *from;
    weft_checkpoint_kind kind;
    int32_t p;
    int64_t begin, end;
} loading;

static weft_status read_piece(const loading *it, const weft_parameter *named, const weft_piece *piece, float *out,
                              weft_error *error)
{
    if (it->from->start)
        return weft_weights_read(it->from->start, named, piece->from, piece->rows, piece->columns, out, error);
    return weft_checkpoint_read(it->from->checkpoint, it->kind, named->name, named->dimensions, named->shape,
                                piece->from, piece->rows, piece->columns, out, error);
}

static weft_status read_pieces(void *context, weft_error *error)
{
    const loading *it = context;
    const weft_job *job = it->from->worker->job;
    const weft_parameter *named = stored(job, it->p);
    float *out = it->from->range;
    weft_piece pieces[WEFT_PIECES];
    int32_t count =
        weft_parameter_pieces(&job->parameters[it->p], it->from->worker->at.tensor, it->begin, it->end, pieces);
    for (int64_t i = 0; i < it->end - it->begin; i++) out[i] = 0;
    for (int32_t i = 0; i < count; i++) TRY(read_piece(it, named, &pieces[i], out + pieces[i].at - it->begin, error));
    return WEFT_OK;
}

static weft_status load_pieces(const source *from, weft_checkpoint_kind kind, int32_t p, int64_t begin, int64_t end,
                               weft_error *error)
{
    loading it = {from, kind, p, begin, end};
    return weft_waiting_work(from->worker, from->start ? "the loading of weights" : "the loading of a checkpoint",
                             read_pieces, &it, error);
}

static void make_part(void *context, int64_t low, int64_t high)
{
    const loading *it = context;
    const weft_worker *worker = it->from->worker;
    weft_parameter_init(&worker->job->parameters[it->p], worker->at.tensor, (uint64_t)worker->job->config->run.seed,
                        it->begin + low, it->begin + high, it->from->range + low);
}

static weft_status make_weights(const source *from, int32_t p, int64_t begin, int64_t end, weft_error *error)
{
    if (from->checkpoint || from->start) return load_pieces(from, WEFT_CHECKPOINT_WEIGHTS, p, begin, end, error);
    loading it = {from, WEFT_CHECKPOINT_WEIGHTS, p, begin, end};
    weft_device_divide(from->worker->device, end - begin, GRAIN, make_part, &it);
    return WEFT_OK;
}

static void round_part(void *context, int64_t low, int64_t high)
{
    const source *from = ((const loading *)context)->from;
    for (int64_t i = low; i < high; i++) from->rounded[i] = weft_bf16_from_float(from->range[i]);
}

/* Elements `begin` and on of the parameter to what kernels read of it for good. */
static weft_status place_storage(const source *from, int32_t p, int64_t begin, int64_t end, weft_error *error)
{
    weft_worker *worker = from->worker;
    weft_device *device = worker->device;
    size_t element = weft_element_bytes(worker->job->options.element), count = (size_t)(end - begin);
    bool rounds = worker->job->options.element != WEFT_FP32;
    loading it = {from, WEFT_CHECKPOINT_WEIGHTS, p, begin, end};
    if (rounds) weft_device_divide(device, end - begin, GRAIN, round_part, &it);
    const void *values = rounds ? (const void *)from->rounded : from->range;
    return device->operations->write(device, (unsigned char *)worker->storage[p] + (size_t)begin * element, values,
                                     count * element, error);
}

/* Own masters, and what kernels read of the parameter for good, from elements begin .. end - 1. fp32 masters are part
 * of what kernels read: where that is whole they come with it. */
static weft_status place_range(const source *from, int32_t p, int64_t begin, int64_t end, weft_error *error)
{
    weft_worker *worker = from->worker;
    weft_device *device = worker->device;
    weft_share share = weft_share_of(worker->job, p, worker->at.data);
    int64_t low = weft_share_clamp(share, begin), high = weft_share_clamp(share, end);
    size_t element = weft_element_bytes(worker->job->options.element), at = (size_t)(low - share.from);
    bool rounds = worker->job->options.element != WEFT_FP32, whole = worker->job->shard != WEFT_SHARD_WEIGHTS;
    weft_own own = weft_worker_own(worker, p);
    if (low < high && (rounds || !whole))
        TRY(device->operations->write(device, own.weight + at, from->range + low - begin,
                                      (size_t)(high - low) * sizeof(float), error));
    if (whole && worker->storage[p]) return place_storage(from, p, begin, end, error);
    if (rounds && low < high)
        device->operations->round(device, NULL, high - low, own.weight + at,
                                  (unsigned char *)own.storage + at * element);
    return WEFT_OK;
}

static weft_status fill_weights(const source *from, int32_t p, weft_error *error)
{
    const weft_job *job = from->worker->job;
    weft_share wanted = {0, job->parameters[p].own};
    if (job->shard == WEFT_SHARD_WEIGHTS) wanted = weft_share_of(job, p, from->worker->at.data);
    for (int64_t begin = wanted.from; begin < wanted.to; begin += RANGE) {
        int64_t end = wanted.to - begin < RANGE ? wanted.to : begin + RANGE;
        TRY(make_weights(from, p, begin, end, error));
        TRY(place_range(from, p, begin, end, error));
    }
    return WEFT_OK;
}

/* Of a parameter that was frozen when the checkpoint was written there are no moments: they begin at zero. */
static weft_status fill_moment(const source *from, weft_checkpoint_kind kind, int32_t p, float *moment,
                               weft_error *error)
{
    weft_worker *worker = from->worker;
    weft_share share = weft_share_of(worker->job, p, worker->at.data);
    if (!moment) return WEFT_OK;
    if (!from->checkpoint || !weft_checkpoint_has(from->checkpoint, kind, stored(worker->job, p)->name)) {
        worker->device->operations->zero(worker->device, NULL, moment,
                                         (size_t)(share.to - share.from) * sizeof *moment);
        return WEFT_OK;
    }
    for (int64_t begin = share.from; begin < share.to; begin += RANGE) {
        int64_t end = share.to - begin < RANGE ? share.to : begin + RANGE;
        TRY(load_pieces(from, kind, p, begin, end, error));
        TRY(worker->device->operations->write(worker->device, moment + begin - share.from, from->range,
                                              (size_t)(end - begin) * sizeof(float), error));
    }
    return WEFT_OK;
}

static bool has_own_copy(const weft_worker *worker, int32_t p)
{
    int32_t u = worker->job->unit_of[p];
    return worker->units[u].master && worker->job->units[u].weights == u;
}

static weft_status fill(const source *from, weft_error *error)
{
    weft_worker *worker = from->worker;
    for (int32_t p = 0; p < worker->job->parameter_count; p++) {
        if (!has_own_copy(worker, p)) continue;
        TRY(fill_weights(from, p, error));
        weft_own own = weft_worker_own(worker, p);
        TRY(fill_moment(from, WEFT_CHECKPOINT_MOMENT1, p, own.moment1, error));
        TRY(fill_moment(from, WEFT_CHECKPOINT_MOMENT2, p, own.moment2, error));
    }
    return worker->device->operations->stream_wait(worker->device, NULL, error); /* programs run on others */
}

static weft_status fill_from(source from, weft_error *error)
{
    TRY(weft_allocate(RANGE, sizeof *from.range, &from.range, error));
    weft_status status = weft_allocate(RANGE, sizeof *from.rounded, &from.rounded, error);
    if (status == WEFT_OK) status = fill(&from, error);
    weft_free(from.rounded);
    weft_free(from.range);
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
