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

/* Where the actions that begin at the end of a gap stop: behind the first, or behind a pair that begins as one. */
static uint32_t behind(const weft_timeline *timeline, const weft_lane *lane, uint32_t first)
{
    uint32_t next = first + 1;
    bool pair = next < lane->first + lane->count && timeline->program->actions[next].paired &&
                timeline->begin[next] == timeline->begin[first];
    return pair ? next + 1 : next;
}

static bool is_sharding(const weft_program *program, uint32_t action)
{
    weft_action_kind kind = (weft_action_kind)program->actions[action].kind;
    return kind == WEFT_UNSHARD || kind == WEFT_REDUCE_GRAD;
}

/* Of what the gap's action waits for, sharding or all else: what ended last, NOTHING where there is none. */
static uint32_t last_waited(const weft_timeline *timeline, const weft_bubble_gap *gap, bool sharding)
{
    const weft_program *program = timeline->program;
    uint32_t last = NOTHING, stop = behind(timeline, &program->lanes[program->rank_lanes[gap->rank]], gap->before);
    for (uint32_t i = program->after_first[gap->before]; i < program->after_first[stop]; i++)
        if (is_sharding(program, program->after[i]) == sharding &&
            (last == NOTHING || timeline->end[program->after[i]] > timeline->end[last]))
            last = program->after[i];
    return last;
}

/* Counts the end of the gap in which only weights, or a buffer for gradients, were missing; returns when it began. */
static double explain_weights(const weft_timeline *timeline, weft_bubble_gap *gap)
{
    uint32_t weights = last_waited(timeline, gap, true), other = last_waited(timeline, gap, false);
    if (weights == NOTHING) return gap->end;
    double begin = other == NOTHING ? gap->begin : later(gap->begin, earlier(gap->end, timeline->end[other]));
    if (timeline->end[weights] <= begin) return gap->end;
    gap->waited = weights;
    gap->cause[WEFT_BUBBLE_WEIGHTS] = gap->end - begin;
    return begin;
}

/* Gap between two passes. What ended last of all that the action waited for tells the cause: another rank was still
 * computing until the sender's pass ended, and from then on the message was under way. */
static void explain_gap(const weft_timeline *timeline, weft_bubble_gap *gap)
{
    const weft_program *program = timeline->program;
    double computed = gap->begin, arrived = explain_weights(timeline, gap);
    uint32_t last = last_waited(timeline, gap, false);
    if (last != NOTHING && timeline->end[last] > gap->begin) {
        const weft_lane *lane = &program->lanes[weft_program_lane(program, gap->rank, last)];
        bool receives = lane->kind == WEFT_PROGRAM_RECV_F || lane->kind == WEFT_PROGRAM_RECV_B;
        if (gap->waited == NOTHING) gap->waited = last;
        uint32_t source = receives ? producer(program, lane, last) : NOTHING;
        if (source != NOTHING) computed = later(gap->begin, earlier(arrived, timeline->end[source]));
        if (gap->waited == last) gap->source = source;
    }
    gap->cause[WEFT_BUBBLE_IMBALANCE] = computed - gap->begin;
    gap->cause[WEFT_BUBBLE_MESSAGE] = arrived - computed;
}

/* Idle time behind the rank's last pass: drain while any rank still computes, then the end of the step. */
static void explain_tail(double drained, weft_bubble_gap *gap)
{
    double middle = later(gap->begin, earlier(gap->end, drained));
    gap->cause[WEFT_BUBBLE_DRAIN] = middle - gap->begin;
    gap->cause[WEFT_BUBBLE_UPDATE] = gap->end - middle;
}

typedef struct extent {
    uint32_t first, last; /* passes on a compute lane; NOTHING when it has none */
} extent;

static extent passes(const weft_program *program, const weft_lane *lane)
{
    extent out = {NOTHING, NOTHING};
    uint32_t first = lane->first, end = lane->first + lane->count;
    while (first < end && !is_pass(program->actions[first])) first++;
    while (end > first && !is_pass(program->actions[end - 1])) end--;
    if (first < end) out = (extent){first, end - 1};
    return out;
}

typedef struct visitor {
    const weft_timeline *timeline;
    double step, drained; /* when the last action ends, and the last pass */
    void (*visit)(const weft_bubble_gap *gap, void *context);
    void *context;
} visitor;

static void visit_rank(const visitor *v, int32_t rank, extent span)
{
    const weft_program *program = v->timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    double at = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; at = v->timeline->end[a++]) {
        if (!(v->timeline->begin[a] > at)) continue;
        weft_bubble_gap gap = {rank, a, NOTHING, NOTHING, at, v->timeline->begin[a], {0}};
        if (a == lane->first && is_pass(program->actions[a]))
            gap.cause[WEFT_BUBBLE_FILL] = explain_weights(v->timeline, &gap);
        else if (span.last != NOTHING && a <= span.last)
            explain_gap(v->timeline, &gap);
        else
            explain_tail(v->drained, &gap);
        v->visit(&gap, v->context);
    }
    if (!(v->step > at)) return;
    weft_bubble_gap tail = {rank, NOTHING, NOTHING, NOTHING, at, v->step, {0}};
    explain_tail(v->drained, &tail);
    v->visit(&tail, v->context);
}

static void find_ends(visitor *v)
{
    const weft_program *program = v->timeline->program;
    const double *end = v->timeline->end;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            v->step = later(v->step, end[a]);
            if (lane->kind == WEFT_PROGRAM_COMPUTE && is_pass(program->actions[a]))
                v->drained = later(v->drained, end[a]);
        }
    }
}

void weft_bubble_visit(const weft_timeline *timeline, void (*visit)(const weft_bubble_gap *gap, void *context),
                       void *context)
{
    const weft_program *program = timeline->program;
    visitor v = {.timeline = timeline, .visit = visit, .context = context};
    find_ends(&v);
    for (int32_t rank = 0; rank < program->ranks; rank++)
        visit_rank(&v, rank, passes(program, &program->lanes[program->rank_lanes[rank]]));
}

static void add_gap(const weft_bubble_gap *gap, void *context)
{
    weft_bubble_rank *out = context;
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) out->cause[cause] += gap->cause[cause];
}

static void measure_rank(visitor *v, int32_t rank, weft_bubble_rank *out)
{
    const weft_timeline *timeline = v->timeline;
    const weft_program *program = timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    extent span = passes(program, lane);
    *out = (weft_bubble_rank){0};
    if (span.first != NOTHING) {
        out->first_begin = timeline->begin[span.first];
        out->last_end = timeline->end[span.last];
    }
    double at = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; at = timeline->end[a++])
        out->busy += timeline->end[a] - later(at, timeline->begin[a]); /* the parts of a pair may share their time */
    v->context = out;
    visit_rank(v, rank, span);
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
    visitor v = {.timeline = timeline, .visit = add_gap};
    double idle = 0;
    find_ends(&v);
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        measure_rank(&v, rank, &ranks[rank]);
        ranks[rank].peak_activations = peak(program, &program->lanes[program->rank_lanes[rank]]);
        idle += ranks[rank].idle;
    }
    *out_step_time = v.step;
    *out_bubble_fraction = v.step > 0 ? idle / (v.step * program->ranks) : 0;
}

void weft_bubble_shares(const weft_bubble_rank *ranks, int32_t count, double step_time, double out[WEFT_BUBBLE_CAUSES])
{
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        out[cause] = 0;
        for (int32_t rank = 0; rank < count && step_time > 0; rank++)
            out[cause] += ranks[rank].cause[cause] / (step_time * count);
    }
}
