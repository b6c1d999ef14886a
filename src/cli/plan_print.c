#include "cli/plan_print.h"
#include "base/json.h"
#include "plan/moves.h"

#include <math.h>
#include <string.h>

typedef struct cell {
    bool is_text;
    double number;
    const char *text;
    int digits; /* behind the point */
} cell;

typedef cell take(const weft_plan_case *which, const weft_plan_row *row);

static cell number(double value, int digits)
{
    return (cell){false, value, NULL, digits};
}

static cell word(const char *text)
{
    return (cell){true, 0, text, 0};
}

static double step(const weft_plan_row *row)
{
    return row->replayed.time.step;
}

static double tokens_per_second(const weft_plan_case *which, const weft_plan_row *row)
{
    return (double)which->question.batch * (double)which->question.model->sequence / step(row);
}

static cell take_step(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(step(row), 3);
}

static cell take_tokens(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(tokens_per_second(which, row), 0);
}

static cell take_tokens_each(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(tokens_per_second(which, row) / (double)which->question.gpus, 1);
}

static double flops_each(const weft_plan_case *which, const weft_plan_row *row)
{
    const weft_plan_question *q = &which->question;
    return weft_plan_sample_flops(q->model) * (double)q->batch / step(row) / (double)q->gpus;
}

static cell take_flops(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(flops_each(which, row) / 1e12, 1);
}

static cell take_utilisation(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(flops_each(which, row) / which->question.cluster->gpu.peak, 3);
}

static cell take_hours(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(weft_plan_case_hours(which, row), 1);
}

static cell take_cost(const weft_plan_case *which, const weft_plan_row *row)
{
    return number(weft_plan_case_cost(which, row), 0);
}

static cell take_data(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.data, 0);
}

static cell take_tensor(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.tensor, 0);
}

static cell take_pipeline(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.pipeline, 0);
}

static cell take_loops(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.loops, 0);
}

static cell take_schedule(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(weft_plan_kind_name((weft_plan_kind)row->layout.kind));
}

static cell take_rounds(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.rounds, 0);
}

static cell take_micro_batch(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.micro_batch, 0);
}

static cell take_micro_batches(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->layout.micro_batches, 0);
}

static cell take_shard(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(weft_shard_names()[row->layout.shard]);
}

static cell take_recompute(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(weft_plan_recompute_name((weft_plan_recompute)row->layout.recompute));
}

static cell take_sequence_parallel(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(row->layout.sequence_parallel ? "yes" : "no");
}

static cell take_idle(const weft_plan_case *which, const weft_plan_row *row)
{
    return number((double)(which->question.gpus - weft_plan_layout_gpus(&row->layout)), 0);
}

static cell take_memory(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->replayed.memory.bytes / 1e9, 1);
}

static cell take_free(const weft_plan_case *which, const weft_plan_row *row)
{
    return number((which->question.cluster->gpu.memory - row->replayed.memory.bytes) / 1e9, 1);
}

static cell take_part(const weft_plan_row *row, weft_plan_part part)
{
    return number(row->replayed.time.part[part] / step(row), 3);
}

static cell take_bubble(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return take_part(row, WEFT_PLAN_BUBBLE);
}

static cell take_messages(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return take_part(row, WEFT_PLAN_MESSAGES);
}

static cell take_gradients(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(
        (row->replayed.time.part[WEFT_PLAN_GRADIENTS] + row->replayed.time.part[WEFT_PLAN_WEIGHTS]) / step(row), 3);
}

static cell take_tensor_share(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return take_part(row, WEFT_PLAN_TENSOR);
}

static cell take_host_share(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return take_part(row, WEFT_PLAN_HOST);
}

static cell take_limit(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(weft_plan_part_name(row->limit));
}

static cell take_without(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->without_limit, 3);
}

static cell take_source(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return word(row->replayed.exact ? "replay" : "screen");
}

static cell take_confidence(const weft_plan_case *which, const weft_plan_row *row)
{
    static const char *const names[] = {
        [WEFT_PLAN_UNSEEN] = "unseen", [WEFT_PLAN_FITTED_TO] = "fitted", [WEFT_PLAN_TIMED] = "timed"};
    const weft_plan_question *question = &which->question;
    return word(names[weft_plan_confidence_of(question->model, question->cluster, &row->layout)]);
}

static cell take_layers(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->replayed.first_layers, 0);
}

static cell take_last_layers(const weft_plan_case *which, const weft_plan_row *row)
{
    (void)which;
    return number(row->replayed.last_layers, 0);
}

/* heading: in the table for people, where it is shown; NULL: only in CSV and JSON. */
static const struct {
    const char *name, *heading;
    int width;
    take *get;
} columns[] = {
    {"step_s", "step s", 8, take_step},
    {"tokens_per_s", "tokens/s", 11, take_tokens},
    {"tokens_per_s_per_gpu", NULL, 0, take_tokens_each},
    {"model_tflops_per_gpu", "Tflop/s", 8, take_flops},
    {"utilisation", NULL, 0, take_utilisation},
    {"hours", "hours", 9, take_hours},
    {"cost", "cost", 10, take_cost},
    {"data", "data", 5, take_data},
    {"tensor", "tens", 5, take_tensor},
    {"pipeline", "pipe", 5, take_pipeline},
    {"loops", "loops", 6, take_loops},
    {"schedule", "schedule", 23, take_schedule},
    {"rounds", NULL, 0, take_rounds},
    {"micro_batch", "size", 5, take_micro_batch},
    {"micro_batches", "count", 6, take_micro_batches},
    {"shard", "shard", 10, take_shard},
    {"recompute", "recompute", 10, take_recompute},
    {"sequence_parallel", "seq", 4, take_sequence_parallel},
    {"idle_gpus", "idle", 5, take_idle},
    {"first_layers", NULL, 0, take_layers},
    {"last_layers", NULL, 0, take_last_layers},
    {"memory_gb", "GB", 6, take_memory},
    {"memory_free_gb", NULL, 0, take_free},
    {"bubble", "bubble", 7, take_bubble},
    {"exposed_messages", NULL, 0, take_messages},
    {"exposed_gradients", NULL, 0, take_gradients},
    {"tensor_share", NULL, 0, take_tensor_share},
    {"host_share", NULL, 0, take_host_share},
    {"limit", "limit", 11, take_limit},
    {"step_without_limit_s", NULL, 0, take_without},
    {"confidence", NULL, 0, take_confidence},
    {"source", NULL, 0, take_source},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

static size_t shown(const weft_plan_case *which, size_t top)
{
    return top < which->answer.count ? top : which->answer.count;
}

/* Whether one of the first rows leaves GPUs idle. */
static bool has_idle(const weft_plan_case *which, size_t rows)
{
    for (size_t i = 0; i < shown(which, rows); i++)
        if (weft_plan_layout_gpus(&which->answer.rows[i].layout) < which->question.gpus) return true;
    return false;
}

static bool is_shown(size_t column, const weft_plan_case *which, bool idle)
{
    if (!columns[column].heading) return false;
    if (columns[column].get == take_hours) return which->tokens > 0;
    if (columns[column].get == take_cost) return which->tokens > 0 && which->question.cluster->price > 0;
    return columns[column].get != take_idle || idle;
}

static void add_head(const weft_planning *p, weft_text *out)
{
    weft_text_add(out, "model     %s: %.3g parameters, ", p->model.name, weft_plan_parameters(&p->model));
    weft_text_add_count(out, p->model.layers, "layer");
    weft_text_add(out, " of %lld\n", (long long)p->model.hidden);
    weft_text_add(out, "cluster   %s: %s, %d a node, software %s\n", p->cluster.name, p->cluster.gpu.name,
                  p->cluster.gpus_per_node, p->cluster.software.name);
}

static void add_foot(const weft_planning *p, weft_text *out)
{
    uint64_t looked = 0, replays = 0;
    bool stopped = p->case_count < p->gpu_count * p->batch_count;
    for (int i = 0; i < p->case_count; i++) {
        looked += p->cases[i].answer.screened.enumerated;
        replays += p->cases[i].answer.replays;
        stopped |= p->cases[i].answer.stopped;
    }
    weft_text_add(out, "looked at ");
    weft_text_add_count(out, (int64_t)looked, "layout");
    weft_text_add(out, ", replayed %llu by their programs%s\n", (unsigned long long)replays,
                  stopped ? "; stopped before the rest" : "");
    weft_plan_confidence trust = weft_plan_confidence_of(&p->model, &p->cluster, NULL);
    weft_text_add(out, "trust     %s\n\n", weft_plan_confidence_text(trust));
}

static void add_headings(const weft_plan_case *which, bool idle, weft_text *out)
{
    for (size_t c = 0; c < COLUMNS; c++)
        if (is_shown(c, which, idle)) weft_text_add(out, "  %*s", columns[c].width, columns[c].heading);
    weft_text_add(out, "\n");
}

static void add_cells(const weft_plan_case *which, bool idle, const weft_plan_row *row, weft_text *out)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        if (!is_shown(c, which, idle)) continue;
        cell value = columns[c].get(which, row);
        if (value.is_text)
            weft_text_add(out, "  %*s", columns[c].width, value.text);
        else
            weft_text_add(out, "  %*.*f", columns[c].width, value.digits, value.number);
    }
    weft_text_add(out, "\n");
}

void weft_plan_print_text(const weft_planning *p, weft_text *out)
{
    const weft_plan_case *which = &p->cases[0];
    size_t count = shown(which, (size_t)p->top);
    bool idle = has_idle(which, count);
    add_head(p, out);
    weft_text_add(out, "step      ");
    weft_text_add_count(out, which->question.batch, "sequence");
    weft_text_add(out, " of ");
    weft_text_add_count(out, p->model.sequence, "token");
    weft_text_add(out, " on ");
    weft_text_add_count(out, which->question.gpus, "GPU");
    weft_text_add(out, "\n");
    add_foot(p, out);
    weft_text_add(out, "    ");
    add_headings(which, idle, out);
    for (size_t i = 0; i < count; i++) {
        weft_text_add(out, "%3zu%s", i + 1, which->answer.rows[i].equal ? "=" : " ");
        add_cells(which, idle, &which->answer.rows[i], out);
    }
    if (count > 1) weft_text_add(out, "\n=: less than 2 %% slower than the row before\n");
}

void weft_plan_print_cases(const weft_planning *p, const char *marks, weft_text *out)
{
    bool idle = false;
    for (int i = 0; i < p->case_count; i++) idle |= has_idle(&p->cases[i], 1);
    add_head(p, out);
    add_foot(p, out);
    weft_text_add(out, "      GPUs   batch ");
    add_headings(&p->cases[0], idle, out);
    for (int i = 0; i < p->case_count; i++) {
        const weft_plan_case *which = &p->cases[i];
        weft_text_add(out, "%10lld %7lld%c", (long long)which->question.gpus, (long long)which->question.batch,
                      marks ? marks[i] : ' ');
        if (weft_plan_case_has(which))
            add_cells(which, idle, &which->answer.rows[0], out);
        else
            weft_text_add(out, "  %s\n", which->refusal.text);
    }
}

static void add_csv_row(const weft_plan_case *which, size_t row, weft_text *out)
{
    weft_text_add(out, "%lld,%lld,%zu", (long long)which->question.gpus, (long long)which->question.batch, row + 1);
    for (size_t c = 0; c < COLUMNS; c++) {
        cell value = columns[c].get(which, &which->answer.rows[row]);
        if (value.is_text)
            weft_text_add(out, ",%s", value.text);
        else if (isnan(value.number))
            weft_text_add(out, ",");
        else
            weft_text_add(out, ",%.6g", value.number);
    }
    weft_text_add(out, "\n");
}

void weft_plan_print_csv(const weft_planning *p, weft_text *out)
{
    weft_text_add(out, "gpus,batch,rank");
    for (size_t c = 0; c < COLUMNS; c++) weft_text_add(out, ",%s", columns[c].name);
    weft_text_add(out, "\n");
    for (int i = 0; i < p->case_count; i++)
        for (size_t row = 0; row < shown(&p->cases[i], (size_t)p->top); row++) add_csv_row(&p->cases[i], row, out);
}

enum { DIGITS = 9 }; /* of a number in JSON */

static void add_json_row(weft_json *json, const weft_plan_case *which, size_t place)
{
    weft_json_object(json, NULL, WEFT_JSON_ROW);
    weft_json_int(json, "rank", (int64_t)place + 1);
    for (size_t c = 0; c < COLUMNS; c++) {
        cell value = columns[c].get(which, &which->answer.rows[place]);
        if (value.is_text)
            weft_json_text(json, columns[c].name, value.text);
        else
            weft_json_rounded(json, columns[c].name, DIGITS, value.number);
    }
    weft_json_object_end(json);
}

static void add_json_case(weft_json *json, const weft_plan_case *which, size_t top)
{
    const weft_plan_screened *screened = &which->answer.screened;
    weft_json_object(json, NULL, WEFT_JSON_LINES);
    weft_json_int(json, "gpus", which->question.gpus);
    weft_json_int(json, "batch", which->question.batch);
    weft_json_int(json, "enumerated", (int64_t)screened->enumerated);
    weft_json_int(json, "replays", (int64_t)which->answer.replays);
    weft_json_truth(json, "stopped", which->answer.stopped);
    weft_json_text(json, "refusal", which->refusal.status == WEFT_OK ? NULL : which->refusal.text);
    weft_json_object(json, "refused", WEFT_JSON_LINES);
    for (int reason = 0; reason < WEFT_PLAN_REASONS; reason++)
        weft_json_int(json, weft_plan_reason_text((weft_plan_reason)reason), (int64_t)screened->refused[reason]);
    weft_json_object_end(json);
    weft_json_list(json, "plans", WEFT_JSON_LINES);
    for (size_t i = 0; i < shown(which, top); i++) add_json_row(json, which, i);
    weft_json_list_end(json);
    weft_json_object_end(json);
}

void weft_plan_print_json(const weft_planning *p, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "model", p->model.name);
    weft_json_rounded(&json, "parameters", DIGITS, weft_plan_parameters(&p->model));
    weft_json_text(&json, "cluster", p->cluster.name);
    weft_json_list(&json, "cases", WEFT_JSON_LINES);
    for (int i = 0; i < p->case_count; i++) add_json_case(&json, &p->cases[i], (size_t)p->top);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}
