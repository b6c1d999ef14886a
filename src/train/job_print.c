#include "train/job.h"

#include "transport/kinds.h"

#include <stdio.h>
#include <string.h>

static double mebibytes(size_t bytes)
{
    return (double)bytes / 1048576;
}

static void print_stages(const weft_job *job, weft_text *out)
{
    weft_text_add(out, "stage  rank  layers            parameters\n");
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        char layers[64] = "none", with[32];
        if (stage->layer_count > 0)
            snprintf(layers, sizeof layers, "%d-%d", stage->first_layer, stage->first_layer + stage->layer_count - 1);
        snprintf(with, sizeof with, "%s%s", s == 0 ? " + embedding" : "", s == job->stage_count - 1 ? " + head" : "");
        weft_text_add(out, "%5d  %4d  %-5s%-12s  %10lld\n", s, stage->rank, layers, with, (long long)stage->elements);
    }
}

/* In order of weft_memory_category. */
static const struct {
    const char *name;
    int width;
} columns[WEFT_CATEGORIES] = {{"weights", 8},      {"gradients", 9}, {"optimizer", 9},
                              {"activations", 11}, {"messages", 8},  {"workspace", 9}};

static void print_memory(const weft_job *job, weft_text *out)
{
    size_t all = 0;
    weft_text_add(out, "\nmemory, MiB\nrank");
    for (int c = 0; c < WEFT_CATEGORIES; c++) weft_text_add(out, "  %*s", columns[c].width, columns[c].name);
    weft_text_add(out, "     total\n");
    for (int32_t r = 0; r < job->ranks; r++) {
        const weft_job_memory *memory = &job->memory[r];
        weft_text_add(out, "%4d", r);
        for (int c = 0; c < WEFT_CATEGORIES; c++)
            weft_text_add(out, "  %*.1f", columns[c].width, mebibytes(memory->bytes[c]));
        weft_text_add(out, "  %8.1f\n", mebibytes(memory->total));
        all += memory->total;
    }
    int32_t workers = job->data * job->tensor;
    if (workers > 1) weft_text_add(out, "each of the %d workers of a rank: at most the above\n", workers);
    weft_text_add(out, "all workers %.1f MiB\n", mebibytes(all * (size_t)workers));
}

static const char *next_note(const char *note, int *out_length)
{
    *out_length = (int)strcspn(note, "\n");
    return note + *out_length + (note[*out_length] == '\n');
}

static void print_notes(const char *notes, weft_text *out)
{
    int length = 0;
    for (const char *at = notes, *next = NULL; *at; at = next) {
        next = next_note(at, &length);
        weft_text_add(out, "note       %.*s\n", length, at);
    }
}

void weft_job_print(const weft_job *job, const char *notes, weft_text *out)
{
    const weft_config *config = job->config;
    weft_text_add(out, "model      %lld parameters, %lld layers, width %lld, vocabulary %lld\n",
                  (long long)job->elements, (long long)config->model.layers, (long long)config->model.width,
                  (long long)config->model.vocabulary);
    weft_text_add(out, "batch      %lld micro-batches of %lld sequences of %lld tokens\n",
                  (long long)config->batch.microbatches, (long long)config->batch.sequences,
                  (long long)config->batch.tokens);
    weft_text_add(out, "workers    %d x %s, %s, %d thread%s each, over %s\n", job->workers, job->device->name,
                  weft_element_name(job->options.element), job->options.threads, job->options.threads == 1 ? "" : "s",
                  weft_transport_kind_get(config->transport)->name);
    weft_text_add(out, "schedule   %s, %d stages over %d ranks, recomputation %s\n", job->schedule->name,
                  job->stage_count, job->ranks, config->recompute == WEFT_CONFIG_RECOMPUTE_FULL ? "full" : "none");
    if (job->data > 1)
        weft_text_add(out, "data       %d pipelines side by side, shard %s, %s\n", job->data,
                      weft_shard_names()[job->shard], job->gradient_pages ? "reduced early" : "reduced once a step");
    if (job->tensor > 1)
        weft_text_add(out, "tensor     %d workers divide each layer, and the rows between layers\n", job->tensor);
    weft_text_add(out, "program    %u actions, verified\n", job->train->action_count);
    print_notes(notes, out);
    weft_text_add(out, "predicted  bubble %.1f %% of the step, efficiency %.3f (by flops, without messages)\n",
                  100 * job->predicted_bubble, job->predicted_efficiency);
    weft_text_add(out, "step       %.3f Tflop\n\n", job->step_flops * 1e-12);
    print_stages(job, out);
    print_memory(job, out);
}

static void json_stages(const weft_job *job, weft_text *out)
{
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        weft_text_add(out, "%s{\"stage\": %d, \"rank\": %d, \"first_layer\": %d, \"layers\": %d, \"parameters\": %lld}",
                      s ? ", " : "", s, stage->rank, stage->first_layer, stage->layer_count,
                      (long long)stage->elements);
    }
}

static void json_memory(const weft_job *job, weft_text *out)
{
    for (int32_t r = 0; r < job->ranks; r++) {
        const weft_job_memory *memory = &job->memory[r];
        weft_text_add(out, "%s{\"rank\": %d", r ? ", " : "", r);
        for (int c = 0; c < WEFT_CATEGORIES; c++)
            weft_text_add(out, ", \"%s\": %zu", columns[c].name, memory->bytes[c]);
        weft_text_add(out, ", \"total\": %zu}", memory->total);
    }
}

static void json_notes(const char *notes, weft_text *out)
{
    int length = 0;
    for (const char *at = notes, *next = NULL; *at; at = next) {
        char note[512];
        next = next_note(at, &length);
        snprintf(note, sizeof note, "%.*s", length, at);
        if (at != notes) weft_text_add(out, ", ");
        weft_text_add_json(out, note);
    }
}

void weft_job_print_json(const weft_job *job, const char *notes, weft_text *out)
{
    weft_text_add(out, "{\"parameters\": %lld, \"schedule\": ", (long long)job->elements);
    weft_text_add_json(out, job->schedule->name);
    weft_text_add(
        out,
        ", \"ranks\": %d, \"data\": %d, \"tensor\": %d, \"workers\": %d, \"stage_count\": %d, \"microbatches\": %d, "
        "\"actions\": %u, \"verified\": true, "
        "\"ascending\": %s",
        job->ranks, job->data, job->tensor, job->workers, job->stage_count, job->schedule->microbatches,
        job->train->action_count, job->schedule->ascending ? "true" : "false");
    weft_text_add(out,
                  ", \"predicted_bubble\": %.6f, \"predicted_efficiency\": %.6f, \"step_flops\": %.6e, \"stages\": [",
                  job->predicted_bubble, job->predicted_efficiency, job->step_flops);
    json_stages(job, out);
    weft_text_add(out, "], \"memory\": [");
    json_memory(job, out);
    size_t all = 0;
    for (int32_t r = 0; r < job->ranks; r++) all += job->memory[r].total;
    weft_text_add(out, "], \"notes\": [");
    json_notes(notes, out);
    weft_text_add(out, "], \"total_bytes\": %zu}\n", all * (size_t)(job->data * job->tensor));
}
