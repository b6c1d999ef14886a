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
