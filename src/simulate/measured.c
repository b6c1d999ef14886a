#include "simulate/measured.h"

/* When all that the node waits for was done. */
static double ready(const weft_timeline *timeline, const weft_walk *walk, uint32_t k)
{
    const weft_program *program = timeline->program;
    double time = 0;
    for (int32_t n = 0; n < walk->member_count; n++) {
        uint32_t action = walk->members[n].first + k;
        if (action > program->lanes[walk->members[n].lane].first && timeline->end[action - 1] > time)
            time = timeline->end[action - 1];
        for (uint32_t i = program->after_first[action]; i < program->after_first[action + 1]; i++)
            if (timeline->end[program->after[i]] > time) time = timeline->end[program->after[i]];
    }
    return time;
}

static bool is_message(const weft_timeline *timeline, const weft_walk *walk, uint32_t k)
{
    uint32_t kind = timeline->program->actions[walk->members[0].first + k].kind;
    return kind == WEFT_SEND_F || kind == WEFT_SEND_B;
}

double weft_measured_seconds(const weft_timeline *timeline, const weft_walk *walk, uint32_t k)
{
    double end = 0;
    for (int32_t n = 0; n < walk->member_count; n++)
        end += timeline->end[walk->members[n].first + k] / walk->member_count;
    if (is_message(timeline, walk, k)) end = timeline->end[walk->members[1].first + k];
    double seconds = end - ready(timeline, walk, k);
    return seconds > 0 ? seconds : 0;
}
