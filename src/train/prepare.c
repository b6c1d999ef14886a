/* What a worker does before its first step: itself, its weights, and what all ranks must agree on. */
#include "train/loop_parts.h"

#include "base/random.h"
#include "train/waiting.h"

/* What ranks tell each other before the first step. */
typedef struct {
    int64_t start;
    uint64_t data, stages;
} opening;

/* A number of where the stages are, and of how many layers each. */
static uint64_t number_of_stages(const weft_job *job)
{
    uint64_t number = 0;
    for (int32_t s = 0; s < job->stage_count; s++) {
        uint64_t stage = (uint64_t)job->stages[s].rank << 32 | (uint64_t)job->stages[s].layer_count;
        number = weft_random_bits(weft_random_key_make(number, "stage"), stage);
    }
    return number;
}

/* Each process chooses the stages for itself, where they are to be chosen. */
static weft_status compare_stages(const weft_loop *loop, const opening *all, weft_error *error)
{
    for (int32_t r = 1; r < loop->job->workers; r++)
        if (all[r].stages != all[0].stages)
            FAIL(error, WEFT_INVALID,
                 "rank %d has other stages than rank 0: processes that choose them need the same weft, configuration "
                 "and kind of machine; set parallel.placement and parallel.stages to what weft config and train "
                 "--dry-run show on one of them",
                 r);
    return WEFT_OK;
}

/* Proves that all ranks see the same files: another start would be another run. */
static weft_status exchange_openings(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    opening own = {.start = loop->start, .data = loop->fingerprint, .stages = number_of_stages(job)}, *all = NULL;
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, all, "beginning of the run", error));
    for (int32_t r = 0; r < job->workers; r++) {
        if (all[r].start == all[0].start && all[r].data == all[0].data) continue;
        weft_fail(error, WEFT_INVALID,
                  "rank %d starts at step %lld, rank 0 at step %lld%s: all must see one run.folder and one data.path",
                  r, (long long)all[r].start, (long long)all[0].start,
                  all[r].data == all[0].data ? "" : ", and with different data");
        return weft_loop_known(loop, error);
    }
    return compare_stages(loop, all, error) == WEFT_OK ? WEFT_OK : weft_loop_known(loop, error);
}

/* Of this rank. */
typedef struct {
    const weft_loop *loop;
    double peak;
} measuring;

static weft_status measure_own(void *context, weft_error *error)
{
    measuring *it = context;
    const weft_job *job = it->loop->job;
    weft_device_options options = job->options;
    options.index = weft_device_index(job->device, options.index, it->loop->worker->number);
    return job->device->measure_peak(&options, it->loop->options->peak_seconds, &it->peak, error);
}

/* After an exchange, so that all ranks measure at the same time: a core that another rank leaves idle is no peak. */
static weft_status measure_peak(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    measuring own = {.loop = loop};
    double *all = NULL;
    if (!job->device->measure_peak || !(loop->options->peak_seconds > 0)) return WEFT_OK;
    TRY(weft_waiting_work(loop->worker, "the measuring of the peak", measure_own, &own, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *all, &all, error));
    TRY(weft_worker_gather(loop->worker, &own.peak, sizeof own.peak, all, "measured peaks", error));
    for (int32_t r = 0; r < job->workers; r++) loop->peak += all[r];
    return WEFT_OK;
}

static weft_status slow_down(weft_loop *loop, weft_error *error)
{
    const weft_train_options *options = loop->options;
    weft_transport *slower = NULL;
    if (!(options->delay_longest > 0)) return WEFT_OK;
    TRY(weft_delay_transport_create(loop->transport, options->delay_seed, options->delay_longest, &slower, error));
    loop->transport = slower;
    return WEFT_OK;
}

weft_status weft_loop_prepare(weft_loop *loop, int32_t rank, weft_error *error)
{
    TRY(slow_down(loop, error));
    const weft_job *job = loop->job;
    loop->transport->operations->publish(loop->transport, "step 0, last finished nothing, runs preparations");
    TRY(weft_worker_create(job, rank, loop->transport, &loop->worker, error));
    loop->worker->options = loop->options;
    loop->steps = weft_loop_is_trial(loop) ? loop->options->trial_steps : job->config->run.steps;
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->controls, &loop->controls, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->bubble, &loop->bubble, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->answers, &loop->answers, error));
    TRY(weft_loop_prepare_losses(loop, error));
    if (loop->worker->train) TRY(weft_loop_prepare_timing(loop, error));
    const weft_checkpoint_state *state = loop->resumed ? weft_checkpoint_get_state(loop->resumed) : NULL;
    TRY(weft_skip_init(&loop->skip, job->config, state, &loop->arena, error));
    if (loop->resumed) {
        TRY(weft_worker_load(loop->worker, loop->resumed, error));
        loop->start = loop->saved = state->step;
        loop->sequences = state->sequences;
        loop->loss = state->loss;
    } else if (loop->weights) {
        TRY(weft_worker_start(loop->worker, loop->weights, error));
    } else {
        TRY(weft_worker_init_weights(loop->worker, error));
    }
    TRY(exchange_openings(loop, error));
    return measure_peak(loop, error);
}

static weft_status keep_source(void *context, weft_error *error)
{
    const weft_loop *loop = context;
    return weft_weights_keep(loop->weights, loop->job->config->run.folder, error);
}

weft_status weft_loop_keep_source(weft_loop *loop, weft_error *error)
{
    if (!loop->weights || loop->worker->number != 0) return WEFT_OK;
    return weft_waiting_work(loop->worker, "the keeping of run.start's files", keep_source, loop, error);
}
