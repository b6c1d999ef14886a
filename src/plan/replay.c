#include "plan/replay.h"

#include "plan/split.h"
#include "plan/view.h"

#include <math.h>
#include <string.h>

enum { COSTS = 8 };

/* Simulated actions after which the search for the layers of one layout ends: about a thousandth of a second. */
static const double division_work = 1e5;

typedef struct replay {
    const weft_plan_question *question;
    const weft_plan_layout *layout;
    weft_plan_cell cell;
    weft_plan_view view;
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline;
    double *costs;   /* (COSTS, S) */
    int32_t *layers; /* (S) */
    double *held;    /* (P) */
    weft_bubble bubble;
    weft_plan_stage_costs stage;
    double collectives[WEFT_ACTION_KINDS];
} replay;

static int32_t count_stages(const weft_plan_layout *layout)
{
    return layout->pipeline * layout->loops;
}

static void look(replay *r)
{
    const weft_plan_question *q = r->question;
    weft_plan_cell_make(q->model, q->cluster, r->layout->tensor, r->layout->context, r->layout->micro_batch,
                        (weft_plan_recompute)r->layout->recompute, r->layout->sequence_parallel, &r->cell);
    weft_plan_view_make(q->model, q->cluster, &r->cell, r->layout, &r->view);
}

static weft_status take_room(replay *r, weft_error *error)
{
    size_t stages = (size_t)count_stages(r->layout);
    TRY(weft_allocate(stages, sizeof *r->layers, &r->layers, error));
    TRY(weft_allocate(COSTS * stages, sizeof *r->costs, &r->costs, error));
    double *at = r->costs;
    r->stage = (weft_plan_stage_costs){.forward = at,
                                       .backward_input = at + stages,
                                       .backward_weight = at + 2 * stages,
                                       .update = at + 3 * stages,
                                       .gathers = at + 4 * stages,
                                       .reductions = at + 5 * stages,
                                       .sums = at + 6 * stages,
                                       .messages = at + 7 * stages};
    return WEFT_OK;
}

static void replay_fini(replay *r)
{
    weft_bubble_fini(&r->bubble);
    weft_timeline_fini(&r->timeline);
    weft_program_destroy(r->program);
    weft_schedule_destroy(r->schedule);
    weft_free(r->costs);
    weft_free(r->layers);
    weft_free(r->held);
}

void weft_plan_divide_evenly(const weft_plan_model *model, const weft_plan_layout *layout, int32_t *out_layers)
{
    int32_t stages = count_stages(layout), edges = layout->edge_layers_less ? 2 : 0, all = model->layers + edges;
    for (int32_t s = 0; s < stages; s++) out_layers[s] = all / stages + (s < all % stages);
    if (!edges || stages < 2) return;
    out_layers[0]--;
    out_layers[stages - 1]--;
}

/* What the trainer says of its memory, where it can be asked; a layout that it cannot do stays with the closed form. */
static weft_status count_memory(const replay *r, weft_plan_memory *out, bool *out_counted, weft_error *error)
{
    const weft_plan_sizes *sizes = r->question->sizes;
    weft_error reason;
    weft_error_clear(&reason);
    *out_counted = false;
    if (!sizes) return WEFT_OK;
    weft_status status = sizes->memory(sizes->context, r->layout, r->layers, out, &reason);
    if (status == WEFT_INVALID) return WEFT_OK;
    if (status != WEFT_OK) {
        *error = reason;
        return status;
    }
    out->line[WEFT_PLAN_LINE_RESERVED] = r->question->cluster->reserved;
    out->bytes += r->question->cluster->reserved;
    *out_counted = true;
    return WEFT_OK;
}

/* What comes after compute is by closed forms. */
static bool overlaps(const replay *r)
{
    return r->question->cluster->software.reduces_overlap;
}

static weft_status make_schedule(replay *r, weft_error *error)
{
    const weft_plan_layout *layout = r->layout;
    bool alone = layout->kind == WEFT_PLAN_NONE;
    weft_schedule_options options = {.kind = alone ? "gpipe" : weft_plan_kind_name((weft_plan_kind)layout->kind),
                                     .ranks = layout->pipeline,
                                     .loops = layout->loops,
                                     .microbatches = layout->micro_batches};
    if (layout->kind == WEFT_PLAN_HYBRID) options.group = layout->micro_batches / layout->rounds;
    return r->schedule ? WEFT_OK : weft_schedule_create(&options, &r->schedule, error);
}

static weft_lower_options lowering(const replay *r)
{
    const weft_plan_layout *layout = r->layout;
    int32_t members = layout->data * layout->context; /* all of these have the same weights */
    bool pages = layout->shard == WEFT_SHARD_WEIGHTS && members > 1;
    int32_t stages = count_stages(layout), buffers = stages < WEFT_PLAN_BUFFERS ? stages : WEFT_PLAN_BUFFERS;
    return (weft_lower_options){.update = true,
                                .norm = true,
                                .clip = true,
                                .tied = overlaps(r) && r->view.tied > 0,
                                .data = members,
                                .tensor = overlaps(r) && r->view.sums > 0 ? layout->tensor : 1,
                                .shard = members > 1 ? (weft_shard)layout->shard : WEFT_SHARD_NONE,
                                .weight_buffers = pages ? buffers : 0,
                                .gradient_buffers = pages ? buffers : 0};
}

static weft_layer_cost cost_of(const weft_plan_stage_costs *costs, int32_t s)
{
    return (weft_layer_cost){costs->forward[s], costs->backward_input[s], costs->backward_weight[s], costs->update[s]};
}

static weft_layer_cost less(weft_layer_cost all, const weft_layer_cost *part)
{
    return (weft_layer_cost){all.forward - part->forward, all.backward_input - part->backward_input,
                             all.backward_weight - part->backward_weight, all.update - part->update};
}

static void price_stages(replay *r, int32_t layers)
{
    for (int32_t s = 0; s < r->schedule->stages; s++) r->layers[s] = layers;
    weft_plan_stages(&r->view, r->layout, r->schedule->stage_rank, r->layers, &r->stage);
}

/* Stages without a layer say what embedding and head cost, those with one what a layer does. */
static weft_status divide(replay *r, weft_error *error)
{
    int32_t count = r->question->model->layers;
    weft_layer_cost *layers = NULL;
    TRY(make_schedule(r, error));
    TRY(weft_allocate((size_t)count, sizeof *layers, &layers, error));
    price_stages(r, 0);
    weft_split_problem problem = {.schedule = r->schedule,
                                  .layers = layers,
                                  .layer_count = count,
                                  .embedding = cost_of(&r->stage, 0),
                                  .head = cost_of(&r->stage, r->schedule->stages - 1),
                                  .message = r->view.edge,
                                  .lower = lowering(r),
                                  .work = division_work};
    price_stages(r, 1);
    for (int32_t i = 0; i < count; i++) layers[i] = less(cost_of(&r->stage, 0), &problem.embedding);
    weft_status status = weft_split_layers(&problem, r->layers, NULL, NULL, error);
    weft_free(layers);
    return status;
}

weft_status weft_plan_divide(const weft_plan_question *question, const weft_plan_layout *layout, int32_t *out_layers,
                             weft_error *error)
{
    replay r = {.question = question, .layout = layout};
    look(&r);
    weft_status status = take_room(&r, error);
    if (status == WEFT_OK) status = divide(&r, error);
    if (status == WEFT_OK) memcpy(out_layers, r.layers, (size_t)count_stages(layout) * sizeof *out_layers);
    replay_fini(&r);
    return status;
}

/* Those that are decided; else the memory, where the trainer counts it, decides. */
static weft_status choose_layers(replay *r, weft_plan_replayed *out, weft_plan_memory *memory, weft_error *error)
{
    const weft_plan_fix *fix = &r->question->fix;
    int32_t stages = count_stages(r->layout);
    double room = r->question->room;
    if (fix->layers && fix->stages == stages) {
        memcpy(r->layers, fix->layers, (size_t)stages * sizeof *r->layers);
        return count_memory(r, memory, &out->counted, error);
    }
    out->divided = room > 0 && stages > 1;
    if (out->divided) {
        TRY(divide(r, error));
        TRY(count_memory(r, memory, &out->counted, error));
        if (!out->counted || memory->bytes <= room) return WEFT_OK;
        out->divided = false;
    }
    weft_plan_divide_evenly(r->question->model, r->layout, r->layers);
    return count_memory(r, memory, &out->counted, error);
}

static weft_status lower(replay *r, weft_error *error)
{
    weft_lower_options options = lowering(r);
    TRY(make_schedule(r, error));
    TRY(weft_program_create(r->schedule, &options, &r->program, error));
    return weft_program_verify(r->program, error);
}

static weft_status make_costs(replay *r, weft_costs *out, weft_error *error)
{
    TRY(weft_allocate((size_t)r->program->ranks, sizeof *r->held, &r->held, error));
    weft_plan_stages(&r->view, r->layout, r->program->stage_rank, r->layers, &r->stage);
    if (overlaps(r)) r->collectives[WEFT_REDUCE_TIED] = weft_plan_view_tied(&r->view, (weft_shard)r->layout->shard);
    *out = (weft_costs){.forward = r->stage.forward,
                        .backward_input = r->stage.backward_input,
                        .backward_weight = r->stage.backward_weight,
                        .update = r->stage.update,
                        .gathers = r->stage.gathers,
                        .reductions = r->stage.reductions,
                        .sums = r->stage.sums,
                        .collectives = r->collectives,
                        .messages = r->stage.messages};
    return WEFT_OK;
}

/* Gathers and reductions together. */
static weft_hidden measure_hidden(const replay *r)
{
    weft_hidden gathers = weft_hidden_measure(&r->timeline, WEFT_UNSHARD);
    weft_hidden reductions = weft_hidden_measure(&r->timeline, WEFT_REDUCE_GRAD);
    return (weft_hidden){gathers.count + reductions.count, gathers.seconds + reductions.seconds,
                         gathers.hidden + reductions.hidden};
}

/* What of the step the fullest rank does not spend in passes, by what the ranks wait for. Messages of software that
 * blocks are in the passes. */
static void divide_waits(const replay *r, double waits, weft_plan_time *time)
{
    const double *cause = r->bubble.cause;
    double share[WEFT_PLAN_PARTS] = {[WEFT_PLAN_BUBBLE] = cause[WEFT_BUBBLE_FILL] + cause[WEFT_BUBBLE_DRAIN] +
                                                          cause[WEFT_BUBBLE_WAIT] + cause[WEFT_BUBBLE_IMBALANCE],
                                     [WEFT_PLAN_MESSAGES] = cause[WEFT_BUBBLE_MESSAGE],
                                     [WEFT_PLAN_GRADIENTS] = cause[WEFT_BUBBLE_REDUCE] + cause[WEFT_BUBBLE_UPDATE],
                                     [WEFT_PLAN_WEIGHTS] = cause[WEFT_BUBBLE_GATHER]};
    double all = 0;
    for (int part = 0; part < WEFT_PLAN_PARTS; part++) all += share[part];
    if (waits <= 0 || all <= 0) {
        time->part[WEFT_PLAN_BUBBLE] += waits;
        return;
    }
    for (int part = 0; part < WEFT_PLAN_PARTS; part++) time->part[part] += waits * share[part] / all;
}

/* The parts of the replayed step: passes by closed forms, which are the replay's costs, and what the rest is for. */
static void fill_time(replay *r, weft_hidden hidden, weft_plan_time *time)
{
    const weft_plan_software *software = &r->question->cluster->software;
    double contention = software->contention * hidden.hidden / r->program->ranks, passes = 0;
    time->part[WEFT_PLAN_BUBBLE] = 0;
    if (software->messages_overlap) time->part[WEFT_PLAN_MESSAGES] = 0;
    if (software->reduces_overlap) time->part[WEFT_PLAN_GRADIENTS] = time->part[WEFT_PLAN_WEIGHTS] = 0;
    double after = time->part[WEFT_PLAN_GRADIENTS] + time->part[WEFT_PLAN_WEIGHTS];
    for (int part = 0; part < WEFT_PLAN_PARTS; part++) passes += time->part[part];
    divide_waits(r, r->bubble.step_time - (passes - after - software->step), time);
    time->part[WEFT_PLAN_GRADIENTS] += contention;
    time->step = r->bubble.step_time + after + contention + software->step;
}

static void fill(replay *r, weft_plan_replayed *out)
{
    memcpy(out->cause, r->bubble.cause, sizeof out->cause);
    weft_hidden hidden = measure_hidden(r);
    fill_time(r, hidden, &out->time);
    out->bubble = r->bubble.fraction;
    out->hidden = hidden.seconds > 0 ? hidden.hidden / hidden.seconds : NAN;
    out->actions = r->program->action_count;
    out->first_layers = r->layers[0];
    out->last_layers = r->layers[r->program->stages - 1];
    for (int32_t rank = 0; rank < r->program->ranks; rank++)
        r->held[rank] = (double)r->bubble.ranks[rank].peak_activations;
    weft_plan_memory_of(r->question->model, r->question->cluster, &r->cell, r->layout, r->held, r->layers,
                        &out->memory);
    out->exact = true;
}

static weft_status run(replay *r, weft_plan_replayed *out, weft_error *error)
{
    weft_costs costs;
    TRY(lower(r, error));
    TRY(make_costs(r, &costs, error));
    TRY(weft_timeline_init(&r->timeline, r->program, error));
    TRY(weft_simulate(r->program, &costs, &r->timeline, error));
    TRY(weft_bubble_init(&r->bubble, &r->timeline, error));
    fill(r, out);
    return WEFT_OK;
}

double weft_plan_replay_actions(const weft_plan_layout *layout)
{
    return 6.0 * layout->pipeline * layout->loops * layout->micro_batches;
}

weft_status weft_plan_replay(const weft_plan_question *question, const weft_plan_layout *layout,
                             weft_plan_replayed *out, weft_error *error)
{
    replay r = {.question = question, .layout = layout};
    int32_t even = question->model->layers / count_stages(layout);
    look(&r);
    *out = (weft_plan_replayed){.hidden = NAN, .first_layers = even, .last_layers = even};
    weft_plan_step(question->model, question->cluster, &r.cell, layout, &out->time);
    out->bubble = out->time.part[WEFT_PLAN_BUBBLE] / out->time.step;
    weft_plan_memory_of(question->model, question->cluster, &r.cell, layout, NULL, NULL, &out->memory);
    if (weft_plan_replay_actions(layout) > WEFT_PLAN_REPLAY_ACTIONS) return WEFT_OK;
    weft_plan_memory memory = {0};
    weft_status status = take_room(&r, error);
    if (status == WEFT_OK) status = choose_layers(&r, out, &memory, error);
    /* Programs that have no pipeline differ in what they gather and reduce beside compute: weft's is known. */
    bool has_program = layout->kind != WEFT_PLAN_NONE || out->counted;
    if (status == WEFT_OK && has_program) status = run(&r, out, error);
    if (out->counted) out->memory = memory;
    replay_fini(&r);
    return status;
}
