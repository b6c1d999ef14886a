#include "train/crew.h"

#include "train/staging.h"
#include "train/worker.h"
#include "transport/kinds.h"
#include "transport/watch.h"

#include <pthread.h>

/* What all workers of this process have in common. */
typedef struct {
    const weft_crew *crew;
    const weft_job *job;
    const weft_transport_kind *kind;
    weft_transport_world *world;
    const weft_group *groups;
    int32_t group_count;
} crew_home;

static weft_status create_endpoint(const crew_home *home, int32_t rank, weft_transport **out, weft_error *error)
{
    TRY(home->kind->create(home->world, rank, out, error));
    weft_status status = weft_staging_wrap(home->job, home->groups, home->group_count, out, error);
    if (status == WEFT_OK) return WEFT_OK;
    (*out)->operations->stop(*out);
    (*out)->operations->destroy(*out);
    return status;
}

typedef struct {
    const crew_home *home;
    int32_t rank;
    pthread_t thread;
    bool running;
    weft_status status;
    weft_error error;
} crew_worker;

static void *thread_main(void *argument)
{
    crew_worker *self = argument;
    const crew_home *home = self->home;
    weft_transport *transport = NULL;
    self->status = create_endpoint(home, self->rank, &transport, &self->error);
    if (self->status == WEFT_OK)
        self->status = home->crew->work(home->crew->context, self->rank, transport, &self->error);
    else
        home->kind->halt(home->world);
    home->crew->leave(home->crew->context, self->rank);
    return NULL;
}

/* The first worker whose failure is not just the echo of another's. */
static weft_status first_cause(const crew_worker *workers, int32_t ranks, weft_error *error)
{
    const crew_worker *cause = NULL;
    for (int32_t r = 0; r < ranks; r++) {
        if (workers[r].status == WEFT_OK) continue;
        if (!cause || (cause->status == WEFT_STOPPED && workers[r].status != WEFT_STOPPED)) cause = &workers[r];
    }
    if (!cause) return WEFT_OK;
    *error = cause->error;
    return cause->status;
}

static weft_status run_threads(const crew_home *home, weft_error *error)
{
    int32_t ranks = home->job->workers;
    const weft_crew *crew = home->crew;
    crew_worker *workers = NULL;
    weft_status status = weft_allocate((size_t)ranks, sizeof *workers, &workers, error);
    for (int32_t r = 0; r < ranks && status == WEFT_OK; r++) {
        workers[r] = (crew_worker){.home = home, .rank = r};
        weft_error_clear(&workers[r].error);
        workers[r].running = pthread_create(&workers[r].thread, NULL, thread_main, &workers[r]) == 0;
        if (workers[r].running) continue;
        status = weft_fail(error, WEFT_FAILED, "cannot start the thread of rank %d", r);
        home->kind->halt(home->world);
    }
    for (int32_t r = 0; workers && r < ranks; r++)
        if (workers[r].running) pthread_join(workers[r].thread, NULL);
    if (status == WEFT_OK) status = first_cause(workers, ranks, error);
    for (int32_t r = 0; r < ranks; r++)
        if (!workers || !workers[r].running) crew->leave(crew->context, r);
    weft_free(workers);
    return status;
}

/* The key that is most likely to be changed. */
static const char *widest(const weft_job *job)
{
    return job->data > 1 ? "parallel.data" : job->tensor > 1 ? "parallel.tensor" : "parallel.pipeline";
}

static weft_status start_process(const crew_home *home, int32_t *out_rank, weft_error *error)
{
    const weft_job *job = home->job;
    const weft_transport_processes *processes = home->kind->processes;
    int32_t size = 0;
    TRY(processes->start(out_rank, &size, error));
    if (size == job->workers) return WEFT_OK;
    return weft_config_complain(job->config, widest(job), error,
                                "%d worker%s, but the launcher started %d process%s: run %s %d, or change "
                                "parallel.data x parallel.pipeline x parallel.tensor",
                                job->workers, weft_text_plural(job->workers), size, size == 1 ? "" : "es",
                                processes->launcher, job->workers);
}

static weft_status run_process(const crew_home *home, weft_error *error)
{
    const weft_crew *crew = home->crew;
    int32_t rank = 0;
    weft_transport *transport = NULL;
    weft_watch *watch = NULL;
    TRY(start_process(home, &rank, error));
    if (crew->late)
        TRY(weft_watch_start(home->job->config->timeout, crew->late, (void *)(uintptr_t)home->kind->name, &watch,
                             error));
    weft_status status = create_endpoint(home, rank, &transport, error);
    weft_watch_end(watch);
    TRY(status);
    status = crew->work(crew->context, rank, transport, error);
    crew->leave(crew->context, rank);
    return status;
}

weft_status weft_crew_run(const weft_job *job, const weft_crew *crew, weft_error *error)
{
    crew_home home = {.crew = crew, .job = job, .kind = weft_transport_kind_get(job->config->transport)};
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = weft_world_groups(job, &arena, &home.groups, &home.group_count, error);
    if (status == WEFT_OK) status = home.kind->open(job->workers, home.groups, home.group_count, &home.world, error);
    if (status == WEFT_OK) status = home.kind->processes ? run_process(&home, error) : run_threads(&home, error);
    home.kind->close(home.world);
    weft_arena_fini(&arena);
    return status;
}
