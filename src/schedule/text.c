#include "schedule/schedule.h"

bool weft_cells_next(weft_cells *cells)
{
    const weft_schedule *schedule = cells->schedule;
    size_t begin = schedule->first[cells->rank], end = schedule->first[cells->rank + 1];
    if (!cells->begun) {
        size_t low = 0, high = schedule->wait_count;
        while (low < high) { /* the first wait of the row: it stands behind an action of it */
            size_t middle = low + (high - low) / 2;
            if (schedule->waits[middle].before <= begin)
                low = middle + 1;
            else
                high = middle;
        }
        cells->begun = true;
        cells->next = begin;
        cells->wait = low;
    }
    cells->is_wait = cells->wait < schedule->wait_count && schedule->waits[cells->wait].before == cells->next;
    if (!cells->is_wait && cells->next == end) return false;
    cells->action = schedule->actions[cells->is_wait ? schedule->waits[cells->wait++].of : cells->next++];
    return true;
}

void weft_cell_print(const weft_cells *cells, weft_text *out)
{
    (cells->is_wait ? weft_wait_print : weft_action_print)(cells->action, out);
}

void weft_schedule_add_shape(int32_t stages, int32_t ranks, weft_text *out)
{
    weft_text_add_count(out, stages, "stage");
    weft_text_add(out, " over ");
    weft_text_add_count(out, ranks, "rank");
}

static size_t widest_cell(const weft_schedule *schedule, weft_text *out)
{
    size_t widest = 0;
    weft_text cell;
    weft_text_init(&cell);
    for (int32_t rank = 0; rank < schedule->ranks; rank++)
        for (weft_cells cells = {.schedule = schedule, .rank = rank}; weft_cells_next(&cells);) {
            cell.length = 0;
            weft_cell_print(&cells, &cell);
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

/* Cells begin in columns: each but the last of its row is `width` wide. */
static void add_row(const weft_schedule *schedule, int32_t rank, size_t width, weft_text *out)
{
    size_t column = out->length;
    for (weft_cells cells = {.schedule = schedule, .rank = rank}; weft_cells_next(&cells); column += 1 + width) {
        while (!out->failed && out->length < column) weft_text_add_bytes(out, " ", 1);
        weft_text_add_bytes(out, " ", 1);
        weft_cell_print(&cells, out);
    }
}

void weft_schedule_write_text(const weft_schedule *schedule, weft_text *out)
{
    add_header(schedule, out);
    int rank_width = 1;
    for (int32_t top = schedule->ranks - 1; top > 9; top /= 10) rank_width++;
    size_t width = widest_cell(schedule, out);
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        weft_text_add(out, "rank %*d |", rank_width, (int)rank);
        add_row(schedule, rank, width, out);
        weft_text_add(out, "\n");
    }
}

void weft_schedule_write_csv(const weft_schedule *schedule, weft_text *out)
{
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        size_t end = schedule->first[rank + 1];
        bool later = false;
        for (weft_cells cells = {.schedule = schedule, .rank = rank}; weft_cells_next(&cells); later = true) {
            bool second = !cells.is_wait && cells.action.paired;
            bool opens = !cells.is_wait && cells.next < end && schedule->actions[cells.next].paired;
            if (later) weft_text_add_bytes(out, second ? ";" : ",", 1);
            if (opens) weft_text_add_bytes(out, "(", 1);
            weft_cell_print(&cells, out);
            if (second) weft_text_add(out, ")OVERLAP_F_B");
        }
        weft_text_add_bytes(out, "\n", 1);
    }
}
