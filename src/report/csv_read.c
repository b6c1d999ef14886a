/* Timelines as CSV, read back. The rows of a program are known, so that a row is right or wrong as a whole. */
#include "report/csv.h"

#include <stdio.h>
#include <string.h>

typedef struct reader {
    const char *at; /* the rest of the text */
    const char *source;
    size_t line; /* of at, from 1 */
    weft_text expected;
    weft_error *error;
} reader;

static int line_length(const reader *r)
{
    size_t length = strcspn(r->at, "\n");
    return (int)(length < 60 ? length : 60);
}

/* Goes behind the text at the beginning of a line. what: who is in it, for the message. */
static weft_status skip(reader *r, const char *text, const char *what)
{
    size_t length = strlen(text);
    if (!*r->at) FAIL(r->error, WEFT_INVALID, "%s:%zu: ends here; %s is missing", r->source, r->line, what);
    if (strncmp(r->at, text, length) != 0)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: expects %s, '%.*s', not '%.*s'", r->source, r->line, what,
             (int)strcspn(text, "\n"), text, line_length(r), r->at);
    r->at += length;
    return WEFT_OK;
}

/* The number up to the character that ends its cell. */
static weft_status read_time(reader *r, char ends, const char *column, double *out)
{
    char cell[64] = "";
    size_t length = strcspn(r->at, ",\n");
    if (length < sizeof cell) memcpy(cell, r->at, length);
    if (!weft_parse_double(cell, out) || *out - *out != 0)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: column %s: expects seconds, not '%.*s'", r->source, r->line, column,
             (int)(length < 60 ? length : 60), r->at);
    r->at += length;
    if (*r->at != ends)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: column %s: expects %s behind it", r->source, r->line, column,
             ends == ',' ? "a comma" : "the end of the line");
    r->at++;
    return WEFT_OK;
}

static weft_status read_times(reader *r, double *begin, double *end)
{
    TRY(read_time(r, ',', "begin", begin));
    TRY(read_time(r, '\n', "end", end));
    if (*end < *begin) FAIL(r->error, WEFT_INVALID, "%s:%zu: ends before it begins", r->source, r->line);
    r->line++;
    return WEFT_OK;
}

static weft_status read_action(reader *r, const weft_lane *lane, uint32_t index, weft_timeline *timeline)
{
    weft_action action = timeline->program->actions[index];
    weft_text name;
    r->expected.length = 0;
    weft_report_add_cells(lane, action, &r->expected);
    TRY(weft_text_check(&r->expected, r->error));
    if (*r->at && strncmp(r->at, r->expected.bytes, r->expected.length) == 0) {
        r->at += r->expected.length;
        return read_times(r, &timeline->begin[index], &timeline->end[index]);
    }
    weft_text_init(&name);
    weft_action_print(action, &name);
    weft_status status = skip(r, r->expected.bytes, weft_text_get(&name));
    weft_text_fini(&name);
    return status;
}

static weft_status read_all(reader *r, weft_timeline *timeline, weft_timeline_record *record)
{
    const weft_program *program = timeline->program;
    TRY(skip(r, weft_report_csv_header, "the names of the columns"));
    r->line++;
    TRY(skip(r, weft_report_csv_step, "the whole step"));
    TRY(read_times(r, &record->begin, &record->end));
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) TRY(read_action(r, lane, a, timeline));
    }
    if (*r->at)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: has more rows than the program has actions: '%.*s'", r->source, r->line,
             line_length(r), r->at);
    return WEFT_OK;
}

weft_status weft_report_read_step_csv(const char *text, const char *source, weft_timeline *timeline,
                                      weft_timeline_record *record, weft_error *error)
{
    size_t length = strlen(text);
    TRY(weft_text_begin(&text, &length, source, error));
    reader r = {.at = text, .source = source, .line = 1, .error = error};
    weft_text_init(&r.expected);
    weft_status status = read_all(&r, timeline, record);
    weft_text_fini(&r.expected);
    return status;
}
