/* Layers over stages by local search, judged by the simulator. */
#include "plan/split.h"

#include <math.h>
#include <string.h>

/* A step time must be better by more than rounding to count as better. */
#define BETTER (1 - 1e-12)

typedef struct judge {
    const weft_split_problem *problem;
    weft_program *program;
    weft_timeline timeline;
    double *costs;           /* (4, S) */
    weft_layer_cost *prefix; /* (L + 1) cost of the first layers */
    int32_t *held;           /* (P) stages of each rank */
    double work, most_work;  /* simulated actions so far, and after which a search ends */
} judge;

static void judge_fini(judge *j)
{
    weft_timeline_fini(&j->timeline);
    weft_program_destroy(j->program);
    weft_free(j->costs);
    weft_free(j->prefix);
    weft_free(j->held);
}

static double one_pass(const weft_layer_cost *cost)
{
    return cost->forward + cost->backward_input + cost->backward_weight;
}

static void add(weft_layer_cost *sum, const weft_layer_cost *part, double times)
{
    sum->forward += times * part->forward;
    sum->backward_input += times * part->backward_input;
    sum->backward_weight += times * part->backward_weight;
    sum->update += times * part->update;
}

static bool is_cost(const weft_layer_cost *cost)
{
    return cost->forward >= 0 && cost->backward_input >= 0 && cost->backward_weight >= 0 && cost->update >= 0 &&
           isfinite(one_pass(cost) + cost->update);
}

static weft_status judge_start(judge *j, const weft_split_problem *problem, weft_error *error)
{
    weft_lower_options options = problem->lower;
    options.sizes = NULL;
    if (problem->layer_count < 0) FAIL(error, WEFT_INVALID, "a model cannot have %d layers", problem->layer_count);
    TRY(weft_allocate((size_t)problem->layer_count + 1, sizeof *j->prefix, &j->prefix, error));
    bool fine = is_cost(&problem->embedding) && is_cost(&problem->head) && problem->message >= 0;
    for (int32_t i = 0; i < problem->layer_count; i++) {
        fine = fine && is_cost(&problem->layers[i]);
        j->prefix[i + 1] = j->prefix[i];
        add(&j->prefix[i + 1], &problem->layers[i], 1);
    }
    if (!fine) FAIL(error, WEFT_INVALID, "the costs of layers and messages must be numbers from 0 up");
    TRY(weft_program_create(problem->schedule, &options, &j->program, error));
    TRY(weft_allocate(4 * (size_t)problem->schedule->stages, sizeof(double), &j->costs, error));
    TRY(weft_allocate((size_t)j->program->ranks, sizeof *j->held, &j->held, error));
    for (int32_t s = 0; s < j->program->stages; s++) j->held[j->program->stage_rank[s]]++;
    return weft_timeline_init(&j->timeline, j->program, error);
}

static weft_status judge_init(judge *j, const weft_split_problem *problem, weft_error *error)
{
    *j = (judge){.problem = problem, .most_work = problem->work > 0 ? problem->work : WEFT_SPLIT_WORK};
    weft_status status = judge_start(j, problem, error);
    if (status != WEFT_OK) judge_fini(j);
    return status;
}

void weft_split_stage_costs(const weft_split_problem *problem, const int32_t *layers, double *forward,
                            double *backward_input, double *backward_weight, double *update)
{
    int32_t stages = problem->schedule->stages, next = 0;
    for (int32_t s = 0; s < stages; s++) {
        weft_layer_cost sum = {0};
        if (s == 0) add(&sum, &problem->embedding, 1);
        for (int32_t i = 0; i < layers[s]; i++) add(&sum, &problem->layers[next++], 1);
        if (s == stages - 1) add(&sum, &problem->head, 1);
        forward[s] = sum.forward;
        backward_input[s] = sum.backward_input;
        backward_weight[s] = sum.backward_weight;
        update[s] = sum.update;
    }
}

/* As weft_split_stage_costs but for the last bits, in time that does not grow with the layers. */
static void judge_costs(judge *j, const int32_t *layers)
{
    size_t stages = (size_t)j->program->stages;
    int32_t next = 0;
    for (size_t s = 0; s < stages; s++) {
        weft_layer_cost sum = {0};
        if (s == 0) add(&sum, &j->problem->embedding, 1);
        add(&sum, &j->prefix[next + layers[s]], 1);
        add(&sum, &j->prefix[next], -1);
        if (s == stages - 1) add(&sum, &j->problem->head, 1);
        next += layers[s];
        j->costs[s] = sum.forward;
        j->costs[stages + s] = sum.backward_input;
        j->costs[2 * stages + s] = sum.backward_weight;
        j->costs[3 * stages + s] = sum.update;
    }
}

static weft_status judge_time(judge *j, const int32_t *layers, double *out_step_time, weft_error *error)
{
    size_t stages = (size_t)j->program->stages;
    judge_costs(j, layers);
    weft_costs costs = {.forward = j->costs,
                        .backward_input = j->costs + stages,
                        .backward_weight = j->costs + 2 * stages,
                        .update = j->costs + 3 * stages,
                        .message = j->problem->message};
    TRY(weft_simulate(j->program, &costs, &j->timeline, error));
    j->work += j->program->action_count;
    *out_step_time = weft_timeline_end(&j->timeline);
    return WEFT_OK;
}

/* Of the split judged last. */
static double judge_efficiency(const judge *j, double step_time)
{
    const weft_program *program = j->program;
    double busy = 0;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++)
            busy += j->timeline.end[a] - j->timeline.begin[a];
    }
    return step_time > 0 ? busy / (program->ranks * step_time) : 1;
}

weft_status weft_split_evaluate(const weft_split_problem *problem, const int32_t *layers, double *out_step_time,
                                double *out_efficiency, weft_error *error)
{
    int64_t sum = 0;
    for (int32_t s = 0; s < problem->schedule->stages; s++) {
        if (layers[s] < 0) FAIL(error, WEFT_INVALID, "stage %d cannot have %d layers", s, layers[s]);
        sum += layers[s];
    }
    if (sum != problem->layer_count)
        FAIL(error, WEFT_INVALID, "the split has %lld layers, the model %d", (long long)sum, problem->layer_count);
    judge j;
    double step = 0;
    TRY(judge_init(&j, problem, error));
    weft_status status = judge_time(&j, layers, &step, error);
    if (status == WEFT_OK && out_step_time) *out_step_time = step;
    if (status == WEFT_OK && out_efficiency) *out_efficiency = judge_efficiency(&j, step);
    judge_fini(&j);
    return status;
}

/* Start 0: even layers; the first stages get those left over. */
static void start_even(const weft_split_problem *problem, int32_t *layers)
{
    int32_t stages = problem->schedule->stages;
    for (int32_t s = 0; s < stages; s++)
        layers[s] = problem->layer_count / stages + (s < problem->layer_count % stages);
}

/* Cuts the layers where their cost reaches the room of the stages before. */
static void cut_by_room(const judge *j, const double *room, int32_t *layers)
{
    int32_t stages = j->program->stages, count = j->problem->layer_count, next = 0;
    double total = 0, upto = 0;
    for (int32_t s = 0; s < stages; s++) total += room[s];
    for (int32_t s = 0; s < stages; s++) {
        upto += room[s];
        double goal = total > 0 ? one_pass(&j->prefix[count]) * upto / total : 0;
        int32_t first = next;
        while (next < count &&
               (s == stages - 1 || (one_pass(&j->prefix[next]) + one_pass(&j->prefix[next + 1])) / 2 <= goal))
            next++;
        layers[s] = next - first;
    }
}

/* Start 1: each rank's share of all work, less embedding and head where it has them, over its stages evenly. Start 2:
 * the same by stage: the stage of the head gets fewer layers, not its whole rank. */
static void start_by_room(const judge *j, bool by_stage, double *room, int32_t *layers)
{
    const weft_program *program = j->program;
    double first = one_pass(&j->problem->embedding), last = one_pass(&j->problem->head);
    double total = first + last + one_pass(&j->prefix[j->problem->layer_count]);
    for (int32_t s = 0; s < program->stages; s++) {
        double fixed = 0;
        int32_t rank = program->stage_rank[s];
        double share = by_stage ? total / program->stages : total / program->ranks;
        if (by_stage ? s == 0 : program->stage_rank[0] == rank) fixed += first;
        if (by_stage ? s == program->stages - 1 : program->stage_rank[program->stages - 1] == rank) fixed += last;
        room[s] = share > fixed ? share - fixed : 0;
        if (!by_stage) room[s] /= j->held[rank];
    }
    cut_by_room(j, room, layers);
}

typedef struct move {
    int32_t from, to, count;
} move;

static void apply(int32_t *layers, move m)
{
    layers[m.from] -= m.count;
    layers[m.to] += m.count;
}

/* The best of all moves of 1, 2, 4, ... or all layers from one stage to another. */
static weft_status best_move(judge *j, int32_t *layers, double *time, move *out, weft_error *error)
{
    out->count = 0;
    for (int32_t from = 0; from < j->program->stages; from++)
        for (int32_t to = 0; to < j->program->stages && layers[from] && j->work < j->most_work; to++) {
            int32_t have = layers[from];
            for (int32_t count = 1; from != to && count <= have && j->work < j->most_work;) {
                move m = {from, to, count};
                double own = 0;
                apply(layers, m);
                TRY(judge_time(j, layers, &own, error));
                apply(layers, (move){to, from, count});
                if (own < *time * BETTER) {
                    *time = own;
                    *out = m;
                }
                count = count < have && 2 * count > have ? have : 2 * count;
            }
        }
    return WEFT_OK;
}

static weft_status descend(judge *j, int32_t *layers, double *out_time, weft_error *error)
{
    move m = {0};
    TRY(judge_time(j, layers, out_time, error));
    do {
        TRY(best_move(j, layers, out_time, &m, error));
        apply(layers, m);
    } while (m.count && j->work < j->most_work);
    return WEFT_OK;
}

enum { STARTS = 3 };

static weft_status search(judge *j, double *room, int32_t *layers, int32_t *best, double *out_time, weft_error *error)
{
    size_t bytes = (size_t)j->program->stages * sizeof *layers;
    for (int start = 0; start < STARTS; start++) {
        double time = 0;
        if (start == 0)
            start_even(j->problem, layers);
        else
            start_by_room(j, start == 2, room, layers);
        TRY(descend(j, layers, &time, error));
        if (start > 0 && time >= *out_time * BETTER) continue;
        *out_time = time;
        memcpy(best, layers, bytes);
    }
    return judge_time(j, best, out_time, error);
}

weft_status weft_split_layers(const weft_split_problem *problem, int32_t *out_layers, double *out_step_time,
                              double *out_efficiency, weft_error *error)
{
    judge j;
    double *room = NULL, time = 0;
    int32_t *layers = NULL;
    TRY(judge_init(&j, problem, error));
    size_t stages = (size_t)problem->schedule->stages;
    weft_status status = weft_allocate(stages, sizeof *room, &room, error);
    if (status == WEFT_OK) status = weft_allocate(stages, sizeof *layers, &layers, error);
    if (status == WEFT_OK) status = search(&j, room, layers, out_layers, &time, error);
    if (status == WEFT_OK && out_step_time) *out_step_time = time;
    if (status == WEFT_OK && out_efficiency) *out_efficiency = judge_efficiency(&j, time);
    weft_free(room);
    weft_free(layers);
    judge_fini(&j);
    return status;
}
