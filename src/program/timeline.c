#include "program/program.h"

weft_status weft_timeline_init(weft_timeline *timeline, const weft_program *program, weft_error *error)
{
    *timeline = (weft_timeline){.program = program};
    TRY(weft_allocate(program->action_count, sizeof(double), &timeline->begin, error));
    weft_status status = weft_allocate(program->action_count, sizeof(double), &timeline->end, error);
    if (status != WEFT_OK) weft_timeline_fini(timeline);
    return status;
}

void weft_timeline_fini(weft_timeline *timeline)
{
    weft_free(timeline->begin);
    weft_free(timeline->end);
    weft_free(timeline->exchanges);
    *timeline = (weft_timeline){0};
}

weft_status weft_timeline_add_exchanges(weft_timeline *timeline, double latency, double bytes_a_second,
                                        weft_error *error)
{
    const weft_exchanges *rows = timeline->program->exchanges;
    size_t count = WEFT_PASS_KINDS * (size_t)timeline->program->stages;
    weft_free(timeline->exchanges);
    timeline->exchanges = NULL;
    if (!rows) return WEFT_OK;
    TRY(weft_allocate(count, sizeof *timeline->exchanges, &timeline->exchanges, error));
    for (size_t i = 0; i < count; i++)
        timeline->exchanges[i] = rows[i].count * latency + (double)rows[i].bytes / bytes_a_second;
    return WEFT_OK;
}

double weft_timeline_end(const weft_timeline *timeline)
{
    double end = 0;
    for (uint32_t a = 0; a < timeline->program->action_count; a++)
        if (timeline->end[a] > end) end = timeline->end[a];
    return end;
}

static void begin_not_before(weft_timeline *timeline, uint32_t action, double time)
{
    if (time > timeline->begin[action] && time < timeline->end[action]) timeline->begin[action] = time;
}

static void meet_messages(weft_timeline *timeline, const weft_lane *lane)
{
    for (uint32_t k = 0; k < lane->count; k++) {
        uint32_t send = lane->first + k, receive = timeline->program->lanes[lane->match].first + k;
        double asked = timeline->begin[receive];
        begin_not_before(timeline, receive, timeline->begin[send]);
        begin_not_before(timeline, send, asked);
    }
}

void weft_timeline_meet(weft_timeline *timeline)
{
    const weft_program *program = timeline->program;
    double latest[WEFT_ACTION_KINDS] = {0};
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        if (lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B) meet_messages(timeline, lane);
        if (lane->kind != WEFT_PROGRAM_REDUCE) continue;
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++)
            if (timeline->begin[a] > latest[program->actions[a].kind])
                latest[program->actions[a].kind] = timeline->begin[a];
    }
    for (uint32_t a = 0; a < program->action_count; a++)
        if (weft_action_is_collective(program->actions[a]))
            begin_not_before(timeline, a, latest[program->actions[a].kind]);
}
