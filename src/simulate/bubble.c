/* Idle time of the compute lanes and its causes. */
#include "program/index.h"
#include "simulate/simulate.h"

#define NOTHING UINT32_MAX

const char *weft_bubble_cause_name(weft_bubble_cause cause)
{
    static const char *const names[] = {"fill", "drain", "imbalance", "message", "weights", "update"};
    return names[cause];
}

static bool is_pass(weft_action action)
{
    return action.kind == WEFT_F || action.kind == WEFT_B || action.kind == WEFT_I || action.kind == WEFT_W;
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

static double earlier(double a, double b)
{
    return a < b ? a : b;
}

/* The compute action whose result a RECV brings: what its SEND, or an earlier one of that lane, waited for. */
static uint32_t producer(const weft_program *program, const weft_lane *receive, uint32_t action)
{
    const weft_lane *send = &program->lanes[receive->match];
    const weft_lane *compute = &program->lanes[program->rank_lanes[send->rank]];
    for (uint32_t k = action - receive->first + 1; k-- > 0;)
        for (uint32_t i = program->after_first[send->first + k]; i < program->after_first[send->first + k + 1]; i++)
            if (program->after[i] - compute->first < compute->count) return program->after[i];
    return NOTHING;
}

/* Gap between two passes. What ended last of all that the action waited for tells the cause: another rank was still
 * computing until the sender's pass ended, and from then on the message was under way. */
static void add_gap(const weft_timeline *timeline, int32_t rank, uint32_t action, double from, weft_bubble_rank *out)
{
    const weft_program *program = timeline->program;
    uint32_t last = NOTHING;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
        if (last == NOTHING || timeline->end[program->after[i]] > timeline->end[last]) last = program->after[i];
    double to = timeline->begin[action], computed = from;
    if (last != NOTHING && timeline->end[last] > from) {
        const weft_lane *lane = &program->lanes[weft_program_lane(program, rank, last)];
        bool receives = lane->kind == WEFT_PROGRAM_RECV_F || lane->kind == WEFT_PROGRAM_RECV_B;
        uint32_t source = receives ? producer(program, lane, last) : NOTHING;
        if (source != NOTHING) computed = later(from, earlier(to, timeline->end[source]));
    }
    out->cause[WEFT_BUBBLE_IMBALANCE] += computed - from;
    out->cause[WEFT_BUBBLE_MESSAGE] += to - computed;
}

/* Idle time behind the rank's last pass: drain while any rank still computes, then the end of the step. */
static void add_tail(double from, double to, double drained, weft_bubble_rank *out)
{
    double middle = later(from, earlier(to, drained));
    out->cause[WEFT_BUBBLE_DRAIN] += middle - from;
    out->cause[WEFT_BUBBLE_UPDATE] += to - middle;
}

typedef struct extent {
    uint32_t first, last; /* passes on a compute lane; NOTHING when it has none */
} extent;

static extent passes(const weft_program *program, const weft_lane *lane)
{
    extent out = {NOTHING, NOTHING};
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        if (!is_pass(program->actions[a])) continue;
        if (out.first == NOTHING) out.first = a;
        out.last = a;
    }
    return out;
}

static void measure_rank(const weft_timeline *timeline, int32_t rank, double drained, double step,
                         weft_bubble_rank *out)
{
    const weft_program *program = timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    extent span = passes(program, lane);
    double at = 0;
    *out = (weft_bubble_rank){0};
    if (span.first != NOTHING) {
        out->first_begin = timeline->begin[span.first];
        out->last_end = timeline->end[span.last];
    }
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        double begin = timeline->begin[a];
        if (begin > at) {
            if (a == lane->first && is_pass(program->actions[a]))
                out->cause[WEFT_BUBBLE_FILL] += begin - at;
            else if (span.last != NOTHING && a <= span.last)
                add_gap(timeline, rank, a, at, out);
            else
                add_tail(at, begin, drained, out);
        }
        out->busy += timeline->end[a] - begin;
        at = timeline->end[a];
    }
    add_tail(at, step, drained, out);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) out->idle += out->cause[cause];
}

static int64_t peak(const weft_program *program, const weft_lane *lane)
{
    int64_t held = 0, most = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        if (action.kind == WEFT_F && ++held > most) most = held;
        bool frees = program->forward_only ? action.kind == WEFT_F : action.kind == WEFT_B || action.kind == WEFT_W;
        if (frees) held--;
    }
    return most;
}

void weft_bubble_measure(const weft_timeline *timeline, double *out_step_time, double *out_bubble_fraction,
                         weft_bubble_rank *ranks)
{
    const weft_program *program = timeline->program;
    double step = 0, drained = 0, idle = 0;
    for (uint32_t a = 0; a < program->action_count; a++) {
        step = later(step, timeline->end[a]);
        if (is_pass(program->actions[a])) drained = later(drained, timeline->end[a]);
    }
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        measure_rank(timeline, rank, drained, step, &ranks[rank]);
        ranks[rank].peak_activations = peak(program, &program->lanes[program->rank_lanes[rank]]);
        idle += ranks[rank].idle;
    }
    *out_step_time = step;
    *out_bubble_fraction = step > 0 ? idle / (step * program->ranks) : 0;
}
