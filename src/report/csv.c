#include "report/csv.h"

void weft_report_add_lane(const weft_lane *lane, weft_text *out)
{
    static const char *const names[] = {
        [WEFT_PROGRAM_COMPUTE] = "compute", [WEFT_PROGRAM_SEND_F] = "send_f", [WEFT_PROGRAM_RECV_F] = "recv_f",
        [WEFT_PROGRAM_SEND_B] = "send_b",   [WEFT_PROGRAM_RECV_B] = "recv_b", [WEFT_PROGRAM_REDUCE] = "reduce",
        [WEFT_PROGRAM_GATHER] = "gather",
    };
    weft_text_add(out, "%s", names[lane->kind]);
    if (lane->peer >= 0) weft_text_add(out, " %d", (int)lane->peer);
}

const char weft_report_csv_header[] = "rank,lane,action,stage,microbatch,begin,end\n";
const char weft_report_csv_step[] = ",,STEP,,,";

void weft_report_add_cells(const weft_lane *lane, weft_action action, weft_text *out)
{
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    weft_text_add(out, "%d,", (int)lane->rank);
    weft_report_add_lane(lane, out);
    weft_text_add(out, ",%s,", info->name);
    if (info->operands != WEFT_OPERANDS_NONE) weft_text_add(out, "%u", (unsigned)action.stage);
    weft_text_add(out, ",");
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH) weft_text_add(out, "%u", (unsigned)action.microbatch);
    weft_text_add(out, ",");
}

static void add_rows(const weft_timeline *timeline, weft_text *out)
{
    const weft_program *program = timeline->program;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            weft_report_add_cells(lane, program->actions[a], out);
            weft_text_add(out, "%.9f,%.9f\n", timeline->begin[a], timeline->end[a]);
        }
    }
}

void weft_report_csv(const weft_timeline *timeline, weft_text *out)
{
    weft_text_add(out, "%s", weft_report_csv_header);
    add_rows(timeline, out);
}

void weft_report_step_csv(const weft_timeline_record *record, weft_text *out)
{
    weft_text_add(out, "%s%s%.9f,%.9f\n", weft_report_csv_header, weft_report_csv_step, record->begin, record->end);
    add_rows(record->measured, out);
}
