#include "schedule/schedule.h"

static size_t row_length(const weft_schedule *schedule, int32_t rank)
{
    return schedule->first[rank + 1] - schedule->first[rank];
}

static size_t widest_action(const weft_schedule *schedule, weft_text *out)
{
    size_t widest = 0;
    weft_text cell;
    weft_text_init(&cell);
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++) {
        cell.length = 0;
        weft_action_print(schedule->actions[i], &cell);
        if (cell.length > widest) widest = cell.length;
    }
    if (cell.failed) out->failed = true;
    weft_text_fini(&cell);
    return widest;
}

static void add_header(const weft_schedule *schedule, weft_text *out)
{
    weft_text_add(out, "%s: ", schedule->name);
    weft_text_add_count(out, schedule->ranks, "rank");
    if (schedule->loops > 1) weft_text_add(out, ", %d loops", (int)schedule->loops);
    weft_text_add(out, ", ");
    weft_text_add_count(out, schedule->stages, "stage");
    weft_text_add(out, ", ");
    weft_text_add_count(out, schedule->microbatches, "micro-batch");
    if (schedule->forward_only) weft_text_add(out, ", forward only");
    if (!schedule->ascending) weft_text_add(out, ", gradients not in ascending micro-batch order");
    weft_text_add(out, "\n");
}

void weft_schedule_write_text(const weft_schedule *schedule, weft_text *out)
{
    add_header(schedule, out);
    int rank_width = 1;
    for (int32_t top = schedule->ranks - 1; top > 9; top /= 10) rank_width++;
    size_t width = widest_action(schedule, out);
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        weft_text_add(out, "rank %*d |", rank_width, (int)rank);
        for (size_t i = 0; i < row_length(schedule, rank); i++) {
            size_t begin = out->length;
            weft_text_add_bytes(out, " ", 1);
            weft_action_print(schedule->actions[schedule->first[rank] + i], out);
            bool last = i + 1 == row_length(schedule, rank);
            while (!last && !out->failed && out->length < begin + 1 + width) weft_text_add_bytes(out, " ", 1);
        }
        weft_text_add(out, "\n");
    }
}

void weft_schedule_write_csv(const weft_schedule *schedule, weft_text *out)
{
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        size_t first = schedule->first[rank], end = schedule->first[rank + 1];
        for (size_t i = first; i < end; i++) {
            bool second = schedule->actions[i].paired, opens = i + 1 < end && schedule->actions[i + 1].paired;
            if (i > first) weft_text_add_bytes(out, second ? ";" : ",", 1);
            if (opens) weft_text_add_bytes(out, "(", 1);
            weft_action_print(schedule->actions[i], out);
            if (second) weft_text_add(out, ")OVERLAP_F_B");
        }
        weft_text_add_bytes(out, "\n", 1);
    }
}
