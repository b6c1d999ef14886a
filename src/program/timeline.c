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
    *timeline = (weft_timeline){0};
}

static void begin_not_before(weft_timeline *timeline, uint32_t action, double time)
{
    if (time > timeline->begin[action] && time < timeline->end[action]) timeline->begin[action] = time;
}

void weft_timeline_meet(weft_timeline *timeline)
{
    const weft_program *program = timeline->program;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        bool sends = lane->kind == WEFT_PROGRAM_SEND_F || lane->kind == WEFT_PROGRAM_SEND_B;
        for (uint32_t k = 0; sends && k < lane->count; k++) {
            uint32_t send = lane->first + k, receive = program->lanes[lane->match].first + k;
            double asked = timeline->begin[receive];
            begin_not_before(timeline, receive, timeline->begin[send]);
            begin_not_before(timeline, send, asked);
        }
    }
}
