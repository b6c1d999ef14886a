#include "train/train.h"

#include "train/loop.h"
#include "train/resume.h"

#include <pthread.h>

typedef struct {
    weft_loop loop;
    weft_local_hub *hub;
    int32_t rank;
    pthread_t thread;
    bool running;
    weft_status status;
    weft_error error;
} local_worker;

static weft_group everyone(weft_arena *arena, int32_t ranks, weft_status *status, weft_error *error)
{
    int32_t *members = NULL;
    *status = weft_arena_take(arena, (size_t)ranks, sizeof *members, &members, error);
    for (int32_t r = 0; *status == WEFT_OK && r < ranks; r++) members[r] = r;
    return (weft_group){.members = members, .count = ranks};
}

static void *local_main(void *argument)
{
    local_worker *self = argument;
    weft_transport *transport = NULL;
    self->status = weft_local_transport_create(self->hub, self->rank, &transport, &self->error);
    if (self->status == WEFT_OK)
        self->status = weft_loop_run(&self->loop, self->rank, transport, &self->error);
    else
        weft_local_hub_stop(self->hub);
    return NULL;
}

/* The first worker whose failure is not just the echo of another's. */
static weft_status first_cause(const local_worker *workers, int32_t ranks, weft_error *error)
{
    const local_worker *cause = NULL;
    for (int32_t r = 0; r < ranks; r++) {
        if (workers[r].status == WEFT_OK) continue;
        if (!cause || (cause->status == WEFT_STOPPED && workers[r].status != WEFT_STOPPED)) cause = &workers[r];
    }
    if (!cause) return WEFT_OK;
    *error = cause->error;
    return cause->status;
}

static weft_status run_local(weft_loop *common, int32_t ranks, const weft_group *group, weft_error *error)
{
    weft_local_hub *hub = NULL;
    local_worker *workers = NULL;
    weft_status status = weft_local_hub_create(ranks, group, 1, &hub, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)ranks, sizeof *workers, &workers, error);
    for (int32_t r = 0; r < ranks && status == WEFT_OK; r++) {
        workers[r] = (local_worker){.loop = *common, .hub = hub, .rank = r};
        weft_error_clear(&workers[r].error);
        workers[r].running = pthread_create(&workers[r].thread, NULL, local_main, &workers[r]) == 0;
        if (workers[r].running) continue;
        status = weft_fail(error, WEFT_FAILED, "cannot start the thread of rank %d", r);
        weft_local_hub_stop(hub);
    }
    for (int32_t r = 0; workers && r < ranks; r++)
        if (workers[r].running) pthread_join(workers[r].thread, NULL);
    if (status == WEFT_OK) status = first_cause(workers, ranks, error);
    if (status == WEFT_OK) common->stopped = workers[0].loop.stopped;
    /* Only now: a peer may still have been copying out of a failed worker's memory. */
    for (int32_t r = 0; workers && r < ranks; r++) weft_loop_fini(&workers[r].loop);
    weft_free(workers);
    weft_local_hub_destroy(hub);
    return status;
}

static weft_status run_mpi(weft_loop *loop, int32_t ranks, const weft_group *group, weft_error *error)
{
    int32_t rank = 0, size = 0;
    weft_transport *transport = NULL;
    TRY(weft_mpi_start(&rank, &size, error));
    if (size != ranks)
        return weft_config_complain(loop->job->config, "parallel.pipeline", error,
                                    "%d workers, but the launcher started %d processes", ranks, size);
    TRY(weft_mpi_transport_create(group, 1, &transport, error));
    weft_status status = weft_loop_run(loop, rank, transport, error);
    weft_loop_fini(loop);
    return status;
}

static weft_status open_data(const weft_config *config, weft_data **out, weft_error *error)
{
    weft_data_options options = {.path = config->data.path,
                                 .held_out_path = config->data.held_out_path,
                                 .format = (weft_config_format)config->data.format,
                                 .tokens = config->batch.tokens,
                                 .held_out = config->data.held_out,
                                 .seed = (uint64_t)config->run.seed,
                                 .vocabulary = config->model.vocabulary};
    if (weft_data_open(&options, out, error) == WEFT_OK) return WEFT_OK;
    weft_error reason = *error;
    weft_status status = weft_config_complain(config, "data.path", error, "%s", reason.text);
    return reason.status == WEFT_INVALID ? status : (error->status = reason.status);
}

weft_status weft_train(const weft_job *job, const weft_train_options *options, weft_error *error)
{
    weft_loop loop = {.job = job, .options = options};
    weft_data *data = NULL;
    weft_checkpoint *resumed = NULL;
    weft_arena arena;
    weft_text notes;
    weft_arena_init(&arena);
    weft_text_init(&notes);
    weft_status status = WEFT_OK;
    weft_group group = everyone(&arena, job->ranks, &status, error);
    if (status == WEFT_OK) status = open_data(job->config, &data, error);
    loop.data = data;
    if (status == WEFT_OK && options->trial_steps <= 0)
        status = weft_resume_open(job, data, options->resume, &resumed, &notes, error);
    loop.resumed = resumed;
    loop.notes = weft_text_get(&notes);
    if (status == WEFT_OK)
        status = job->config->transport == WEFT_CONFIG_MPI ? run_mpi(&loop, job->ranks, &group, error)
                                                           : run_local(&loop, job->ranks, &group, error);
    if (options->stopped) *options->stopped = loop.stopped;
    weft_checkpoint_close(resumed);
    weft_data_close(data);
    weft_text_fini(&notes);
    weft_arena_fini(&arena);
    return status;
}
