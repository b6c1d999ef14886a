#include "train/crew.h"

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

static weft_status everyone(weft_arena *arena, int32_t ranks, weft_group *out, weft_error *error)
{
    int32_t *members = NULL;
    TRY(weft_arena_take(arena, (size_t)ranks, sizeof *members, &members, error));
    for (int32_t r = 0; r < ranks; r++) members[r] = r;
    *out = (weft_group){.members = members, .count = ranks};
    return WEFT_OK;
}

static void *local_main(void *argument)
{
    local_worker *self = argument;
    weft_transport *transport = NULL;
    self->status = weft_local_transport_create(self->hub, self->rank, &transport, &self->error);
    if (self->status == WEFT_OK)
        self->status = self->crew->work(self->crew->context, self->rank, transport, &self->error);
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

static weft_status run_local(const weft_crew *crew, int32_t ranks, const weft_group *group, weft_error *error)
{
    weft_local_hub *hub = NULL;
    local_worker *workers = NULL;
    weft_status status = weft_local_hub_create(ranks, group, 1, &hub, error);
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
    for (int32_t r = 0; r < ranks; r++) crew->leave(crew->context, r);
    weft_free(workers);
    weft_local_hub_destroy(hub);
    return status;
}

static weft_status run_mpi(const weft_crew *crew, const weft_job *job, const weft_group *group, weft_error *error)
{
    int32_t rank = 0, size = 0;
    weft_transport *transport = NULL;
    TRY(weft_mpi_start(&rank, &size, error));
    if (size != job->ranks)
        return weft_config_complain(job->config, "parallel.pipeline", error,
                                    "%d workers, but the launcher started %d processes", job->ranks, size);
    TRY(weft_mpi_transport_create(group, 1, &transport, error));
    weft_status status = crew->work(crew->context, rank, transport, error);
    crew->leave(crew->context, rank);
    return status;
}

weft_status weft_crew_run(const weft_job *job, const weft_crew *crew, weft_error *error)
{
    weft_arena arena;
    weft_group group = {0};
    weft_arena_init(&arena);
    weft_status status = everyone(&arena, job->ranks, &group, error);
    if (status == WEFT_OK)
        status = job->config->transport == WEFT_CONFIG_MPI ? run_mpi(crew, job, &group, error)
                                                           : run_local(crew, job->ranks, &group, error);
    weft_arena_fini(&arena);
    return status;
}
