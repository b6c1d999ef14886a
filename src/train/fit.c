/* Whether a job fits into memory, and what would make it fit. */
#include "train/fit.h"

#include "transport/kinds.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

size_t weft_job_largest(const weft_job *job)
{
    size_t largest = 0;
    for (int32_t r = 0; r < job->ranks; r++)
        if (job->memory[r].total > largest) largest = job->memory[r].total;
    return largest;
}

/* Of the job that another configuration would make; 0 when that is impossible. */
static size_t largest_if(const weft_config *changed)
{
    weft_job_memory memory;
    int32_t rank = 0;
    weft_error ignored;
    weft_error_clear(&ignored);
    return weft_job_measure(changed, NULL, &memory, &rank, &ignored) == WEFT_OK ? memory.total : 0;
}

/* What may make a job fit, the least change first. */
static const struct {
    bool shard, early, recompute, single;
    const char *change;
} remedies[] = {
    {true, false, false, false, "parallel.shard=weights"},
    {false, false, true, false, "recompute=full"},
    {true, false, true, false, "parallel.shard=weights with recompute=full"},
    {true, true, true, false, "parallel.shard=weights with parallel.reduce=early and recompute=full"},
    {false, false, true, true, "recompute=full with batch.sequences=1 and as many more micro-batches"},
    {true, true, true, true,
     "parallel.shard=weights with parallel.reduce=early, recompute=full, batch.sequences=1 and as many more "
     "micro-batches"},
};

/* The first change after which the largest worker needs no more than `limit` bytes, or NULL. */
static const char *find_remedy(const weft_config *config, double limit, size_t *out_need)
{
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++) {
        weft_config changed = *config;
        if (remedies[i].shard && config->parallel.data == 1) continue;
        if (remedies[i].shard) changed.parallel.shard = WEFT_CONFIG_SHARD_WEIGHTS;
        if (remedies[i].early) changed.parallel.reduce = WEFT_CONFIG_REDUCE_EARLY;
        if (remedies[i].recompute) changed.recompute = WEFT_CONFIG_RECOMPUTE_FULL;
        if (remedies[i].single) {
            changed.batch.sequences = 1;
            changed.batch.microbatches *= config->batch.sequences;
        }
        *out_need = largest_if(&changed);
        if (*out_need && (double)*out_need <= limit) return remedies[i].change;
    }
    return NULL;
}

static const char no_remedy[] =
    "split over more workers (parallel.pipeline, parallel.tensor) or choose a smaller model";

weft_status weft_job_refuse(const weft_job *job, weft_error *error)
{
    const weft_config *config = job->config;
    size_t then = 0;
    const char *change = find_remedy(config, (double)config->memory_limit, &then);
    return weft_config_complain(config, "memory_limit", error,
                                "the largest worker needs %.1f MiB, the limit is %.1f MiB; %s%s",
                                (double)weft_job_largest(job) / 1048576, (double)config->memory_limit / 1048576,
                                change ? change : no_remedy, change ? " would fit" : "");
}

/* Bytes that all workers of this process may have: those of the machine, swap too, or what the process is limited to.
 */
static double process_bytes(void)
{
    struct rlimit limit;
    struct sysinfo info;
    bool known = sysinfo(&info) == 0;
    double machine = known ? ((double)info.totalram + (double)info.totalswap) * info.mem_unit : HUGE_VAL;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? fmin(machine, (double)limit.rlim_cur) : machine;
}

/* The same of devices that have memory of their own. */
static double there_is(const weft_job *job)
{
    const bool processes = weft_transport_kind_get(job->config->transport)->processes;
    const double own = weft_device_room(job->device, job->options.index, processes ? 1 : job->workers);
    return own > 0 ? own : process_bytes();
}

/* Bytes that they need; those that are processes of their own may share a machine or not. */
static double process_need(const weft_job *job)
{
    double all = 0;
    if (weft_transport_kind_get(job->config->transport)->processes) return (double)weft_job_largest(job);
    for (int32_t r = 0; r < job->ranks; r++) all += (double)job->memory[r].total * job->data * job->tensor;
    return all;
}

/* Less than that is hardly worth a try. */
static const double worth = 0.75;

void weft_job_advise(const weft_job *job, weft_error *error)
{
    const weft_config *config = job->config;
    char reason[WEFT_ERROR_TEXT];
    size_t then = 0, now = weft_job_largest(job);
    double share = weft_transport_kind_get(config->transport)->processes ? 1 : job->workers;
    const char *change = find_remedy(config, fmin(there_is(job) / share, worth * (double)now), &then);
    memcpy(reason, error->text, sizeof reason);
    if (change)
        weft_fail(error, error->status, "%s; with %s the largest worker would need %.1f MiB, not %.1f MiB", reason,
                  change, (double)then / 1048576, (double)now / 1048576);
    else
        weft_fail(error, error->status, "%s; %s", reason, no_remedy);
}

bool weft_job_outgrows(const weft_job *job, double *out_need, double *out_there)
{
    *out_need = process_need(job);
    *out_there = there_is(job);
    return *out_need > *out_there;
}
