#include "plan/moves.h"

#include <stdio.h>

typedef struct mover {
    const weft_plan_question *question;
    const weft_plan_layout *layout;
    bool exact;
    weft_plan_move *out;
    size_t count;
    weft_error *error;
} mover;

const char *weft_plan_recompute_name(weft_plan_recompute recompute)
{
    static const char *const names[WEFT_PLAN_RECOMPUTES] = {"none", "selective", "full"};
    return names[recompute];
}

void weft_plan_layout_text(const weft_plan_layout *layout, weft_text *out)
{
    weft_text_add(out, "data %d, tensor %d%s, pipeline %d", layout->data, layout->tensor,
                  layout->sequence_parallel ? " with sequence_parallel" : "", layout->pipeline);
    if (layout->context > 1) weft_text_add(out, ", context %d", layout->context);
    if (layout->loops > 1) weft_text_add(out, ", loops %d", layout->loops);
    if (layout->pipeline > 1) weft_text_add(out, ", %s", weft_plan_kind_name((weft_plan_kind)layout->kind));
    if (layout->rounds > 1) weft_text_add(out, " in %d rounds", layout->rounds);
    weft_text_add(out, ", micro_batch %d x %d, shard %s, recompute %s", layout->micro_batch, layout->micro_batches,
                  weft_shard_names()[layout->shard], weft_plan_recompute_name((weft_plan_recompute)layout->recompute));
}

void weft_plan_price(const weft_plan_question *question, const weft_plan_layout *layout, double *out_step,
                     double *out_memory)
{
    weft_plan_cell cell;
    weft_plan_time time;
    weft_plan_memory memory;
    weft_plan_cell_make(question->model, question->cluster, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, &cell);
    weft_plan_step(question->model, question->cluster, &cell, layout, &time);
    weft_plan_memory_of(question->model, question->cluster, &cell, layout, NULL, NULL, &memory);
    *out_step = time.step;
    *out_memory = memory.bytes;
}

/* The next number above (direction 1) or below value that divides `of`; 0 where there is none. */
static int32_t next_divisor(int64_t of, int32_t value, int direction)
{
    int64_t best = 0;
    for (int64_t i = 1; i * i <= of; i++)
        for (int64_t at = i; of % i == 0 && at != 0; at = at == i && i * i != of ? of / i : 0) {
            bool beyond = direction > 0 ? at > value : at < value;
            bool nearer = best == 0 || (direction > 0 ? at < best : at > best);
            if (beyond && nearer) best = at;
        }
    return best <= INT32_MAX ? (int32_t)best : 0;
}

/* As many pipelines side by side as there are GPUs for and as the batch divides over. */
static void fit_data(const weft_plan_question *q, weft_plan_layout *layout)
{
    int64_t pieces = q->batch / layout->micro_batch;
    int64_t most = q->gpus / ((int64_t)layout->tensor * layout->pipeline * layout->context);
    int32_t data = (int32_t)(most < pieces ? most : pieces);
    if (data < 1) data = 1;
    while (pieces % data != 0) data--;
    layout->data = data;
    layout->micro_batches = (int32_t)(pieces / data);
    if (data == 1) layout->shard = WEFT_SHARD_NONE;
}

static bool can(uint32_t set, int bit)
{
    return set >> bit & 1;
}

/* A schedule that goes with the stages a rank; the first of these that the software has. */
static void fit_kind(const weft_plan_question *q, weft_plan_layout *layout)
{
    static const weft_plan_kind looped[] = {WEFT_PLAN_BREADTH_FIRST, WEFT_PLAN_DEPTH_FIRST, WEFT_PLAN_HYBRID};
    static const weft_plan_kind single[] = {WEFT_PLAN_1F1B, WEFT_PLAN_ZB_H1, WEFT_PLAN_GPIPE};
    const weft_plan_kind *order = layout->loops > 1 ? looped : single;
    bool one_round = layout->kind == WEFT_PLAN_HYBRID && layout->rounds == 1; /* which is breadth-first */
    if (weft_plan_kind_goes_with(layout, (weft_plan_kind)layout->kind) && !one_round) return;
    layout->rounds = 1;
    layout->kind = WEFT_PLAN_NONE;
    for (int i = 2; i >= 0 && layout->pipeline > 1; i--)
        if (can(q->cluster->software.kinds, order[i])) layout->kind = (uint8_t)order[i];
}

static const char *why_not(const weft_plan_question *q, const weft_plan_layout *layout)
{
    const weft_plan_software *software = &q->cluster->software;
    const weft_plan_model *model = q->model;
    if (weft_plan_layout_gpus(layout) > q->gpus) return "more GPUs than there are";
    if (model->heads % layout->tensor || model->kv_heads % layout->tensor || model->ffn % layout->tensor)
        return "does not divide the heads or the feed-forward net";
    if (!can(software->kinds, layout->kind) || !weft_plan_kind_goes_with(layout, (weft_plan_kind)layout->kind))
        return "no schedule of the software goes with it";
    if (!can(software->shards, layout->shard) || !can(software->recomputes, layout->recompute) ||
        (layout->sequence_parallel && !software->sequence_parallel))
        return "the software cannot do that";
    if (layout->kind == WEFT_PLAN_HYBRID &&
        (layout->micro_batches % layout->rounds || layout->micro_batches / layout->rounds <= layout->pipeline))
        return "too few micro-batches for the rounds";
    return NULL;
}

static weft_status weigh(mover *m, weft_plan_move *move)
{
    weft_plan_replayed found;
    double room = m->question->cluster->gpu.memory;
    const char *refusal = why_not(m->question, &move->layout);
    if (refusal) {
        snprintf(move->refusal, sizeof move->refusal, "%s", refusal);
        return WEFT_OK;
    }
    weft_plan_price(m->question, &move->layout, &move->step, &move->memory);
    if (m->exact && move->memory <= room) {
        TRY(weft_plan_replay(m->question, &move->layout, &found, m->error));
        move->step = found.time.step;
        move->memory = found.memory.bytes;
    }
    if (move->memory > room)
        snprintf(move->refusal, sizeof move->refusal, "needs %.1f of %.1f GB", move->memory / 1e9, room / 1e9);
    return WEFT_OK;
}

/* Takes a layout as a neighbour; from and to are told as they are given. */
static weft_status offer(mover *m, const char *knob, const weft_plan_layout *layout, const char *from, const char *to)
{
    if (m->count == WEFT_PLAN_MOVES) return WEFT_OK;
    weft_plan_move *move = &m->out[m->count++];
    *move = (weft_plan_move){.knob = knob, .layout = *layout};
    snprintf(move->from, sizeof move->from, "%s", from);
    snprintf(move->to, sizeof move->to, "%s", to);
    return weigh(m, move);
}

static weft_status offer_number(mover *m, const char *knob, weft_plan_layout *layout, int32_t *member, int32_t to)
{
    char old[16], new[16];
    if (to == 0) return WEFT_OK;
    snprintf(old, sizeof old, "%d", *member);
    snprintf(new, sizeof new, "%d", to);
    *member = to;
    if (member == &layout->data)
        layout->micro_batches = (int32_t)(m->question->batch / layout->micro_batch / to);
    else if (member == &layout->micro_batch)
        layout->micro_batches = (int32_t)(m->question->batch / layout->data / to);
    else if (member != &layout->rounds && member != &layout->loops)
        fit_data(m->question, layout);
    if (layout->data == 1) layout->shard = WEFT_SHARD_NONE;
    if (layout->pipeline == 1) layout->loops = 1;
    if (layout->tensor == 1) layout->sequence_parallel = false;
    fit_kind(m->question, layout);
    return offer(m, knob, layout, old, new);
}

static weft_status move_numbers(mover *m, int way)
{
    const weft_plan_layout *own = m->layout;
    int64_t batch = m->question->batch, layers = m->question->model->layers;
    weft_plan_layout next = *own;
    TRY(offer_number(m, "data", &next, &next.data, next_divisor(batch / own->micro_batch, own->data, way)));
    next = *own;
    TRY(offer_number(m, "tensor", &next, &next.tensor,
                     next_divisor(m->question->cluster->gpus_per_node, own->tensor, way)));
    next = *own;
    TRY(offer_number(m, "pipeline", &next, &next.pipeline, next_divisor(layers / own->loops, own->pipeline, way)));
    next = *own;
    if (own->pipeline > 1)
        TRY(offer_number(m, "loops", &next, &next.loops, next_divisor(layers / own->pipeline, own->loops, way)));
    next = *own;
    TRY(offer_number(m, "micro_batch", &next, &next.micro_batch,
                     next_divisor(batch / own->data, own->micro_batch, way)));
    next = *own;
    if (own->kind == WEFT_PLAN_HYBRID)
        TRY(offer_number(m, "rounds", &next, &next.rounds, next_divisor(own->micro_batches, own->rounds, way)));
    return WEFT_OK;
}

static weft_status move_shard(mover *m, int way)
{
    weft_plan_layout next = *m->layout;
    int shard = next.shard + way;
    if (next.data < 2 || shard < 0 || shard >= WEFT_SHARDS) return WEFT_OK;
    next.shard = (uint8_t)shard;
    return offer(m, "shard", &next, weft_shard_names()[m->layout->shard], weft_shard_names()[shard]);
}

/* All others, since names have no order. */
static weft_status move_names(mover *m)
{
    const weft_plan_software *software = &m->question->cluster->software;
    const weft_plan_layout *own = m->layout;
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++) {
        weft_plan_layout next = *own;
        if (kind == own->kind || !can(software->kinds, kind)) continue;
        if (!weft_plan_kind_goes_with(own, (weft_plan_kind)kind)) continue;
        next.kind = (uint8_t)kind;
        next.rounds = kind == WEFT_PLAN_HYBRID ? 2 : 1;
        TRY(offer(m, "schedule", &next, weft_plan_kind_name((weft_plan_kind)own->kind),
                  weft_plan_kind_name((weft_plan_kind)kind)));
    }
    for (int recompute = 0; recompute < WEFT_PLAN_RECOMPUTES; recompute++) {
        weft_plan_layout next = *own;
        if (recompute == own->recompute || !can(software->recomputes, recompute)) continue;
        next.recompute = (uint8_t)recompute;
        TRY(offer(m, "recompute", &next, weft_plan_recompute_name((weft_plan_recompute)own->recompute),
                  weft_plan_recompute_name((weft_plan_recompute)recompute)));
    }
    if (own->tensor < 2 || !software->sequence_parallel) return WEFT_OK;
    weft_plan_layout next = *own;
    next.sequence_parallel = !own->sequence_parallel;
    return offer(m, "sequence_parallel", &next, own->sequence_parallel ? "true" : "false",
                 next.sequence_parallel ? "true" : "false");
}

weft_status weft_plan_moves(const weft_plan_question *question, const weft_plan_layout *layout, bool exact,
                            weft_plan_move out[WEFT_PLAN_MOVES], size_t *out_count, weft_error *error)
{
    mover m = {.question = question, .layout = layout, .exact = exact, .out = out, .error = error};
    for (int way = -1; way <= 1; way += 2) {
        TRY(move_numbers(&m, way));
        TRY(move_shard(&m, way));
    }
    TRY(move_names(&m));
    *out_count = m.count;
    return WEFT_OK;
}
