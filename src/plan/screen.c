#include "plan/screen.h"

#include "plan/kept.h"
#include "plan/view.h"

#include <stdlib.h>

/* More divisors than any number up to a billion has; the widest that parallel.data takes; passes that a schedule may
 * have. */
enum { MOST_DIVISORS = 4096, WIDEST = 65536, MOST_PASSES = 1 << 30 };

const char *weft_plan_reason_text(weft_plan_reason reason)
{
    static const char *const texts[WEFT_PLAN_REASONS] = {
        [WEFT_PLAN_REFUSED_HEADS] = "tensor width does not divide the heads or the feed-forward net",
        [WEFT_PLAN_REFUSED_LAYERS] = "stages do not divide the layers",
        [WEFT_PLAN_REFUSED_BATCH] =
            "data width and micro-batch do not divide the batch, or leave too few micro-batches",
        [WEFT_PLAN_REFUSED_MICRO_BATCH] = "sizes of a micro-batch of which one layer alone does not fit",
        [WEFT_PLAN_REFUSED_WEIGHTS] = "weights, gradients and optimizer alone do not fit",
        [WEFT_PLAN_REFUSED_MEMORY] = "activations besides do not fit",
        [WEFT_PLAN_REFUSED_SLOWER] = "slower than what is kept",
    };
    return texts[reason];
}

/* Numbers that divide another, ascending. */
typedef struct divisors {
    int32_t values[MOST_DIVISORS];
    int count;
} divisors;

static void find_divisors(int64_t of, divisors *out)
{
    out->count = 0;
    for (int64_t i = 1; i * i <= of && out->count < MOST_DIVISORS; i++)
        if (of % i == 0) out->values[out->count++] = (int32_t)i;
    for (int i = out->count - 1; i >= 0 && out->count < MOST_DIVISORS; i--) {
        int64_t other = of / out->values[i];
        if (other != out->values[i] && other <= INT32_MAX) out->values[out->count++] = (int32_t)other;
    }
}

typedef struct search {
    const weft_plan_question *question;
    const volatile sig_atomic_t *stop;
    weft_plan_screened *out;
    weft_plan_kept kept;
    weft_plan_cell cell;
    weft_plan_layout layout; /* as far as it is chosen */
    divisors *batch, *pipelines, *loops, *node;
    double room; /* bytes of a GPU */
} search;

static bool allows(int32_t fixed, int32_t value)
{
    return fixed == 0 || fixed == value;
}

static bool has(uint32_t of_software, uint32_t fixed, int value)
{
    uint32_t bit = 1u << value;
    return (of_software & bit) && (fixed == 0 || (fixed & bit));
}

static void refuse(search *s, weft_plan_reason reason)
{
    s->out->refused[reason]++;
}

/* The nearest miss of each schedule. */
static void note_miss(search *s, double memory)
{
    weft_plan_candidate *miss = &s->out->misses[s->layout.kind];
    if (miss->memory > 0 && memory >= miss->memory) return;
    *miss = (weft_plan_candidate){s->layout, 0, memory};
}

static weft_status price(search *s, const weft_plan_view *view, weft_plan_waits waits,
                         weft_plan_activations activations, weft_error *error)
{
    weft_plan_kind kind = (weft_plan_kind)s->layout.kind;
    weft_shard shard = (weft_shard)s->layout.shard;
    const weft_plan_cluster *cluster = s->question->cluster;
    double memory = weft_plan_view_memory(view, activations, shard);
    s->out->enumerated++;
    if (memory > s->room) {
        double state = weft_plan_state_bytes(&cluster->software, shard, view->D) * view->parameters;
        bool hopeless = state + cluster->reserved > s->room;
        refuse(s, hopeless ? WEFT_PLAN_REFUSED_WEIGHTS : WEFT_PLAN_REFUSED_MEMORY);
        note_miss(s, memory);
        return WEFT_OK;
    }
    weft_plan_travel travel = weft_plan_view_travel(view, kind, s->layout.rounds, shard);
    double step = view->m * view->worst + waits.bubble + waits.messages + travel.gradients + travel.weights +
                  weft_plan_view_optimizer(view, shard) + cluster->software.step;
    s->out->priced++;
    if (!weft_plan_kept_wants(&s->kept, kind, shard, step, memory)) return WEFT_OK;
    weft_plan_candidate candidate = {s->layout, step, memory};
    return weft_plan_kept_offer(&s->kept, &candidate, error);
}

static weft_status try_shards(search *s, const weft_plan_view *view, weft_error *error)
{
    const weft_plan_question *q = s->question;
    weft_plan_kind kind = (weft_plan_kind)s->layout.kind;
    weft_plan_waits waits = weft_plan_view_waits(view, kind, s->layout.rounds);
    weft_plan_activations activations = weft_plan_view_activations(view, kind, s->layout.rounds);
    for (int shard = 0; shard < WEFT_SHARDS; shard++) {
        bool divides = view->D > 1 || shard == WEFT_SHARD_NONE;
        if (!divides || !has(q->cluster->software.shards, q->fix.shards, shard)) continue;
        s->layout.shard = (uint8_t)shard;
        TRY(price(s, view, waits, activations, error));
    }
    return WEFT_OK;
}

static bool too_few(const weft_plan_layout *layout, weft_plan_kind kind)
{
    return layout->micro_batches < (int64_t)weft_plan_kind_of(kind)->least * layout->pipeline;
}

static bool fits_stages(const weft_plan_layout *layout, weft_plan_kind kind)
{
    return (kind == WEFT_PLAN_NONE) == (layout->pipeline == 1) && weft_plan_kind_has_loops(kind, layout->loops);
}

bool weft_plan_kind_goes_with(const weft_plan_layout *layout, weft_plan_kind kind)
{
    return fits_stages(layout, kind) && !too_few(layout, kind);
}

static weft_status try_rounds(search *s, const weft_plan_view *view, weft_error *error)
{
    const weft_plan_layout *layout = &s->layout;
    for (int i = 0; i < s->batch->count; i++) {
        int32_t rounds = s->batch->values[i];
        if (rounds > layout->micro_batches / layout->pipeline) break;
        if (rounds < 2 || layout->micro_batches % rounds != 0 || !allows(s->question->fix.rounds, rounds)) continue;
        if (layout->micro_batches / rounds == layout->pipeline) break; /* that is depth-first */
        s->layout.rounds = rounds;
        TRY(try_shards(s, view, error));
    }
    return WEFT_OK;
}

static weft_status try_kind(search *s, weft_plan_kind kind, const weft_plan_view *view, weft_error *error)
{
    if (too_few(&s->layout, kind)) {
        refuse(s, WEFT_PLAN_REFUSED_BATCH);
        return WEFT_OK;
    }
    s->layout.kind = (uint8_t)kind;
    s->layout.rounds = 1;
    if (kind == WEFT_PLAN_HYBRID) return try_rounds(s, view, error);
    return allows(s->question->fix.rounds, 1) ? try_shards(s, view, error) : WEFT_OK;
}

/* Kinds on a v share a view of their own. */
static weft_status try_kinds(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    weft_plan_view views[2];
    bool made[2] = {false, false};
    for (int i = 0; i < WEFT_PLAN_KINDS; i++) {
        weft_plan_kind kind = (weft_plan_kind)i;
        if (!has(q->cluster->software.kinds, q->fix.kinds, kind) || !fits_stages(&s->layout, kind)) continue;
        bool turns = weft_plan_kind_of(kind)->turns;
        s->layout.kind = (uint8_t)kind;
        if (!made[turns]) weft_plan_view_make(q->model, q->cluster, &s->cell, &s->layout, &views[turns]);
        made[turns] = true;
        TRY(try_kind(s, kind, &views[turns], error));
    }
    return WEFT_OK;
}

/* Whether so many micro-batches are not more than a schedule has. */
static bool can_pass(const weft_plan_layout *layout, int64_t micro_batches)
{
    return micro_batches <= MOST_PASSES / 3 / ((int64_t)layout->pipeline * layout->loops);
}

/* Data widths, with the micro-batches that they leave: D b m is the batch. */
static weft_status try_data(search *s, int64_t workers, weft_error *error)
{
    const weft_plan_question *q = s->question;
    int64_t pieces = q->batch / s->layout.micro_batch;
    for (int i = 0; i < s->batch->count; i++) {
        int32_t data = s->batch->values[i];
        if (data > workers || data > WIDEST) break;
        if (!allows(q->fix.data, data)) continue;
        if (pieces % data != 0 || !can_pass(&s->layout, pieces / data)) {
            refuse(s, WEFT_PLAN_REFUSED_BATCH);
            continue;
        }
        s->layout.data = data;
        s->layout.micro_batches = (int32_t)(pieces / data);
        TRY(try_kinds(s, error));
    }
    return WEFT_OK;
}

/* Whether layers go into so many stages: evenly, or as the splitter has it where the user chose the pipeline. */
static bool goes_into(const weft_plan_question *q, int32_t pipeline, int32_t loops)
{
    int64_t stages = (int64_t)pipeline * loops;
    if (pipeline == 1 && loops > 1) return false;
    return q->model->layers % stages == 0 || (q->fix.pipeline > 0 && stages <= q->model->layers);
}

static weft_status try_pipelines(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    int64_t most = q->gpus / ((int64_t)s->layout.tensor * s->layout.context);
    for (int i = 0; i < s->pipelines->count && s->pipelines->values[i] <= most; i++)
        for (int k = 0; k < s->loops->count; k++) {
            int32_t pipeline = s->pipelines->values[i], loops = s->loops->values[k];
            if (!goes_into(q, pipeline, loops)) {
                refuse(s, WEFT_PLAN_REFUSED_LAYERS);
                continue;
            }
            if (s->stop && *s->stop) return WEFT_OK;
            s->layout.pipeline = pipeline;
            s->layout.loops = loops;
            TRY(try_data(s, most / pipeline, error));
        }
    return WEFT_OK;
}

/* What the cell depends on besides the tensor width. */
static weft_status try_cells(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    const weft_plan_software *software = &q->cluster->software;
    for (int recompute = 0; recompute < WEFT_PLAN_RECOMPUTES; recompute++) {
        if (!has(software->recomputes, q->fix.recomputes, recompute)) continue;
        for (int i = 0; i < s->batch->count; i++) {
            int32_t micro_batch = s->batch->values[i];
            if (!allows(q->fix.micro_batch, micro_batch)) continue;
            s->layout.micro_batch = micro_batch;
            s->layout.recompute = (uint8_t)recompute;
            weft_plan_cell_make(q->model, q->cluster, s->layout.tensor, s->layout.context, micro_batch,
                                (weft_plan_recompute)recompute, s->layout.sequence_parallel, &s->cell);
            if (s->cell.saved_bytes + q->cluster->reserved > s->room) { /* and larger ones need more */
                s->out->refused[WEFT_PLAN_REFUSED_MICRO_BATCH] += (uint64_t)(s->batch->count - i);
                break;
            }
            TRY(try_pipelines(s, error));
        }
    }
    return WEFT_OK;
}

static weft_status try_sequence_parallel(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    bool can = q->cluster->software.sequence_parallel && s->layout.tensor > 1;
    for (int yes = 0; yes <= can; yes++) {
        if ((q->fix.sequence_parallel > 0 && !yes && can) || (q->fix.sequence_parallel < 0 && yes)) continue;
        s->layout.sequence_parallel = yes;
        TRY(try_cells(s, error));
    }
    return WEFT_OK;
}

static bool divides_model(const weft_plan_model *model, int32_t tensor)
{
    return model->heads % tensor == 0 && model->kv_heads % tensor == 0 && model->ffn % tensor == 0;
}

static weft_status try_tensors(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    for (int i = 0; i < s->node->count; i++) {
        int32_t tensor = s->node->values[i];
        if (tensor > q->gpus || !allows(q->fix.tensor, tensor)) continue;
        if (!divides_model(q->model, tensor)) {
            refuse(s, WEFT_PLAN_REFUSED_HEADS);
            continue;
        }
        s->layout.tensor = tensor;
        s->layout.context = q->fix.context > 0 ? q->fix.context : 1;
        TRY(try_sequence_parallel(s, error));
    }
    return WEFT_OK;
}

/* A value that is decided alone is the only one that is tried, whether it divides or not. */
static void choose(divisors *list, int32_t fixed)
{
    if (fixed > 0) *list = (divisors){{fixed}, 1};
}

static size_t gather_misses(weft_plan_candidate *misses)
{
    size_t count = 0;
    for (size_t kind = 0; kind < WEFT_PLAN_KINDS; kind++)
        if (misses[kind].memory > 0) misses[count++] = misses[kind];
    if (count) qsort(misses, count, sizeof *misses, weft_plan_candidate_compare);
    return count;
}

static weft_status run(search *s, weft_error *error)
{
    const weft_plan_question *q = s->question;
    TRY(weft_allocate(WEFT_PLAN_KINDS, sizeof *s->out->misses, &s->out->misses, error));
    find_divisors(q->batch, s->batch);
    find_divisors(q->model->layers, s->pipelines);
    find_divisors(q->model->layers, s->loops);
    find_divisors(q->cluster->gpus_per_node, s->node);
    choose(s->pipelines, q->fix.pipeline);
    choose(s->loops, q->fix.loops);
    choose(s->node, q->fix.tensor); /* also beyond a node, when it is asked for */
    TRY(try_tensors(s, error));
    s->out->miss_count = gather_misses(s->out->misses);
    TRY(weft_plan_kept_list(&s->kept, &s->out->best, &s->out->best_count, error));
    s->out->refused[WEFT_PLAN_REFUSED_SLOWER] = s->out->priced - s->out->best_count;
    return WEFT_OK;
}

weft_status weft_plan_screen(const weft_plan_question *question, const volatile sig_atomic_t *stop,
                             weft_plan_screened *out, weft_error *error)
{
    *out = (weft_plan_screened){0};
    TRY(weft_plan_question_check(question, error));
    divisors *lists = NULL;
    search s = {.question = question, .stop = stop, .out = out, .room = question->cluster->gpu.memory};
    weft_status status = weft_allocate(4, sizeof *lists, &lists, error);
    if (status == WEFT_OK) status = weft_plan_kept_init(&s.kept, (size_t)question->top, error);
    if (status == WEFT_OK) {
        s.batch = lists;
        s.pipelines = lists + 1;
        s.loops = lists + 2;
        s.node = lists + 3;
        status = run(&s, error);
    }
    weft_plan_kept_fini(&s.kept);
    weft_free(lists);
    if (status != WEFT_OK) weft_plan_screened_fini(out);
    return status;
}

void weft_plan_screened_fini(weft_plan_screened *screened)
{
    weft_free(screened->best);
    weft_free(screened->misses);
    *screened = (weft_plan_screened){0};
}
