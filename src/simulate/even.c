#include "simulate/even.h"

#include "simulate/gaps.h"
#include "simulate/measured.h"

#include <math.h>

/* Passes of a kind are told apart by whether they are half of a pair that runs as one piece. */
enum { GROUPS = 2 * WEFT_PASS_KINDS };

typedef struct average {
    double sum;
    uint64_t count;
} average;

typedef struct averages {
    const weft_timeline *timeline;
    average *stages;    /* (GROUPS, S) */
    double all[GROUPS]; /* mean over the stages that have any */
    bool pairs;         /* some pair runs as one piece */
} averages;

static double mean(average of)
{
    return of.count ? of.sum / (double)of.count : 0;
}

/* Whether the action runs at the same time as the one that it makes a pair with. */
static bool is_piece(const weft_timeline *timeline, const weft_lane *lane, uint32_t action)
{
    const weft_action *actions = timeline->program->actions;
    uint32_t second = action;
    if (!actions[action].paired && ++second - lane->first >= lane->count) return false;
    return actions[second].paired && timeline->begin[second] == timeline->begin[second - 1];
}

static average *place_of(const averages *of, weft_action action, bool piece)
{
    size_t group = 2 * (size_t)action.kind + piece;
    return &of->stages[group * (size_t)of->timeline->program->stages + action.stage];
}

/* Visits the passes of all ranks. */
static void each_pass(averages *of, void (*visit)(averages *of, uint32_t action, bool piece, double *seconds),
                      double *seconds)
{
    const weft_program *program = of->timeline->program;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++)
            if (weft_action_is_pass(program->actions[a])) visit(of, a, is_piece(of->timeline, lane, a), seconds);
    }
}

static void add(averages *of, uint32_t action, bool piece, double *seconds)
{
    (void)seconds;
    average *place = place_of(of, of->timeline->program->actions[action], piece);
    place->sum += of->timeline->end[action] - of->timeline->begin[action];
    place->count++;
    of->pairs |= piece;
}

/* Whether all stages are at their mean, but for rounding. */
static bool find_means(averages *of)
{
    size_t S = (size_t)of->timeline->program->stages;
    bool even = true;
    for (size_t group = 0; group < GROUPS; group++) {
        average all = {0};
        for (size_t s = 0; s < S; s++) {
            average stage = of->stages[group * S + s];
            all.sum += mean(stage);
            all.count += stage.count > 0;
        }
        of->all[group] = mean(all);
        for (size_t s = 0; s < S; s++) {
            average stage = of->stages[group * S + s];
            if (stage.count) even &= fabs(mean(stage) - of->all[group]) <= 1e-9 * of->all[group];
        }
    }
    return even;
}

static void scale(averages *of, uint32_t action, bool piece, double *seconds)
{
    weft_action pass = of->timeline->program->actions[action];
    double stage = mean(*place_of(of, pass, piece)), all = of->all[2 * pass.kind + piece];
    double own = of->timeline->end[action] - of->timeline->begin[action];
    seconds[action] = stage > 0 ? own * (all / stage) : all;
}

/* A message that takes as long on either lane was simulated, and has latency where its RECV begins later. One that was
 * measured ends when it is noticed. */
static void read_message(const weft_timeline *timeline, const weft_walk *walk, uint32_t k, double *seconds)
{
    uint32_t send = walk->members[0].first + k, receive = walk->members[1].first + k;
    double sent = timeline->end[send] - timeline->begin[send];
    double received = timeline->end[receive] - timeline->begin[receive];
    seconds[send] = seconds[receive] = weft_measured_seconds(timeline, walk, k);
    if (fabs(sent - received) > 1e-9 * timeline->end[receive]) return;
    seconds[send] = sent;
    seconds[receive] = sent + timeline->begin[receive] - timeline->begin[send];
}

static bool is_message(const weft_walk *walk, uint32_t k)
{
    uint32_t kind = walk->program->actions[walk->members[0].first + k].kind;
    return kind == WEFT_SEND_F || kind == WEFT_SEND_B;
}

static weft_status read_others(const weft_timeline *timeline, double *seconds, weft_error *error)
{
    weft_walk walk;
    TRY(weft_walk_init(&walk, timeline->program, -1, error));
    while (weft_walk_next(&walk))
        for (uint32_t k = 0; k < walk.nodes; k++) {
            double taken = weft_measured_seconds(timeline, &walk, k);
            for (int32_t i = 0; i < walk.member_count; i++) seconds[walk.members[i].first + k] = taken;
            if (is_message(&walk, k)) read_message(timeline, &walk, k, seconds);
        }
    weft_status status = walk.remaining ? weft_walk_explain(&walk, error) : WEFT_OK;
    weft_walk_fini(&walk);
    return status;
}

static weft_status simulate(averages *of, double *seconds, weft_timeline *even, weft_error *error)
{
    TRY(read_others(of->timeline, seconds, error));
    each_pass(of, scale, seconds);
    TRY(weft_timeline_init(even, of->timeline->program, error));
    weft_status status =
        weft_simulate(of->timeline->program, &(weft_costs){.actions = seconds, .pairs = of->pairs}, even, error);
    if (status != WEFT_OK) weft_timeline_fini(even);
    return status;
}

weft_status weft_even_init(weft_timeline *even, const weft_timeline *timeline, bool *out_even, weft_error *error)
{
    averages of = {.timeline = timeline};
    double *seconds = NULL; /* (actions) */
    TRY(weft_allocate(GROUPS * (size_t)timeline->program->stages, sizeof *of.stages, &of.stages, error));
    each_pass(&of, add, NULL);
    *out_even = find_means(&of);
    weft_status status = WEFT_OK;
    if (!*out_even) status = weft_allocate(timeline->program->action_count, sizeof *seconds, &seconds, error);
    if (status == WEFT_OK && !*out_even) status = simulate(&of, seconds, even, error);
    weft_free(seconds);
    weft_free(of.stages);
    return status;
}
