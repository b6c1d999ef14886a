#include "schedule/csv.h"

#include <stdio.h>
#include <string.h>

typedef struct span {
    const char *begin, *end;
} span;

enum { TOKEN_SHOWN = 40, TOKEN_TEXT = TOKEN_SHOWN + 4 };

/* A cell as messages show it: printable and not too long. */
static void show(span token, char out[TOKEN_TEXT])
{
    size_t length = (size_t)(token.end - token.begin), shown = length < TOKEN_SHOWN ? length : TOKEN_SHOWN;
    for (size_t i = 0; i < shown; i++) out[i] = token.begin[i] >= ' ' && token.begin[i] <= '~' ? token.begin[i] : '?';
    snprintf(out + shown, TOKEN_TEXT - shown, "%s", shown < length ? "..." : "");
}

static weft_status reject(const weft_csv_reader *reader, span token, const char *why)
{
    char text[TOKEN_TEXT];
    show(token, text);
    FAIL(reader->error, WEFT_INVALID, "%s, row %zu, column %zu: \"%s\" %s", reader->source, reader->row, reader->column,
         text, why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes digits from the front of *rest. Values at or above limit come out as limit, however many digits there are. */
static bool take_number(span *rest, uint32_t limit, uint32_t *out)
{
    const char *begin = rest->begin;
    uint32_t value = 0;
    for (; rest->begin < rest->end && is_digit(*rest->begin); rest->begin++) {
        uint64_t next = (uint64_t)value * 10 + (uint64_t)(*rest->begin - '0');
        value = next < limit ? (uint32_t)next : limit;
    }
    *out = value;
    return rest->begin > begin;
}

static bool equals(span word, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(word.end - word.begin) == length && memcmp(word.begin, text, length) == 0;
}

/* The kinds a file may name: those up to REDUCE_GRAD. The rest is weft's own and comes with lowering. */
static bool find_action(span word, weft_csv_dialect dialect, weft_action_kind *out)
{
    static const weft_action_kind of_2024[] = {[WEFT_F] = WEFT_F, [WEFT_B] = WEFT_I, [WEFT_W] = WEFT_W};
    if (dialect == WEFT_CSV_2024 && equals(word, "BW")) {
        *out = WEFT_B;
        return true;
    }
    for (int kind = 0; kind <= WEFT_REDUCE_GRAD; kind++) {
        if (!equals(word, weft_action_info_get((weft_action_kind)kind)->name)) continue;
        *out = dialect == WEFT_CSV_2024 && kind <= WEFT_W ? of_2024[kind] : (weft_action_kind)kind;
        return dialect != WEFT_CSV_2024 || kind != WEFT_I;
    }
    return false;
}

/* What a wait ends: "WAIT_" and the name of one that can be waited for. */
static bool find_wait(span word, weft_csv_dialect dialect, weft_action_kind *out)
{
    static const weft_action_kind kinds[] = {WEFT_SEND_F, WEFT_SEND_B, WEFT_REDUCE_GRAD};
    static const char prefix[] = "WAIT_";
    size_t length = sizeof prefix - 1;
    if (dialect == WEFT_CSV_2024 || (size_t)(word.end - word.begin) < length) return false;
    if (memcmp(word.begin, prefix, length) != 0) return false;
    word.begin += length;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!equals(word, weft_action_info_get(kinds[i])->name)) continue;
        *out = kinds[i];
        return true;
    }
    return false;
}

static weft_status append(weft_csv_reader *reader, weft_action action)
{
    TRY(weft_grow(&reader->actions, &reader->capacity, reader->count + 1, sizeof *reader->actions, reader->error));
    reader->actions[reader->count++] = (weft_csv_action){action, (uint32_t)reader->row, reader->column};
    if (action.stage >= reader->stages) reader->stages = action.stage + 1;
    if (action.microbatch >= reader->microbatches) reader->microbatches = action.microbatch + 1;
    if (weft_action_info_get((weft_action_kind)action.kind)->lane != WEFT_LANE_COMPUTE &&
        action.kind != WEFT_REDUCE_GRAD)
        reader->has_messages = true;
    return WEFT_OK;
}

static weft_status append_wait(weft_csv_reader *reader, weft_action of)
{
    TRY(weft_grow(&reader->waits, &reader->wait_capacity, reader->wait_count + 1, sizeof *reader->waits,
                  reader->error));
    weft_csv_action cell = {of, (uint32_t)reader->row, reader->column};
    reader->waits[reader->wait_count++] = (weft_csv_wait){cell, reader->count};
    return WEFT_OK;
}

static weft_status reject_word(const weft_csv_reader *reader, span token, span word)
{
    if (reader->dialect == WEFT_CSV_2024)
        return reject(
            reader, token,
            "is no action of the dialect of 2024; its actions are F, B (gradient of the input), W, BW, SEND_F, "
            "RECV_F, SEND_B, RECV_B, UNSHARD, RESHARD and REDUCE_GRAD between a stage and a micro-batch number");
    if (equals(word, "BW"))
        return reject(reader, token,
                      "is of the dialect of 2024, where B is the gradient of the input only and BW the full backward "
                      "pass; name it (--dialect 2024, parallel.dialect=2024), or rewrite B as I, then BW as B");
    return reject(reader, token,
                  "is no action; the actions are F, B, I, W, SEND_F, RECV_F, SEND_B, RECV_B, WAIT_SEND_F, WAIT_SEND_B, "
                  "UNSHARD, RESHARD, REDUCE_GRAD and WAIT_REDUCE_GRAD between a stage and a micro-batch number");
}

static weft_status read_action(weft_csv_reader *reader, span token)
{
    span rest = token;
    uint32_t stage = 0, microbatch = 0;
    weft_action_kind kind = WEFT_F;
    if (!take_number(&rest, WEFT_STAGES_LIMIT, &stage))
        return reject(reader, token, "does not begin with a stage number, as 0F0 does");
    if (stage == WEFT_STAGES_LIMIT) return reject(reader, token, "names a stage above 16777215");
    span word = rest;
    while (rest.begin < rest.end && !is_digit(*rest.begin)) rest.begin++;
    word.end = rest.begin;
    bool waits = find_wait(word, reader->dialect, &kind);
    if (!waits && !find_action(word, reader->dialect, &kind)) return reject_word(reader, token, word);
    bool wanted = weft_action_info_get(kind)->operands == WEFT_OPERANDS_STAGE_MICROBATCH;
    bool given = take_number(&rest, WEFT_MICROBATCHES_LIMIT, &microbatch);
    if (wanted && !given) return reject(reader, token, "lacks its micro-batch number");
    if (given && !wanted) return reject(reader, token, "takes no micro-batch number");
    if (microbatch == WEFT_MICROBATCHES_LIMIT) return reject(reader, token, "names a micro-batch above 1073741823");
    if (rest.begin < rest.end) return reject(reader, token, "has something behind the action");
    weft_action action = {.kind = kind, .stage = stage & (WEFT_STAGES_LIMIT - 1), .microbatch = microbatch};
    return waits ? append_wait(reader, action) : append(reader, action);
}

/* "(" action { ";" action } ")OVERLAP_F_B": its parts run in order; two that can overlap are a pair. */
static weft_status read_fused(weft_csv_reader *reader, span token)
{
    static const char ending[] = ")OVERLAP_F_B";
    size_t length = (size_t)(token.end - token.begin), ending_length = sizeof ending - 1;
    if (length < 1 + ending_length || memcmp(token.end - ending_length, ending, ending_length) != 0)
        return reject(reader, token, "opens a fused cell that does not end with )OVERLAP_F_B");
    const char *end = token.end - ending_length, *begin = token.begin + 1, *stop = begin;
    size_t before = reader->count, waits = reader->wait_count;
    for (; stop; begin = stop + 1) {
        stop = memchr(begin, ';', (size_t)(end - begin));
        TRY(read_action(reader, (span){begin, stop ? stop : end}));
        if (!stop) break;
    }
    if (reader->count != before + 2 || reader->wait_count != waits) return WEFT_OK;
    weft_csv_action *parts = &reader->actions[before];
    parts[1].action.paired = weft_action_can_pair(parts[0].action, parts[1].action);
    return WEFT_OK;
}

static span trim(span text)
{
    while (text.begin < text.end && (*text.begin == ' ' || *text.begin == '\t')) text.begin++;
    while (text.end > text.begin && (text.end[-1] == ' ' || text.end[-1] == '\t')) text.end--;
    return text;
}

static weft_status read_cell(weft_csv_reader *reader, span cell)
{
    cell = trim(cell);
    if (cell.begin == cell.end) {
        if (!reader->blank_row) {
            reader->blank_row = reader->row;
            reader->blank_column = reader->column;
        }
        return WEFT_OK;
    }
    return *cell.begin == '(' ? read_fused(reader, cell) : read_action(reader, cell);
}

static weft_status read_row(weft_csv_reader *reader, span row)
{
    if (reader->rows == WEFT_STAGES_LIMIT)
        FAIL(reader->error, WEFT_INVALID, "%s: more than %d rows", reader->source, WEFT_STAGES_LIMIT);
    TRY(weft_grow(&reader->first, &reader->first_capacity, reader->rows + 1, sizeof *reader->first, reader->error));
    reader->first[reader->rows++] = reader->count;
    reader->row = reader->rows;
    reader->column = 0;
    size_t before = reader->count;
    for (const char *begin = row.begin;;) {
        const char *stop = memchr(begin, ',', (size_t)(row.end - begin));
        reader->column++;
        TRY(read_cell(reader, (span){begin, stop ? stop : row.end}));
        if (!stop) break;
        begin = stop + 1;
    }
    if (reader->count == before)
        FAIL(reader->error, WEFT_INVALID, "%s, row %zu: no action; each row is a pipeline rank and needs a stage",
             reader->source, reader->row);
    return WEFT_OK;
}

weft_status weft_csv_read_rows(weft_csv_reader *reader, const char *bytes, size_t length)
{
    TRY(weft_text_begin(&bytes, &length, reader->source, reader->error));
    span text = {bytes, bytes + length};
    while (text.end > text.begin && strchr(" \t\r\n", text.end[-1]) && text.end[-1]) text.end--;
    if (text.begin == text.end) FAIL(reader->error, WEFT_INVALID, "%s: the schedule is empty", reader->source);
    for (const char *begin = text.begin;;) {
        const char *stop = memchr(begin, '\n', (size_t)(text.end - begin));
        span row = {begin, stop ? stop : text.end};
        if (stop && row.end > row.begin && row.end[-1] == '\r') row.end--;
        TRY(read_row(reader, row));
        if (!stop) return WEFT_OK;
        begin = stop + 1;
    }
}
