#include "train/staging.h"

#include "train/share.h"
#include "train/world.h"
#include "transport/kinds.h"

/* A piece is one message where that is long enough to be worth a copy, and short enough to have two of on each lane. */
static const size_t shortest_piece = (size_t)64 << 10, longest_piece = (size_t)1 << 20;

static bool is_needed(const weft_job *job)
{
    const weft_transport_kind *transport = weft_transport_kind_get(job->config->transport);
    if (job->device->host_reaches || transport->reaches_devices) return false;
    return !(transport->peer_copies && job->device->peer_copies);
}

/* Lanes of messages that the busiest rank has. */
static int32_t count_messages(const weft_program *program)
{
    int32_t most = 0;
    for (int32_t r = 0; r < program->ranks; r++) {
        int32_t count = 0;
        for (int32_t i = program->rank_lanes[r]; i < program->rank_lanes[r + 1]; i++)
            count += program->lanes[i].peer >= 0;
        if (count > most) most = count;
    }
    return most;
}

/* At most: to and from every other member of the groups that add, and a gather in each group. */
static int32_t count_lanes(const weft_job *job)
{
    int32_t sums = 2 * (job->data - 1) + 2 * 2 * (job->tensor - 1), tied = 2 * (weft_share_holders(job) - 1);
    return count_messages(job->train) + count_messages(job->forward) + sums + tied + WEFT_WORLD_PURPOSES + 1;
}

static weft_staged_options find_options(const weft_job *job)
{
    size_t message = weft_job_boundary(job);
    size_t piece = message < shortest_piece ? shortest_piece : message < longest_piece ? message : longest_piece;
    return (weft_staged_options){.lanes = count_lanes(job), .piece = piece};
}

size_t weft_staging_bytes(const weft_job *job)
{
    if (!is_needed(job)) return 0;
    weft_staged_options options = find_options(job);
    return weft_staged_transport_pinned(&options);
}

weft_status weft_staging_wrap(const weft_job *job, const weft_group *groups, int32_t group_count,
                              weft_transport **transport, weft_error *error)
{
    weft_transport *staged = NULL;
    if (!is_needed(job)) return WEFT_OK;
    weft_staged_options options = find_options(job);
    options.groups = groups;
    options.group_count = group_count;
    TRY(weft_staged_transport_create(*transport, &options, &staged, error));
    *transport = staged;
    return WEFT_OK;
}
