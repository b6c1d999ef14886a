#include "train/job.h"

#include "base/json.h"
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
    size_t all = 0, pinned = 0;
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
        if (memory->pinned > pinned) pinned = memory->pinned;
    }
    int32_t workers = job->data * job->tensor;
    if (workers > 1) weft_text_add(out, "each of the %d workers of a rank: at most the above\n", workers);
    weft_text_add(out, "all workers %.1f MiB\n", mebibytes(all * (size_t)workers));
    if (!job->device->host_reaches)
        weft_text_add(out, "each has at most %.1f MiB of the host's memory besides, pinned\n", mebibytes(pinned));
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

static void print_sizes(const weft_job *job, weft_text *out)
{
    const weft_config *config = job->config;
    weft_text_add(out, "model      ");
    weft_text_add_count(out, job->elements, "parameter");
    weft_text_add(out, ", ");
    weft_text_add_count(out, config->model.layers, "layer");
    weft_text_add(out, ", width %lld, vocabulary %lld\nbatch      ", (long long)config->model.width,
                  (long long)config->model.vocabulary);
    weft_text_add_count(out, config->batch.microbatches, "micro-batch");
    weft_text_add(out, " of ");
    weft_text_add_count(out, config->batch.sequences, "sequence");
    weft_text_add(out, " of ");
    weft_text_add_count(out, config->batch.tokens, "token");
    weft_text_add(out, "\n");
}

void weft_job_print(const weft_job *job, const char *notes, weft_text *out)
{
    const weft_config *config = job->config;
    print_sizes(job, out);
    weft_text_add(out, "workers    %d x %s, %s, %d thread%s each, over %s\n", job->workers, job->device->name,
                  weft_element_name(job->options.element), job->options.threads, weft_text_plural(job->options.threads),
                  weft_transport_kind_get(config->transport)->name);
    weft_text_add(out, "schedule   %s, ", job->schedule->name);
    weft_schedule_add_shape(job->stage_count, job->ranks, out);
    weft_text_add(out, ", recomputation %s\n", config->recompute == WEFT_CONFIG_RECOMPUTE_FULL ? "full" : "none");
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

static void json_stages(const weft_job *job, weft_json *json)
{
    weft_json_list(json, "stages", WEFT_JSON_ROW);
    for (int32_t s = 0; s < job->stage_count; s++) {
        const weft_job_stage *stage = &job->stages[s];
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_int(json, "stage", s);
        weft_json_int(json, "rank", stage->rank);
        weft_json_int(json, "first_layer", stage->first_layer);
        weft_json_int(json, "layers", stage->layer_count);
        weft_json_int(json, "parameters", stage->elements);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
}

static void json_memory(const weft_job *job, weft_json *json)
{
    weft_json_list(json, "memory", WEFT_JSON_ROW);
    for (int32_t r = 0; r < job->ranks; r++) {
        const weft_job_memory *memory = &job->memory[r];
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_int(json, "rank", r);
        for (int c = 0; c < WEFT_CATEGORIES; c++) weft_json_int(json, columns[c].name, (int64_t)memory->bytes[c]);
        if (!job->device->host_reaches) weft_json_int(json, "pinned", (int64_t)memory->pinned);
        weft_json_int(json, "total", (int64_t)memory->total);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
}

static void json_notes(const char *notes, weft_json *json)
{
    int length = 0;
    weft_json_list(json, "notes", WEFT_JSON_ROW);
    for (const char *at = notes, *next = NULL; *at; at = next) {
        char note[512];
        next = next_note(at, &length);
        snprintf(note, sizeof note, "%.*s", length, at);
        weft_json_text(json, NULL, note);
    }
    weft_json_list_end(json);
}

static void json_predicted(const weft_job *job, weft_json *json)
{
    weft_text_add(weft_json_item(json, "predicted_bubble"), "%.6f", job->predicted_bubble);
    weft_text_add(weft_json_item(json, "predicted_efficiency"), "%.6f", job->predicted_efficiency);
    weft_text_add(weft_json_item(json, "step_flops"), "%.6e", job->step_flops);
}

void weft_job_print_json(const weft_job *job, const char *notes, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    size_t all = 0;
    for (int32_t r = 0; r < job->ranks; r++) all += job->memory[r].total;
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_int(&json, "parameters", job->elements);
    weft_json_text(&json, "schedule", job->schedule->name);
    weft_json_int(&json, "ranks", job->ranks);
    weft_json_int(&json, "data", job->data);
    weft_json_int(&json, "tensor", job->tensor);
    weft_json_int(&json, "workers", job->workers);
    weft_json_int(&json, "stage_count", job->stage_count);
    weft_json_int(&json, "microbatches", job->schedule->microbatches);
    weft_json_int(&json, "actions", job->train->action_count);
    weft_json_truth(&json, "verified", true);
    weft_json_truth(&json, "ascending", job->schedule->ascending);
    json_predicted(job, &json);
    json_stages(job, &json);
    json_memory(job, &json);
    json_notes(notes, &json);
    weft_json_int(&json, "total_bytes", (int64_t)(all * (size_t)(job->data * job->tensor)));
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}
