#include "simulate/gaps.h"

#include "program/index.h"

#define NOTHING UINT32_MAX

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
    weft_action_members members = weft_action_info_get((weft_action_kind)program->actions[action].kind)->members;
    return members == WEFT_MEMBERS_DATA || members == WEFT_MEMBERS_TENSOR;
}

static weft_bubble_cause cause_of(weft_action_kind kind)
{
    static const weft_bubble_cause causes[WEFT_ACTION_KINDS] = {
#define ACTION(name, lane, place, operands, peer, programs, members, reads, writes, units, cost, cause, ...)           \
    WEFT_BUBBLE_##cause,
#include "schedule/actions.def"
#undef ACTION
    };
    return causes[kind];
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
    weft_bubble_cause cause = cause_of((weft_action_kind)timeline->program->actions[weights].kind);
    gap->waited = weights;
    gap->cause[cause] = gap->end - begin;
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
    gap->cause[WEFT_BUBBLE_WAIT] = computed - gap->begin;
    gap->cause[WEFT_BUBBLE_MESSAGE] = arrived - computed;
}

/* Of what an action waits for on its rank, what ended last; NOTHING where it waits for nothing. */
static uint32_t last_before(const weft_timeline *timeline, const weft_lane *lane, uint32_t action)
{
    const weft_program *program = timeline->program;
    uint32_t last = action > lane->first ? action - 1 : NOTHING;
    for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
        if (last == NOTHING || timeline->end[program->after[i]] > timeline->end[last]) last = program->after[i];
    return last;
}

static const weft_lane *lane_of(const weft_program *program, uint32_t action)
{
    int32_t low = 0, high = program->rank_lanes[program->ranks];
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (program->lanes[middle].first <= action)
            low = middle;
        else
            high = middle;
    }
    return &program->lanes[low];
}

/* The same of all its members where it is one that all ranks do together. */
static uint32_t last_of_all(const weft_gaps *gaps, uint32_t action)
{
    const weft_program *program = gaps->timeline->program;
    weft_action_kind kind = (weft_action_kind)program->actions[action].kind;
    if (gaps->before[kind] != NOTHING) return gaps->before[kind];
    return last_before(gaps->timeline, lane_of(program, action), action);
}

/* Idle time behind the rank's last pass: drain while any rank still computes, then what the gap's action waits for, or
 * the end of the step, from what ended last backwards. */
static void explain_tail(const weft_gaps *gaps, weft_bubble_gap *gap)
{
    const weft_timeline *timeline = gaps->timeline;
    const weft_program *program = timeline->program;
    const weft_lane *compute = &program->lanes[program->rank_lanes[gap->rank]];
    double middle = later(gap->begin, earlier(gap->end, gaps->drained)), time = gap->end;
    uint32_t action = gap->before == NOTHING ? gaps->last : last_before(timeline, compute, gap->before), before;
    gap->cause[WEFT_BUBBLE_DRAIN] = middle - gap->begin;
    for (; time > middle; action = before) {
        before = action == NOTHING ? NOTHING : last_of_all(gaps, action);
        double begin = before == NOTHING ? middle : later(middle, earlier(time, timeline->end[before]));
        weft_action_kind kind = action == NOTHING ? WEFT_UPDATE : (weft_action_kind)program->actions[action].kind;
        gap->cause[cause_of(kind)] += time - begin;
        time = begin;
    }
}

typedef struct extent {
    uint32_t first, last; /* passes on a compute lane; NOTHING when it has none */
} extent;

static extent passes(const weft_program *program, const weft_lane *lane)
{
    extent out = {NOTHING, NOTHING};
    uint32_t first = lane->first, end = lane->first + lane->count;
    while (first < end && !weft_action_is_pass(program->actions[first])) first++;
    while (end > first && !weft_action_is_pass(program->actions[end - 1])) end--;
    if (first < end) out = (extent){first, end - 1};
    return out;
}

double weft_gaps_exchange(const weft_timeline *timeline, const weft_lane *lane, uint32_t a)
{
    const weft_program *program = timeline->program;
    weft_action action = program->actions[a];
    if (!weft_action_is_pass(action)) return 0;
    bool follows = action.paired && timeline->begin[a] == timeline->begin[a - 1];
    if (follows || behind(timeline, lane, a) > a + 1) return 0;
    double own = timeline->exchanges[action.kind * (size_t)program->stages + action.stage];
    return earlier(own, timeline->end[a] - timeline->begin[a]);
}

static void visit_exchange(const weft_gaps *gaps, int32_t rank, const weft_lane *lane, uint32_t a,
                           weft_gaps_visitor *visit, void *context)
{
    double own = weft_gaps_exchange(gaps->timeline, lane, a), end = gaps->timeline->end[a];
    if (!(own > 0)) return;
    weft_bubble_gap gap = {rank, a, NOTHING, NOTHING, end - own, end, {[WEFT_BUBBLE_EXCHANGE] = own}};
    visit(&gap, context);
}

static void explain(const weft_gaps *gaps, extent span, const weft_lane *lane, weft_bubble_gap *gap)
{
    uint32_t a = gap->before;
    if (a == lane->first && weft_action_is_pass(gaps->timeline->program->actions[a]))
        gap->cause[WEFT_BUBBLE_FILL] = explain_weights(gaps->timeline, gap);
    else if (span.last != NOTHING && a <= span.last)
        explain_gap(gaps->timeline, gap);
    else
        explain_tail(gaps, gap);
}

void weft_gaps_visit(const weft_gaps *gaps, int32_t rank, weft_gaps_visitor *visit, void *context)
{
    const weft_timeline *timeline = gaps->timeline;
    const weft_program *program = timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    extent span = passes(program, lane);
    double at = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; at = timeline->end[a++]) {
        weft_bubble_gap gap = {rank, a, NOTHING, NOTHING, at, timeline->begin[a], {0}};
        if (timeline->begin[a] > at) {
            explain(gaps, span, lane, &gap);
            visit(&gap, context);
        }
        if (timeline->exchanges) visit_exchange(gaps, rank, lane, a, visit, context);
    }
    if (!(gaps->step > at)) return;
    weft_bubble_gap tail = {rank, NOTHING, NOTHING, NOTHING, at, gaps->step, {0}};
    explain_tail(gaps, &tail);
    visit(&tail, context);
}

static void look(weft_gaps *gaps, const weft_lane *lane, uint32_t action)
{
    const weft_timeline *timeline = gaps->timeline;
    weft_action of = timeline->program->actions[action];
    double end = timeline->end[action];
    if (end > gaps->step) {
        gaps->step = end;
        gaps->last = action;
    }
    if (lane->kind == WEFT_PROGRAM_COMPUTE && weft_action_is_pass(of)) gaps->drained = later(gaps->drained, end);
    if (!weft_action_is_collective(of)) return;
    uint32_t before = last_before(timeline, lane, action), *known = &gaps->before[of.kind];
    if (before != NOTHING && (*known == NOTHING || timeline->end[before] > timeline->end[*known])) *known = before;
}

void weft_gaps_find(weft_gaps *gaps, const weft_timeline *timeline)
{
    const weft_program *program = timeline->program;
    *gaps = (weft_gaps){.timeline = timeline};
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) gaps->before[kind] = NOTHING;
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) look(gaps, lane, a);
    }
}
