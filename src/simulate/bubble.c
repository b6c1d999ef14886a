/* Idle time of the compute lanes and its causes, summed up. */
#include "simulate/even.h"
#include "simulate/gaps.h"

const char *weft_bubble_cause_name(weft_bubble_cause cause)
{
    static const char *const names[] = {"fill",   "drain",  "wait",     "imbalance", "message",
                                        "gather", "reduce", "exchange", "update"};
    return names[cause];
}

bool weft_bubble_cause_is_there(const weft_program *program, weft_bubble_cause cause)
{
    return cause != WEFT_BUBBLE_EXCHANGE || program->tensor > 1;
}

static void add_gap(const weft_bubble_gap *gap, void *context)
{
    weft_bubble_rank *out = context;
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) out->cause[cause] += gap->cause[cause];
}

/* Times of a rank's compute lane but for the idle ones. */
static void measure_lane(const weft_timeline *timeline, const weft_lane *lane, weft_bubble_rank *out)
{
    const weft_program *program = timeline->program;
    double at = 0;
    bool begun = false;
    for (uint32_t a = lane->first; a < lane->first + lane->count; at = timeline->end[a++]) {
        bool late = at > timeline->begin[a]; /* the parts of a pair may share their time */
        double busy = timeline->end[a] - (late ? at : timeline->begin[a]);
        out->busy += timeline->exchanges ? busy - weft_gaps_exchange(timeline, lane, a) : busy;
        if (!weft_action_is_pass(program->actions[a])) continue;
        if (!begun) out->first_begin = timeline->begin[a];
        begun = true;
        out->passes += busy;
        out->last_end = timeline->end[a];
    }
}

uint64_t weft_bubble_held(const weft_program *program, int32_t rank, const size_t *bytes)
{
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    uint64_t held = 0, most = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        bool takes = action.kind == WEFT_F, frees = weft_action_makes_gradients(action);
        if (program->forward_only) frees = takes;
        if (takes) held += bytes ? bytes[action.stage] : 1;
        if (held > most) most = held;
        if (frees) held -= bytes ? bytes[action.stage] : 1;
    }
    return most;
}

static void measure_rank(const weft_gaps *gaps, int32_t rank, weft_bubble_rank *out)
{
    const weft_program *program = gaps->timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    *out = (weft_bubble_rank){0};
    measure_lane(gaps->timeline, lane, out);
    weft_gaps_visit(gaps, rank, add_gap, out);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) out->idle += out->cause[cause];
    out->peak_activations = (int64_t)weft_bubble_held(program, rank, NULL);
}

void weft_bubble_measure(const weft_timeline *timeline, double *out_step_time, double *out_bubble_fraction,
                         weft_bubble_rank *ranks)
{
    weft_gaps gaps;
    double idle = 0;
    int32_t P = timeline->program->ranks;
    weft_gaps_find(&gaps, timeline);
    for (int32_t rank = 0; rank < P; rank++) {
        measure_rank(&gaps, rank, &ranks[rank]);
        idle += ranks[rank].idle;
    }
    *out_step_time = gaps.step;
    *out_bubble_fraction = gaps.step > 0 ? idle / (gaps.step * P) : 0;
}

/* With even: what the ranks wait for when all stages cost their mean. Of all waiting together as much is imbalance as
 * there is less then; it counts on the ranks that wait longer now, in proportion. */
static void tell_imbalance(weft_bubble_rank *ranks, const weft_bubble_rank *even, int32_t count)
{
    double less = 0, longer = 0;
    for (int32_t rank = 0; rank < count; rank++) {
        double more = ranks[rank].cause[WEFT_BUBBLE_WAIT] - even[rank].cause[WEFT_BUBBLE_WAIT];
        less += more;
        if (more > 0) longer += more;
    }
    for (int32_t rank = 0; rank < count && less > 0; rank++) {
        double *cause = ranks[rank].cause, more = cause[WEFT_BUBBLE_WAIT] - even[rank].cause[WEFT_BUBBLE_WAIT];
        if (!(more > 0)) continue;
        cause[WEFT_BUBBLE_IMBALANCE] = more * (less / longer);
        cause[WEFT_BUBBLE_WAIT] -= cause[WEFT_BUBBLE_IMBALANCE];
    }
}

static weft_status find_imbalance(weft_bubble *bubble, weft_error *error)
{
    int32_t P = bubble->timeline->program->ranks;
    weft_bubble_rank *ranks = NULL;
    weft_timeline even;
    double step, fraction;
    bool is_even = true;
    TRY(weft_even_init(&even, bubble->timeline, &is_even, error));
    if (is_even) return WEFT_OK;
    weft_status status = weft_allocate((size_t)P, sizeof *ranks, &ranks, error);
    if (status == WEFT_OK) {
        weft_bubble_measure(&even, &step, &fraction, ranks);
        tell_imbalance(bubble->ranks, ranks, P);
    }
    weft_free(ranks);
    weft_timeline_fini(&even);
    return status;
}

static void sum_up(weft_bubble *bubble)
{
    int32_t P = bubble->timeline->program->ranks;
    double passes = 0;
    for (int32_t rank = 0; rank < P; rank++) {
        const weft_bubble_rank *row = &bubble->ranks[rank];
        double own = row->last_end - row->first_begin;
        if (own > bubble->own_step_time) bubble->own_step_time = own;
        passes += row->passes;
        for (int cause = 0; cause < WEFT_BUBBLE_CAUSES && bubble->step_time > 0; cause++)
            bubble->cause[cause] += row->cause[cause] / (bubble->step_time * P);
    }
    if (bubble->own_step_time > 0) bubble->own_fraction = 1 - passes / (bubble->own_step_time * P);
    if (bubble->own_fraction < 1e-12) bubble->own_fraction = 0; /* rounding */
}

weft_status weft_bubble_init(weft_bubble *bubble, const weft_timeline *timeline, weft_error *error)
{
    *bubble = (weft_bubble){.timeline = timeline};
    TRY(weft_allocate((size_t)timeline->program->ranks, sizeof *bubble->ranks, &bubble->ranks, error));
    weft_bubble_measure(timeline, &bubble->step_time, &bubble->fraction, bubble->ranks);
    weft_status status = find_imbalance(bubble, error);
    if (status == WEFT_OK)
        sum_up(bubble);
    else
        weft_bubble_fini(bubble);
    return status;
}

void weft_bubble_fini(weft_bubble *bubble)
{
    weft_free(bubble->ranks);
    *bubble = (weft_bubble){0};
}

typedef struct viewer {
    double imbalance; /* share of the rank's waiting */
    weft_gaps_visitor *visit;
    void *context;
} viewer;

static void show_gap(const weft_bubble_gap *gap, void *context)
{
    const viewer *view = context;
    weft_bubble_gap shown = *gap;
    shown.cause[WEFT_BUBBLE_IMBALANCE] = view->imbalance * gap->cause[WEFT_BUBBLE_WAIT];
    shown.cause[WEFT_BUBBLE_WAIT] -= shown.cause[WEFT_BUBBLE_IMBALANCE];
    view->visit(&shown, view->context);
}

void weft_bubble_visit(const weft_bubble *bubble, void (*visit)(const weft_bubble_gap *gap, void *context),
                       void *context)
{
    weft_gaps gaps;
    weft_gaps_find(&gaps, bubble->timeline);
    for (int32_t rank = 0; rank < bubble->timeline->program->ranks; rank++) {
        const double *cause = bubble->ranks[rank].cause;
        double waited = cause[WEFT_BUBBLE_WAIT] + cause[WEFT_BUBBLE_IMBALANCE];
        viewer view = {waited > 0 ? cause[WEFT_BUBBLE_IMBALANCE] / waited : 0, visit, context};
        weft_gaps_visit(&gaps, rank, show_gap, &view);
    }
}
