/* Which steps are timed, and how their times come together on one axis. */
#include "base/clock.h"
#include "train/executor.h"
#include "train/loop_parts.h"
#include "transport/kinds.h"

enum { ROW_BYTES = 48 }; /* of an action in a file */

static const int64_t most_bytes = 64 << 20;

int64_t weft_loop_timeline_every(const weft_job *job, int64_t steps)
{
    int64_t count = job->config->run.timelines, most = most_bytes / (ROW_BYTES * (int64_t)job->train->action_count);
    if (count > most) count = most;
    return count > 0 ? (steps + count - 1) / count : 0;
}

weft_status weft_loop_prepare_timing(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    uint32_t own = weft_executor_count(loop->worker->train);
    loop->clock = weft_transport_kind_get(job->config->transport)->clock();
    TRY(weft_arena_take(&loop->arena, own, sizeof *loop->own_begin, &loop->own_begin, error));
    TRY(weft_arena_take(&loop->arena, own, sizeof *loop->own_end, &loop->own_end, error));
    TRY(weft_arena_take(&loop->arena, (size_t)job->workers, sizeof *loop->starts, &loop->starts, error));
    return weft_timeline_init(&loop->measured, job->train, error);
}

/* Of the first pipeline: the others run the same actions. Each rank's times count from its own start. */
static weft_status gather_times(weft_loop *loop, weft_error *error)
{
    const weft_job *job = loop->job;
    weft_worker *worker = loop->worker;
    weft_executor_times(worker->train, loop->own_begin, loop->own_end);
    for (int32_t w = 0; w < job->workers; w++) worker->gathers.bytes[w] = 0;
    for (int32_t r = 0; r < job->ranks; r++) {
        uint32_t count = 0;
        for (int32_t i = job->train->rank_lanes[r]; i < job->train->rank_lanes[r + 1]; i++)
            count += job->train->lanes[i].count;
        worker->gathers.bytes[weft_world_number(job, (weft_coordinates){.rank = r})] = count * sizeof(double);
    }
    const double *parts[2] = {loop->own_begin, loop->own_end};
    double *all[2] = {loop->measured.begin, loop->measured.end};
    for (int i = 0; i < 2; i++) {
        weft_request request = -1;
        TRY(worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, parts[i],
                                                  worker->gathers.bytes, all[i], &request, error));
        TRY(weft_worker_await(worker, request, "times", error));
    }
    return WEFT_OK;
}

static void shift(const weft_timeline *timeline, int32_t rank, double seconds)
{
    const weft_program *program = timeline->program;
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            timeline->begin[a] += seconds;
            timeline->end[a] += seconds;
        }
    }
}

/* Ranks that share a clock lie as they did, and the step began with the first of them; without one all began together,
 * as far as anybody knows. */
static weft_status align(weft_loop *loop, weft_timeline_record *record, weft_error *error)
{
    const weft_job *job = loop->job;
    weft_start own = {loop->step_begin, (double)weft_executor_start(loop->worker->train) * 1e-9, loop->clock};
    weft_start first = own, *all = loop->starts;
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, all, "starts of their programs", error));
    bool shared = loop->clock != 0;
    for (int32_t w = 0; w < job->workers; w++) shared &= all[w].clock == loop->clock;
    for (int32_t w = 0; shared && w < job->workers; w++) {
        if (all[w].step < first.step) first.step = all[w].step;
        if (all[w].program < first.program) first.program = all[w].program;
    }
    for (int32_t r = 0; shared && r < job->ranks; r++)
        shift(&loop->measured, r, all[weft_world_number(job, (weft_coordinates){.rank = r})].program - first.program);
    record->begin = first.step - first.program;
    record->end = loop->step_end - first.program;
    return WEFT_OK;
}

weft_status weft_loop_share_timeline(weft_loop *loop, weft_timeline_record *record, weft_error *error)
{
    TRY(gather_times(loop, error));
    TRY(align(loop, record, error));
    weft_timeline_meet(&loop->measured);
    record->measured = &loop->measured;
    return weft_loop_tell_timeline(loop, record, error);
}
