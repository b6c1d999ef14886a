#include "train/steps.h"

#include "train/crossing.h"

/* What computes so many tokens at once. */
typedef struct step {
    weft_stage *stage;
    int64_t rows;
    size_t stash; /* bytes */
} step;

struct weft_steps {
    weft_worker *worker;
    step several, one;
    int64_t past; /* tokens in the cache */
};

static weft_status create_step(const weft_steps *steps, int64_t rows, step *out, weft_error *error)
{
    const weft_worker *worker = steps->worker;
    weft_stage_shape shape = weft_job_step_shape(worker->job, rows);
    weft_stage_weights weights = {.storage = (const void *const *)worker->storage, .angles = worker->angles};
    out->rows = shape.T;
    out->stash = weft_align(weft_stage_memory(&shape).stash, worker->job->device->alignment);
    return weft_stage_create(&shape, worker->device, &weights, &out->stage, error);
}

static weft_status write_positions(const weft_steps *steps, weft_error *error)
{
    const weft_worker *worker = steps->worker;
    int64_t T = worker->job->config->batch.tokens;
    int32_t *positions = NULL;
    TRY(weft_allocate((size_t)T, sizeof *positions, &positions, error));
    for (int64_t t = 0; t < T; t++) positions[t] = (int32_t)t;
    weft_status status = worker->device->operations->write(worker->device, worker->steps.positions, positions,
                                                           (size_t)T * sizeof *positions, error);
    weft_free(positions);
    return status;
}

static weft_status build(weft_steps *steps, weft_error *error)
{
    TRY(create_step(steps, WEFT_JOB_STEP_ROWS, &steps->several, error));
    TRY(create_step(steps, 1, &steps->one, error));
    return write_positions(steps, error);
}

weft_status weft_steps_create(weft_worker *worker, weft_steps **out, weft_error *error)
{
    weft_steps *steps = NULL;
    *out = NULL;
    if (!worker->device->operations->attention_step) return WEFT_OK;
    TRY(weft_allocate(1, sizeof *steps, &steps, error));
    steps->worker = worker;
    weft_status status = build(steps, error);
    if (status == WEFT_OK)
        *out = steps;
    else
        weft_steps_destroy(steps);
    return status;
}

void weft_steps_destroy(weft_steps *steps)
{
    if (!steps) return;
    weft_stage_destroy(steps->several.stage);
    weft_stage_destroy(steps->one.stage);
    weft_free(steps);
}

/* Some of the tokens up to length, at least one. Where there are fewer than several at once, those behind are computed
 * with them: nothing sees them, and their keys and values are written again when their turn comes. */
static void run_some(weft_steps *steps, int64_t length)
{
    weft_worker *worker = steps->worker;
    int64_t left = length - steps->past, past = steps->past;
    const step *several = &steps->several;
    bool alone = left == 1 || past + several->rows > worker->job->config->batch.tokens;
    const step *taken = alone ? &steps->one : several;
    int64_t count = taken->rows < left ? taken->rows : left;
    weft_stage_buffers buffers = {.tokens = worker->batch.tokens + past,
                                  .positions = worker->steps.positions + past,
                                  .stash = worker->steps.space,
                                  .workspace = worker->steps.space + taken->stash,
                                  .logits = count == left ? worker->logits : NULL,
                                  .logits_position = count - 1,
                                  .cache = worker->steps.cache,
                                  .past = past};
    weft_stage_forward(taken->stage, worker->streams[WEFT_PROGRAM_COMPUTE], &buffers);
    steps->past += count;
}

weft_status weft_steps_run(weft_steps *steps, int64_t length, weft_error *error)
{
    weft_worker *worker = steps->worker;
    weft_stream *stream = worker->streams[WEFT_PROGRAM_COMPUTE];
    TRY(weft_crossing_enter(worker, error));
    worker->device->operations->event_wait(worker->device, stream, weft_crossing_entered(worker));
    while (steps->past < length) run_some(steps, length);
    TRY(worker->device->operations->stream_wait(worker->device, stream, error));
    return weft_crossing_leave(worker, error);
}
