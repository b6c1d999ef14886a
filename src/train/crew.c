#include "train/crew.h"

#include "train/worker.h"
#include "transport/watch.h"

#include <pthread.h>

typedef struct {
    const weft_crew *crew;
    weft_local_hub *hub;
    int32_t rank;
    pthread_t thread;
    bool running;
    weft_status status;
    weft_error error;
} local_worker;

static void *local_main(void *argument)
{
    local_worker *self = argument;
    weft_transport *transport = NULL;
    self->status = weft_local_transport_create(self->hub, self->rank, &transport, &self->error);
    if (self->status == WEFT_OK)
        self->status = self->crew->work(self->crew->context, self->rank, transport, &self->error);
    else
        weft_local_hub_stop(self->hub);
    self->crew->leave(self->crew->context, self->rank);
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

static weft_status run_local(const weft_crew *crew, int32_t ranks, const weft_group *groups, int32_t group_count,
                             weft_error *error)
{
    weft_local_hub *hub = NULL;
    local_worker *workers = NULL;
    weft_status status = weft_local_hub_create(ranks, groups, group_count, &hub, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)ranks, sizeof *workers, &workers, error);
    for (int32_t r = 0; r < ranks && status == WEFT_OK; r++) {
        workers[r] = (local_worker){.crew = crew, .hub = hub, .rank = r};
        weft_error_clear(&workers[r].error);
        workers[r].running = pthread_create(&workers[r].thread, NULL, local_main, &workers[r]) == 0;
        if (workers[r].running) continue;
        status = weft_fail(error, WEFT_FAILED, "cannot start the thread of rank %d", r);
        weft_local_hub_stop(hub);
    }
    for (int32_t r = 0; workers && r < ranks; r++)
        if (workers[r].running) pthread_join(workers[r].thread, NULL);
    if (status == WEFT_OK) status = first_cause(workers, ranks, error);
    for (int32_t r = 0; r < ranks; r++)
        if (!workers || !workers[r].running) crew->leave(crew->context, r);
    weft_free(workers);
    weft_local_hub_destroy(hub);
    return status;
}

/* The key that is most likely to be changed. */
static const char *widest(const weft_job *job)
{
    return job->data > 1 ? "parallel.data" : job->tensor > 1 ? "parallel.tensor" : "parallel.pipeline";
}

static weft_status run_mpi(const weft_crew *crew, const weft_job *job, const weft_group *groups, int32_t group_count,
                           weft_error *error)
{
    int32_t rank = 0, size = 0;
    weft_transport *transport = NULL;
    weft_watch *watch = NULL;
    TRY(weft_mpi_start(&rank, &size, error));
    if (size != job->workers)
        return weft_config_complain(job->config, widest(job), error,
                                    "%d workers, but the launcher started %d processes: run mpirun -n %d, or change "
                                    "parallel.data x parallel.pipeline x parallel.tensor",
                                    job->workers, size, job->workers);
    if (crew->late) TRY(weft_watch_start(job->config->timeout, crew->late, NULL, &watch, error));
    weft_status status = weft_mpi_transport_create(groups, group_count, &transport, error);
    weft_watch_end(watch);
    TRY(status);
    status = crew->work(crew->context, rank, transport, error);
    crew->leave(crew->context, rank);
    return status;
}

weft_status weft_crew_run(const weft_job *job, const weft_crew *crew, weft_error *error)
{
    weft_arena arena;
    const weft_group *groups = NULL;
    int32_t count = 0;
    weft_arena_init(&arena);
    weft_status status = weft_world_groups(job, &arena, &groups, &count, error);
    if (status == WEFT_OK)
        status = job->config->transport == WEFT_CONFIG_MPI ? run_mpi(crew, job, groups, count, error)
                                                           : run_local(crew, job->workers, groups, count, error);
    weft_arena_fini(&arena);
    return status;
}
