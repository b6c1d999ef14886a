#include "train/job.h"

#include "train/fit.h"

void weft_job_destroy(weft_job *job)
{
    if (!job) return;
    weft_job_fini(job);
    weft_free(job);
}

static weft_status create(const weft_config *config, weft_job_use use, const weft_job_rehearsal *rehearsal,
                          weft_job **out, weft_error *error)
{
    weft_job *job = NULL;
    *out = NULL;
    weft_status status = weft_allocate(1, sizeof *job, &job, error);
    if (status != WEFT_OK) {
        weft_schedule_destroy(rehearsal->schedule);
        return status;
    }
    weft_arena_init(&job->arena);
    job->use = use;
    job->schedule = rehearsal->schedule;
    job->costs = rehearsal->costs;
    job->lower = rehearsal->lower;
    status = weft_job_build(config, job, error);
    size_t need = status == WEFT_OK ? weft_job_largest(job) : 0;
    if (config->memory_limit > 0 && need > (size_t)config->memory_limit) status = weft_job_refuse(job, error);
    if (status == WEFT_OK)
        *out = job;
    else
        weft_job_destroy(job);
    return status;
}

weft_status weft_job_create(const weft_config *config, weft_job **out, weft_error *error)
{
    return weft_job_create_for(config, WEFT_JOB_TRAINS, out, error);
}

weft_status weft_job_create_for(const weft_config *config, weft_job_use use, weft_job **out, weft_error *error)
{
    return create(config, use, &(weft_job_rehearsal){0}, out, error);
}

weft_status weft_job_create_rehearsal(const weft_config *config, const weft_job_rehearsal *rehearsal, weft_job **out,
                                      weft_error *error)
{
    return create(config, WEFT_JOB_TRAINS, rehearsal, out, error);
}
