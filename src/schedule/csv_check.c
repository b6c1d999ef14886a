#include "schedule/csv.h"
#include "schedule/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where communication is written out, cells are executed as they stand, and a blank one would mean nothing. */
static weft_status check_blanks(const weft_csv_reader *reader)
{
    if (!reader->has_messages || !reader->blank_row) return WEFT_OK;
    FAIL(reader->error, WEFT_INVALID,
         "%s, row %zu, column %zu: \"\" is a blank cell, which a file with communication must not have", reader->source,
         reader->blank_row, reader->blank_column);
}

/* Every stage below the highest must be in a row, and in one only: that row is the rank that holds it. */
static weft_status place_stages(const weft_csv_reader *reader, int32_t *stage_row, size_t room)
{
    char why[96];
    for (size_t i = 0; i < reader->count; i++) {
        const weft_csv_action *place = &reader->actions[i];
        if (place->action.stage >= room) continue;
        int32_t *row = &stage_row[place->action.stage];
        if (*row && *row != (int32_t)place->row) {
            snprintf(why, sizeof why, "is on stage %u, which row %d already holds", (unsigned)place->action.stage,
                     *row);
            return weft_csv_reject(reader, place, why);
        }
        *row = (int32_t)place->row;
    }
    for (size_t stage = 0; stage < room; stage++)
        if (!stage_row[stage])
            FAIL(reader->error, WEFT_INVALID, "%s: stage %zu is in no row, although there is a stage %u",
                 reader->source, stage, (unsigned)reader->stages - 1);
    return WEFT_OK;
}

/* S and M follow from the highest numbers. Far fewer actions than these ask for mean a slip in a number; what is
 * merely missing is named better when the program is verified. */
static weft_status check_numbers(const weft_csv_reader *reader)
{
    size_t forward = 0;
    const weft_csv_action *highest = reader->actions;
    for (size_t i = 0; i < reader->count; i++) {
        if (reader->actions[i].action.kind == WEFT_F) forward++;
        if (reader->actions[i].action.microbatch > highest->action.microbatch) highest = &reader->actions[i];
    }
    if (!forward) FAIL(reader->error, WEFT_INVALID, "%s: no forward action, such as 0F0", reader->source);
    if ((uint64_t)reader->stages * reader->microbatches <= 2 * (uint64_t)forward + 64) return WEFT_OK;
    return weft_csv_reject(reader, highest,
                           "has the highest micro-batch number, but most forward actions below it are not in the file");
}

/* A message has two ends: nothing comes before the first stage, nothing after the last. */
static weft_status check_ends(const weft_csv_reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        weft_action action = reader->actions[i].action;
        bool first = action.stage == 0, last = (uint32_t)action.stage + 1 == reader->stages;
        if (first && (action.kind == WEFT_RECV_F || action.kind == WEFT_SEND_B))
            return weft_csv_reject(reader, &reader->actions[i],
                                   "has no other end: nothing comes before the first stage");
        if (last && (action.kind == WEFT_SEND_F || action.kind == WEFT_RECV_B))
            return weft_csv_reject(reader, &reader->actions[i], "has no other end: nothing comes after the last stage");
    }
    return WEFT_OK;
}

static int compare_group(const void *a_pointer, const void *b_pointer)
{
    const weft_csv_action *a = *(const weft_csv_action *const *)a_pointer;
    const weft_csv_action *b = *(const weft_csv_action *const *)b_pointer;
    if (a->action.stage != b->action.stage) return a->action.stage < b->action.stage ? -1 : 1;
    if (a->action.microbatch != b->action.microbatch) return a->action.microbatch < b->action.microbatch ? -1 : 1;
    return (a > b) - (a < b);
}

static weft_status check_dialect(const weft_csv_reader *reader, const weft_csv_action *const *of_kind)
{
    if (reader->dialect != WEFT_CSV_CURRENT || !of_kind[WEFT_B] || !of_kind[WEFT_W] || of_kind[WEFT_I]) return WEFT_OK;
    return weft_csv_reject(
        reader, of_kind[WEFT_W],
        "goes with a B of the same stage and micro-batch and no I: this looks like the dialect of 2024, "
        "where B is the gradient of the input only; name it (--dialect 2024, parallel.dialect=2024), or "
        "write I for B");
}

static weft_status reject_order(const weft_csv_reader *reader, const weft_csv_action *first,
                                const weft_csv_action *second)
{
    weft_text why;
    weft_text_init(&why);
    weft_text_add(&why, "comes before ");
    weft_csv_print_cell(reader, first->action, &why);
    weft_text_add(&why, ", which it needs");
    weft_status status = weft_csv_reject(reader, second, weft_text_get(&why));
    weft_text_fini(&why);
    return status;
}

/* A row with communication is executed as written: a message stands behind what makes it and before what reads it. */
static weft_status check_row_order(const weft_csv_reader *reader, const weft_csv_action *const *of_kind)
{
    static const struct {
        weft_action_kind first, second;
    } rules[] = {{WEFT_RECV_F, WEFT_F}, {WEFT_F, WEFT_SEND_F}, {WEFT_RECV_B, WEFT_B},
                 {WEFT_RECV_B, WEFT_I}, {WEFT_B, WEFT_SEND_B}, {WEFT_I, WEFT_SEND_B}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const weft_csv_action *first = of_kind[rules[i].first], *second = of_kind[rules[i].second];
        if (first && second && first > second) return reject_order(reader, first, second);
    }
    return WEFT_OK;
}

/* sorted: all actions by stage and micro-batch. Doubled ones are found when the program is verified. */
static weft_status check_groups(const weft_csv_reader *reader, const weft_csv_action *const *sorted)
{
    for (size_t i = 0, end; i < reader->count; i = end) {
        const weft_csv_action *of_kind[WEFT_ACTION_KINDS] = {NULL};
        for (end = i; end < reader->count && sorted[end]->action.stage == sorted[i]->action.stage &&
                      sorted[end]->action.microbatch == sorted[i]->action.microbatch;
             end++)
            of_kind[sorted[end]->action.kind] = sorted[end];
        TRY(check_dialect(reader, of_kind));
        TRY(check_row_order(reader, of_kind));
    }
    return WEFT_OK;
}

/* What the actions of one micro-batch in one stage say together. */
static weft_status check_together(const weft_csv_reader *reader)
{
    const weft_csv_action **sorted = NULL;
    TRY(weft_allocate(reader->count, sizeof *sorted, &sorted, reader->error));
    for (size_t i = 0; i < reader->count; i++) sorted[i] = &reader->actions[i];
    qsort(sorted, reader->count, sizeof *sorted, compare_group);
    weft_status status = check_groups(reader, sorted);
    weft_free(sorted);
    return status;
}

static weft_status check(const weft_csv_reader *reader, weft_schedule *schedule)
{
    TRY(check_blanks(reader));
    /* Among the first count + 1 stages one is missing for certain when there are more stages than actions. */
    size_t room = reader->stages <= reader->count ? reader->stages : reader->count + 1;
    TRY(weft_allocate(room, sizeof *schedule->stage_rank, &schedule->stage_rank, reader->error));
    TRY(place_stages(reader, schedule->stage_rank, room));
    for (size_t stage = 0; stage < room; stage++) schedule->stage_rank[stage]--; /* rows count from 1 */
    TRY(check_numbers(reader));
    TRY(check_ends(reader));
    return check_together(reader);
}

/* Without messages REDUCE_GRAD says nothing that the order of the passes does not: it is left out. */
static void drop_reductions(weft_schedule *schedule)
{
    size_t kept = 0, begin = 0;
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        size_t end = schedule->first[rank + 1];
        for (size_t i = begin; i < end; i++)
            if (schedule->actions[i].kind != WEFT_REDUCE_GRAD) schedule->actions[kept++] = schedule->actions[i];
        schedule->first[rank + 1] = kept;
        begin = end;
    }
}

static weft_status fill(const weft_csv_reader *reader, weft_schedule *schedule)
{
    schedule->ranks = (int32_t)reader->rows;
    schedule->stages = (int32_t)reader->stages;
    schedule->microbatches = (int32_t)reader->microbatches;
    schedule->loops = schedule->stages % schedule->ranks == 0 ? schedule->stages / schedule->ranks : 0;
    schedule->has_messages = reader->has_messages;
    schedule->forward_only = true;
    const char *slash = strrchr(reader->source, '/');
    snprintf(schedule->name, sizeof schedule->name, "%s", slash && slash[1] ? slash + 1 : reader->source);
    TRY(weft_allocate(reader->rows + 1, sizeof *schedule->first, &schedule->first, reader->error));
    TRY(weft_allocate(reader->count, sizeof *schedule->actions, &schedule->actions, reader->error));
    memcpy(schedule->first, reader->first, reader->rows * sizeof *schedule->first);
    schedule->first[reader->rows] = reader->count;
    for (size_t i = 0; i < reader->count; i++) {
        schedule->actions[i] = reader->actions[i].action;
        unsigned kind = schedule->actions[i].kind;
        if (kind == WEFT_B || kind == WEFT_I || kind == WEFT_W) schedule->forward_only = false;
    }
    TRY(weft_csv_check_waits(reader, schedule));
    if (!schedule->has_messages) drop_reductions(schedule);
    return weft_schedule_note_order(schedule, reader->error);
}

bool weft_schedule_is_file(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".csv") == 0;
}

weft_status weft_schedule_read_csv(const char *text, size_t length, const char *source, weft_csv_dialect dialect,
                                   weft_schedule **out, weft_error *error)
{
    weft_csv_reader reader = {.source = source, .dialect = dialect, .error = error};
    weft_schedule *schedule = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *schedule, &schedule, error));
    weft_status status = weft_csv_read_rows(&reader, length ? text : "", length);
    if (status == WEFT_OK) status = check(&reader, schedule);
    if (status == WEFT_OK) status = fill(&reader, schedule);
    weft_free(reader.actions);
    weft_free(reader.waits);
    weft_free(reader.first);
    if (status == WEFT_OK)
        *out = schedule;
    else
        weft_schedule_destroy(schedule);
    return status;
}
