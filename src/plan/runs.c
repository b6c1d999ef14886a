#include "plan/runs.h"

#include "base/text.h"
#include "plan/csv.h"
#include "program/program.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 256, MOST_COLUMNS = 64 };

typedef struct reader {
    const char *at, *end, *source;
    size_t row;
    weft_error *error;
} reader;

typedef void take_text(weft_plan_run *run, const char *text);

typedef enum value_kind { TEXT, NUMBER, FLAG, IGNORED } value_kind;

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static void take_id(weft_plan_run *run, const char *text)
{
    copy(run->id, sizeof run->id, text);
}

static void take_group(weft_plan_run *run, const char *text)
{
    copy(run->group, sizeof run->group, text);
}

static void take_gpu(weft_plan_run *run, const char *text)
{
    copy(run->gpu, sizeof run->gpu, text);
}

static void take_model(weft_plan_run *run, const char *text)
{
    copy(run->model.name, sizeof run->model.name, text);
}

static void take_arch(weft_plan_run *run, const char *text)
{
    static const struct {
        const char *name;
        bool gated, tied;
    } known[] = {{"gpt", false, true}, {"llama", true, false}, {"nemotron", false, false}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(text, known[i].name, strlen(known[i].name)) != 0) continue;
        run->model.gated = known[i].gated;
        run->model.tied = known[i].tied;
        return;
    }
    run->unusable = "architecture";
}

static void take_schedule(weft_plan_run *run, const char *text)
{
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++)
        if (strcmp(text, weft_plan_kind_name((weft_plan_kind)kind)) == 0) {
            run->layout.kind = (uint8_t)kind;
            return;
        }
    run->unusable = "schedule";
}

static void take_recompute(weft_plan_run *run, const char *text)
{
    static const char *const names[] = {"none", "selective", "full"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) run->layout.recompute = (uint8_t)i;
}

static void take_attention(weft_plan_run *run, const char *text)
{
    run->model.attention = strcmp(text, "unfused") == 0 ? WEFT_PLAN_ATTENTION_UNFUSED : WEFT_PLAN_ATTENTION_FLASH;
}

static void take_precision(weft_plan_run *run, const char *text)
{
    if (strstr(text, "fp8") || strstr(text, "float8")) run->unusable = "precision";
    run->fp16 = strstr(text, "fp16") && !strstr(text, "bf16");
}

static void take_memory_kind(weft_plan_run *run, const char *text)
{
    copy(run->memory_kind, sizeof run->memory_kind, text);
}

/* A column: a text with a function that takes it, or a number of the row that read_row fills in. */
typedef enum number {
    GPU_MEMORY,
    GPUS,
    GPUS_PER_NODE,
    LAYERS,
    HIDDEN,
    FFN,
    HEADS,
    KV_HEADS,
    VOCABULARY,
    SEQUENCE,
    GLOBAL_BATCH,
    MICRO_BATCH,
    MICRO_BATCHES,
    DATA,
    TENSOR,
    PIPELINE,
    LOOPS,
    CONTEXT,
    EXPERT,
    SHARD,
    SEQUENCE_PARALLEL,
    EDGE_LAYERS_LESS,
    STEP,
    MEMORY,
    OUT_OF_MEMORY,
    NUMBERS
} number;

static const struct {
    const char *name;
    value_kind kind;
    take_text *take;
    number place;
} columns[] = {
    {"id", TEXT, take_id, 0},
    {"group", TEXT, take_group, 0},
    {"gpu", TEXT, take_gpu, 0},
    {"gpu_mem_gb", NUMBER, NULL, GPU_MEMORY},
    {"gpus", NUMBER, NULL, GPUS},
    {"gpus_per_node", NUMBER, NULL, GPUS_PER_NODE},
    {"model", TEXT, take_model, 0},
    {"arch", TEXT, take_arch, 0},
    {"layers", NUMBER, NULL, LAYERS},
    {"hidden", NUMBER, NULL, HIDDEN},
    {"ffn", NUMBER, NULL, FFN},
    {"heads", NUMBER, NULL, HEADS},
    {"kv_heads", NUMBER, NULL, KV_HEADS},
    {"vocab", NUMBER, NULL, VOCABULARY},
    {"seq", NUMBER, NULL, SEQUENCE},
    {"global_batch", NUMBER, NULL, GLOBAL_BATCH},
    {"micro_batch", NUMBER, NULL, MICRO_BATCH},
    {"micro_batches", NUMBER, NULL, MICRO_BATCHES},
    {"data", NUMBER, NULL, DATA},
    {"tensor", NUMBER, NULL, TENSOR},
    {"pipeline", NUMBER, NULL, PIPELINE},
    {"loops", NUMBER, NULL, LOOPS},
    {"context", NUMBER, NULL, CONTEXT},
    {"expert", NUMBER, NULL, EXPERT},
    {"schedule", TEXT, take_schedule, 0},
    {"shard", NUMBER, NULL, SHARD},
    {"sequence_parallel", NUMBER, NULL, SEQUENCE_PARALLEL},
    {"recompute", TEXT, take_recompute, 0},
    {"precision", TEXT, take_precision, 0},
    {"attention", TEXT, take_attention, 0},
    {"edge_layers_less", NUMBER, NULL, EDGE_LAYERS_LESS},
    {"step_s", NUMBER, NULL, STEP},
    {"mem_bytes", NUMBER, NULL, MEMORY},
    {"mem_kind", TEXT, take_memory_kind, 0},
    {"oom", NUMBER, NULL, OUT_OF_MEMORY},
    {"computed", IGNORED, NULL, 0},
    {"source", IGNORED, NULL, 0},
};

enum { KNOWN = sizeof columns / sizeof *columns };

static void first_word(char *text)
{
    size_t skip = strspn(text, " ");
    memmove(text, text + skip, strlen(text + skip) + 1);
    text[strcspn(text, " (")] = '\0';
}

static weft_status read_header(reader *from, int column_of[MOST_COLUMNS], int *out_count)
{
    char cell[CELL];
    bool goes_on = true, seen[KNOWN] = {false};
    for (*out_count = 0; goes_on; (*out_count)++) {
        goes_on = weft_plan_csv_cell(&from->at, from->end, cell, CELL);
        size_t i = 0;
        while (i < KNOWN && strcmp(columns[i].name, cell) != 0) i++;
        if (i == KNOWN) FAIL(from->error, WEFT_INVALID, "%s: unknown column '%.40s'", from->source, cell);
        if (seen[i] || *out_count == MOST_COLUMNS)
            FAIL(from->error, WEFT_INVALID, "%s: column '%s' is there twice", from->source, cell);
        seen[i] = true;
        column_of[*out_count] = (int)i;
    }
    return WEFT_OK;
}

static weft_status take_cell(reader *from, int column, char *cell, double *numbers, weft_plan_run *run)
{
    if (columns[column].kind == IGNORED) return WEFT_OK;
    if (columns[column].take == take_precision) {
        take_precision(run, cell);
        return WEFT_OK;
    }
    if (columns[column].kind == TEXT && columns[column].take != take_id && columns[column].take != take_group &&
        columns[column].take != take_model)
        first_word(cell);
    if (!*cell) return WEFT_OK;
    if (columns[column].kind == TEXT) {
        columns[column].take(run, cell);
        return WEFT_OK;
    }
    first_word(cell);
    double value = 0;
    if (!weft_parse_double(cell, &value) || value < 0)
        FAIL(from->error, WEFT_INVALID, "%s: row %zu: %s: '%.40s' is not a number from 0 up", from->source, from->row,
             columns[column].name, cell);
    numbers[columns[column].place] = value;
    return WEFT_OK;
}

static int32_t whole(const double *numbers, number which, double otherwise)
{
    double value = numbers[which] >= 1 ? numbers[which] : otherwise;
    return value < INT32_MAX ? (int32_t)value : INT32_MAX;
}

static void name_gpu(weft_plan_run *run, double memory)
{
    char name[sizeof run->gpu + 16];
    size_t length = strlen(run->gpu);
    if (length == 0) return; /* that of the cluster */
    for (const weft_plan_gpu *gpu = weft_plan_gpus(); gpu->name[0]; gpu++) {
        if (strcmp(gpu->name, run->gpu) == 0) return;
        snprintf(name, sizeof name, "%.31s-%.0fGB", run->gpu, memory > 0 ? memory : gpu->memory / 1e9);
        bool same_kind = strncmp(gpu->name, run->gpu, length) == 0 && length > 0;
        bool fits = memory > 0 ? strcmp(gpu->name, name) == 0 || gpu->memory == memory * 1e9 : gpu->memory >= 80e9;
        if (strncmp(run->gpu, "V100", 4) == 0 && strncmp(gpu->name, "V100", 4) == 0) same_kind = fits = true;
        if (!same_kind || !fits) continue;
        copy(run->gpu, sizeof run->gpu, gpu->name);
        return;
    }
    run->gpu[0] = '\0';
    if (!run->unusable) run->unusable = "gpu";
}

static void fill_numbers(weft_plan_run *run, const double *numbers)
{
    weft_plan_model *model = &run->model;
    model->layers = whole(numbers, LAYERS, 0);
    model->hidden = whole(numbers, HIDDEN, 0);
    model->ffn = whole(numbers, FFN, 0);
    model->heads = whole(numbers, HEADS, 0);
    model->kv_heads = whole(numbers, KV_HEADS, 0);
    model->vocabulary = whole(numbers, VOCABULARY, 0);
    model->sequence = whole(numbers, SEQUENCE, 0);
    weft_plan_layout *layout = &run->layout;
    layout->data = whole(numbers, DATA, 1);
    layout->tensor = whole(numbers, TENSOR, 1);
    layout->pipeline = whole(numbers, PIPELINE, 1);
    layout->loops = whole(numbers, LOOPS, 1);
    layout->context = whole(numbers, CONTEXT, 1);
    layout->micro_batch = whole(numbers, MICRO_BATCH, 0);
    layout->micro_batches = whole(numbers, MICRO_BATCHES, 0);
    layout->rounds = 1;
    layout->shard = (uint8_t)(numbers[SHARD] < WEFT_SHARDS ? numbers[SHARD] : WEFT_SHARD_NONE);
    layout->sequence_parallel = numbers[SEQUENCE_PARALLEL] > 0;
    layout->edge_layers_less = numbers[EDGE_LAYERS_LESS] > 0;
    run->gpu_memory = numbers[GPU_MEMORY] * 1e9;
    run->gpus = whole(numbers, GPUS, 1);
    run->gpus_per_node = whole(numbers, GPUS_PER_NODE, 8);
    run->global_batch = whole(numbers, GLOBAL_BATCH, 0);
    run->step = numbers[STEP];
    run->memory = numbers[MEMORY];
    run->out_of_memory = numbers[OUT_OF_MEMORY] > 0;
}

static void judge(weft_plan_run *run, const double *numbers)
{
    weft_error ignored;
    weft_error_clear(&ignored);
    name_gpu(run, numbers[GPU_MEMORY]);
    if (run->layout.pipeline > 1 && run->layout.kind == WEFT_PLAN_NONE) run->layout.kind = WEFT_PLAN_1F1B;
    if (run->unusable) return;
    if (numbers[EXPERT] > 1) run->unusable = "experts";
    if (run->layout.micro_batch < 1 || run->layout.micro_batches < 1) run->unusable = "micro-batches";
    if (weft_plan_model_complete(&run->model, &ignored) != WEFT_OK) run->unusable = "model";
}

static weft_status read_row(reader *from, const int *column_of, int count, weft_plan_runs *runs)
{
    char cell[CELL];
    double numbers[NUMBERS] = {0};
    weft_plan_run run = {.layout = {.kind = WEFT_PLAN_NONE}};
    int i = 0;
    for (bool goes_on = true; goes_on; i++) {
        goes_on = weft_plan_csv_cell(&from->at, from->end, cell, CELL);
        if (i >= count)
            FAIL(from->error, WEFT_INVALID, "%s: row %zu has more than %d cells", from->source, from->row, count);
        TRY(take_cell(from, column_of[i], cell, numbers, &run));
    }
    if (i == 1 && count > 1) return WEFT_OK; /* an empty line */
    if (i < count)
        FAIL(from->error, WEFT_INVALID, "%s: row %zu has %d cell%s, the header %d", from->source, from->row, i,
             weft_text_plural(i), count);
    fill_numbers(&run, numbers);
    judge(&run, numbers);
    TRY(weft_grow(&runs->rows, &runs->capacity, runs->count + 1, sizeof *runs->rows, from->error));
    runs->rows[runs->count++] = run;
    return WEFT_OK;
}

weft_status weft_plan_runs_read(weft_plan_runs *runs, const char *text, size_t length, const char *source,
                                weft_error *error)
{
    reader from = {.at = text, .end = text + length, .source = source, .row = 1, .error = error};
    int column_of[MOST_COLUMNS], count = 0;
    if (length == 0) FAIL(error, WEFT_INVALID, "%s: is empty", source);
    TRY(read_header(&from, column_of, &count));
    while (from.at < from.end) {
        from.row++;
        TRY(read_row(&from, column_of, count, runs));
    }
    return WEFT_OK;
}

void weft_plan_runs_fini(weft_plan_runs *runs)
{
    weft_free(runs->rows);
    *runs = (weft_plan_runs){0};
}
