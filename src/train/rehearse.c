#include "train/rehearse.h"

#include "base/clock.h"
#include "train/crew.h"
#include "train/executor.h"
#include "train/waiting.h"
#include "train/worker.h"
#include "transport/kinds.h"

/* What ranks tell each other around every step. */
typedef struct {
    int64_t stop, start; /* start: of the step, in weft_clock_nanoseconds */
    uint64_t clock;      /* that it was taken by; 0: not known */
} note;

typedef struct {
    const weft_job *job;
    const weft_rehearsal *rehearsal;
    weft_transport *transport; /* owned */
    weft_worker *worker;       /* owned */
    weft_arena arena;
    note *notes;                 /* (workers) */
    uint64_t clock;              /* this process's */
    uint32_t count;              /* actions of this rank */
    double *own_begin, *own_end; /* (count) */
    weft_timeline measured;      /* rank 0 */
} actor;

typedef struct {
    const weft_job *job;
    const weft_rehearsal *rehearsal;
    actor *actors; /* (workers) */
} cast;

static weft_status prepare(actor *self, int32_t rank, weft_error *error)
{
    const weft_job *job = self->job;
    self->clock = weft_transport_kind_get(job->config->transport)->clock();
    TRY(weft_worker_create(job, rank, self->transport, &self->worker, error));
    self->count = weft_executor_count(self->worker->train);
    TRY(weft_arena_take(&self->arena, self->count, sizeof *self->own_begin, &self->own_begin, error));
    TRY(weft_arena_take(&self->arena, self->count, sizeof *self->own_end, &self->own_end, error));
    TRY(weft_arena_take(&self->arena, (size_t)job->workers, sizeof *self->notes, &self->notes, error));
    return rank == 0 ? weft_timeline_init(&self->measured, job->train, error) : WEFT_OK;
}

static weft_status exchange(actor *self, const char *what, weft_error *error)
{
    const volatile sig_atomic_t *stop = self->rehearsal->stop;
    note own = {.stop = stop && *stop, .start = weft_executor_start(self->worker->train), .clock = self->clock};
    return weft_worker_gather(self->worker, &own, sizeof own, self->notes, what, error);
}

/* From each rank to rank 0 alone: all to all would be as much memory as ranks, squared. */
static weft_status send_times(actor *self, weft_error *error)
{
    const double *parts[] = {self->own_begin, self->own_end};
    for (int i = 0; i < 2; i++) {
        weft_request request = -1;
        TRY(self->transport->operations->send(self->transport, NULL, 0, WEFT_TAG_TIMES, parts[i],
                                              self->count * sizeof(double), &request, error));
        TRY(weft_worker_await(self->worker, request, "times", error));
    }
    return WEFT_OK;
}

static weft_status receive_times(actor *self, int32_t rank, weft_error *error)
{
    const weft_program *program = self->job->train;
    uint32_t first = program->lanes[program->rank_lanes[rank]].first, count = 0;
    for (int32_t i = program->rank_lanes[rank]; i < program->rank_lanes[rank + 1]; i++)
        count += program->lanes[i].count;
    double *parts[] = {self->measured.begin + first, self->measured.end + first};
    for (int i = 0; i < 2; i++) {
        weft_request request = -1;
        TRY(self->transport->operations->receive(self->transport, NULL,
                                                 weft_world_number(self->job, (weft_coordinates){.rank = rank}),
                                                 WEFT_TAG_TIMES, parts[i], count * sizeof(double), &request, error));
        TRY(weft_worker_await(self->worker, request, "times", error));
    }
    return WEFT_OK;
}

/* Seconds by which this rank began after the first one; 0 where nobody can tell. */
static double lag(const actor *self)
{
    int64_t first = self->notes[0].start;
    for (int32_t r = 0; r < self->job->workers; r++) {
        if (self->notes[r].clock != self->clock || !self->clock) return 0;
        if (self->notes[r].start < first) first = self->notes[r].start;
    }
    return (double)(self->notes[self->worker->number].start - first) * 1e-9;
}

/* Messages as they are simulated: one that comes in with latency is as long on its receiver's lane as on its sender's.
 */
static void place_messages(actor *self)
{
    const weft_program *program = self->job->train;
    weft_timeline *measured = &self->measured;
    weft_timeline_meet(measured);
    for (uint32_t a = 0; a < program->action_count; a++) {
        double begin = measured->begin[a] + weft_costs_latency(self->job->costs, program->actions[a]);
        if (begin < measured->end[a]) measured->begin[a] = begin;
    }
}

static weft_status tell_step(void *context, weft_error *error)
{
    const actor *self = context;
    return self->rehearsal->step(self->rehearsal->context, self->worker->step, &self->measured, error);
}

static weft_status share_times(actor *self, weft_error *error)
{
    bool collects = self->worker->number == 0;
    double *begin = collects ? self->measured.begin : self->own_begin;
    double *end = collects ? self->measured.end : self->own_end, late = lag(self);
    weft_executor_times(self->worker->train, begin, end); /* rank 0's actions are the program's first */
    for (uint32_t i = 0; i < self->count; i++) {
        begin[i] += late;
        end[i] += late;
    }
    if (self->worker->at.data > 0 || self->worker->at.tensor > 0)
        return WEFT_OK; /* the first pipeline speaks for all */
    if (!collects) return send_times(self, error);
    for (int32_t r = 1; r < self->job->ranks; r++) TRY(receive_times(self, r, error));
    place_messages(self);
    return weft_waiting_work(self->worker, "the record of the step", tell_step, self, error);
}

/* All ranks see the same notes, and so end with the same step; the first one is always run. */
static bool is_asked_to_stop(const actor *self)
{
    for (int32_t r = 0; r < self->job->workers; r++)
        if (self->notes[r].stop) return true;
    return false;
}

static weft_status run_steps(actor *self, weft_error *error)
{
    for (int64_t step = 1; step <= self->rehearsal->steps; step++) {
        self->worker->step = step;
        TRY(exchange(self, "start of a step", error));
        if (step > 1 && is_asked_to_stop(self)) break;
        TRY(weft_worker_run(self->worker, false, error));
        TRY(exchange(self, "end of a step", error));
        TRY(share_times(self, error));
    }
    return exchange(self, "end of the rehearsal", error); /* nobody leaves before rank 0 has told everything */
}

static weft_status work(void *context, int32_t rank, weft_transport *transport, weft_error *error)
{
    const cast *all = context;
    actor *self = &all->actors[rank];
    *self = (actor){.job = all->job, .rehearsal = all->rehearsal, .transport = transport};
    weft_arena_init(&self->arena);
    weft_status status = prepare(self, rank, error);
    if (status == WEFT_OK) status = run_steps(self, error);
    if (status != WEFT_OK && status != WEFT_STOPPED) transport->operations->stop(transport);
    return status;
}

static void leave(void *context, int32_t rank)
{
    actor *self = &((cast *)context)->actors[rank];
    if (self->transport) self->transport->operations->destroy(self->transport);
    weft_worker_destroy(self->worker);
    weft_timeline_fini(&self->measured);
    weft_arena_fini(&self->arena);
}

weft_status weft_rehearse(const weft_job *job, const weft_rehearsal *rehearsal, weft_error *error)
{
    cast all = {.job = job, .rehearsal = rehearsal};
    TRY(weft_allocate((size_t)job->workers, sizeof *all.actors, &all.actors, error));
    weft_crew crew = {.context = &all, .work = work, .leave = leave, .late = rehearsal->late};
    weft_status status = weft_crew_run(job, &crew, error);
    weft_free(all.actors);
    return status;
}
