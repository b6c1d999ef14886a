#include "train/frozen.h"

#include <stdio.h>
#include <string.h>

static weft_status no_such(weft_job *job, const char *pattern, weft_error *error)
{
    const char **names = NULL;
    int count = 0;
    TRY(weft_arena_take(&job->arena, (size_t)job->parameter_count, sizeof *names, &names, error));
    for (int32_t p = 0; p < job->parameter_count; p++)
        if (!job->parameters[p].tied) names[count++] = job->parameters[p].name;
    int near = weft_text_nearest(pattern, names, count);
    return weft_config_complain(job->config, "optimizer.frozen", error, "no parameter is named '%s' (%s: '%s'%s)",
                                pattern, near >= 0 ? "nearest" : "there is", names[near >= 0 ? near : 0],
                                job->config->model.tied ? "; a tied head is part of embedding.token" : "");
}

static weft_status freeze(weft_job *job, const char *pattern, weft_error *error)
{
    bool found = false;
    for (int32_t p = 0; p < job->parameter_count; p++) {
        if (job->parameters[p].tied || !weft_parameter_fits(job->parameters[p].name, pattern)) continue;
        job->frozen[p] = found = true;
    }
    return found ? WEFT_OK : no_such(job, pattern, error);
}

/* A tied head is listed behind its embedding. */
static weft_status settle(weft_job *job, weft_error *error)
{
    bool token = false, all = true;
    for (int32_t p = 0; p < job->parameter_count; p++) {
        if (strcmp(job->parameters[p].name, "embedding.token") == 0) token = job->frozen[p];
        if (job->parameters[p].tied) job->frozen[p] = token;
        all &= job->frozen[p];
    }
    if (!all) return WEFT_OK;
    return weft_config_complain(job->config, "optimizer.frozen", error, "every parameter is frozen: nothing to train");
}

/* The embedding is looked up, and multiplies nothing. */
static weft_status count_products(weft_job *job, weft_error *error)
{
    TRY(weft_arena_take(&job->arena, (size_t)job->config->model.layers + 1, sizeof *job->products, &job->products,
                        error));
    for (int32_t p = 0; p < job->parameter_count; p++) {
        const weft_parameter *parameter = &job->parameters[p];
        if (parameter->dimensions != 2 || parameter->layer < 0) continue;
        job->products[parameter->layer].elements += (double)parameter->elements;
        if (job->frozen[p]) job->products[parameter->layer].frozen += (double)parameter->elements;
    }
    return WEFT_OK;
}

weft_status weft_job_freeze(weft_job *job, weft_error *error)
{
    TRY(weft_arena_take(&job->arena, (size_t)job->parameter_count, sizeof *job->frozen, &job->frozen, error));
    for (const char *at = job->config->optimizer.frozen; *(at += strspn(at, " "));) {
        size_t length = strcspn(at, " ");
        char pattern[WEFT_PATTERN_BYTES];
        if (length >= sizeof pattern)
            return weft_config_complain(job->config, "optimizer.frozen", error,
                                        "a pattern of more than %d characters: no name is as long",
                                        WEFT_PATTERN_BYTES - 1);
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, at);
        TRY(freeze(job, pattern, error));
        at += length;
    }
    TRY(settle(job, error));
    return count_products(job, error);
}

double weft_job_trained(const weft_job *job, int32_t layer)
{
    return 1 - job->products[layer].frozen / job->products[layer].elements;
}

double weft_job_frozen_flops(const weft_job *job)
{
    double frozen = 0;
    for (int64_t i = 0; i <= job->config->model.layers; i++) frozen += job->products[i].frozen;
    return 2 * frozen;
}
