/* What is said of a cell that is wrong. */
#include "schedule/csv.h"

void weft_csv_print_cell(const weft_csv_reader *reader, weft_action action, weft_text *out)
{
    if (reader->dialect == WEFT_CSV_2024 && action.kind == WEFT_B) {
        weft_text_add(out, "%uBW%u", (unsigned)action.stage, (unsigned)action.microbatch);
        return;
    }
    if (reader->dialect == WEFT_CSV_2024 && action.kind == WEFT_I) action.kind = WEFT_B;
    weft_action_print(action, out);
}

static weft_status reject(const weft_csv_reader *reader, const weft_csv_action *place, weft_text *cell, const char *why)
{
    weft_status status = weft_fail(reader->error, WEFT_INVALID, "%s, row %u, column %zu: \"%s\" %s", reader->source,
                                   (unsigned)place->row, place->column, weft_text_get(cell), why);
    weft_text_fini(cell);
    return status;
}

weft_status weft_csv_reject(const weft_csv_reader *reader, const weft_csv_action *place, const char *why)
{
    weft_text cell;
    weft_text_init(&cell);
    weft_csv_print_cell(reader, place->action, &cell);
    return reject(reader, place, &cell, why);
}

weft_status weft_csv_reject_wait(const weft_csv_reader *reader, const weft_csv_wait *wait, const char *why)
{
    weft_text cell;
    weft_text_init(&cell);
    weft_wait_print(wait->cell.action, &cell);
    return reject(reader, &wait->cell, &cell, why);
}
