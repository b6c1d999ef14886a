/* What a job is that a user may not have meant: no mistake, but worth a line before the first step. */
#include "train/fit.h"

/* Pipeline ranks none of whose stages has a layer; out fails where there is no memory to count them. */
static int32_t count_idle(const weft_job *job, weft_text *out)
{
    bool *busy = NULL;
    int32_t idle = 0;
    out->failed |= weft_allocate((size_t)job->ranks, sizeof *busy, &busy, NULL) != WEFT_OK;
    if (!busy) return 0;
    for (int32_t s = 0; s < job->stage_count; s++) busy[job->stages[s].rank] |= job->stages[s].layer_count > 0;
    for (int32_t r = 0; r < job->ranks; r++) idle += !busy[r];
    weft_free(busy);
    return idle;
}

/* A placement list that gives the head a stage of its own, where the embedding is. */
static bool has_head_apart(const weft_job *job)
{
    const weft_job_stage *last = &job->stages[job->stage_count - 1];
    return job->schedule->loops == 0 && last->layer_count == 0 && last->rank == job->stages[0].rank;
}

/* Nobody asked for a first or last stage without a layer, and it may well be best: the embedding or the head is enough
 * for it. But with fewer layers than stages, a list, or a stage that holds nothing at all, somebody did. */
static bool is_asked(const weft_job *job)
{
    const weft_config *config = job->config;
    int32_t stages = job->stage_count - has_head_apart(job);
    for (int32_t s = 1; s < job->stage_count - 1; s++)
        if (job->stages[s].layer_count == 0) return true;
    return config->parallel.stages.count > 0 || config->model.layers < stages;
}

static void note_empty(const weft_job *job, weft_text *out)
{
    int32_t empty = 0, idle = count_idle(job, out) * job->data * job->tensor;
    for (int32_t s = 0; s < job->stage_count; s++) empty += job->stages[s].layer_count == 0;
    if (empty == 0 || !is_asked(job)) return;
    int32_t count = idle ? idle : empty, all = idle ? job->workers : job->stage_count;
    bool listed = job->config->parallel.stages.count > 0;
    weft_text_add(out, "%d of %d %s hold%s no layer: model.layers is %lld, for %d stages (%s)\n", count, all,
                  idle ? "workers" : "stages", count == 1 ? "s" : "", (long long)job->config->model.layers,
                  job->stage_count, listed ? "parallel.stages" : "parallel.pipeline x parallel.loops");
}

static void note_rate(const weft_config *config, weft_text *out)
{
    int64_t steps = config->run.steps, warmup = config->optimizer.warmup, left = steps > warmup ? steps - warmup : 0;
    bool wsd = config->optimizer.decay == WEFT_CONFIG_WSD;
    if (warmup > steps)
        weft_text_add(out,
                      "optimizer.warmup takes %lld steps, run.steps is %lld: the learning rate ends at %.3g of its "
                      "peak\n",
                      (long long)warmup, (long long)steps, (double)steps / (double)warmup);
    else if (wsd && config->optimizer.decay_steps > left)
        weft_text_add(out, "optimizer.decay_steps is %lld, the steps after the warm-up are %lld: it decays in those\n",
                      (long long)config->optimizer.decay_steps, (long long)left);
}

void weft_job_notes(const weft_job *job, weft_text *out)
{
    double need = 0, there = 0;
    note_empty(job, out);
    note_rate(job->config, out);
    if (!job->schedule->ascending)
        weft_text_add(out,
                      "gradients do not arrive in ascending micro-batch order: the bits differ from those of weft's "
                      "own schedules\n");
    if (weft_job_outgrows(job, &need, &there))
        weft_text_add(out,
                      "the workers need %.1f MiB, there are %.1f MiB here: set memory_limit to learn what would fit\n",
                      need / 1048576, there / 1048576);
}
