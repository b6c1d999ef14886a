#include "cli/costs.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#define NAMES                                                                                                          \
    NAME(FORWARD, "forward")                                                                                           \
    NAME(BACKWARD_INPUT, "backward-input")                                                                             \
    NAME(BACKWARD_WEIGHT, "backward-weight")                                                                           \
    NAME(BACKWARD, "backward")                                                                                         \
    NAME(UPDATE, "update")                                                                                             \
    NAME(OVERLAP, "overlap")                                                                                           \
    NAME(COMM, "comm")                                                                                                 \
    NAME(LATENCY, "latency")                                                                                           \
    NAME(GATHER, "gather")                                                                                             \
    NAME(EXCHANGE, "exchange")                                                                                         \
    NAME(REDUCE_TENSOR, "reduce-tensor")                                                                               \
    NAME(REDUCE, "reduce")

typedef enum cost {
#define NAME(key, name) key,
    NAMES
#undef NAME
        COSTS
} cost;

static const char *const names[COSTS] = {
#define NAME(key, name) name,
    NAMES
#undef NAME
};

static const char *const flags[COSTS] = {
#define NAME(key, name) "--" name,
    NAMES
#undef NAME
};

/* No sum of so many as a program can have is infinite. */
static const double most_time = 1e100;

/* What was given: the numbers as text with commas, and where they stood. */
typedef struct given {
    const char *numbers; /* NULL: not given */
    const char *place;   /* "--forward" or "FILE:2: forward" */
} given;

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    bool has_event;
    const char *path;
    given *rows; /* (COSTS) */
    weft_arena *arena;
    weft_error *error;
} reader;

static size_t line(const reader *r)
{
    return r->event.start_mark.line + 1;
}

static weft_status next(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event))
        FAIL(r->error, r->parser.error == YAML_MEMORY_ERROR ? WEFT_NO_MEMORY : WEFT_INVALID,
             "%s:%zu: not valid YAML or JSON: %s", r->path, r->parser.problem_mark.line + 1,
             r->parser.problem ? r->parser.problem : "unknown problem");
    r->has_event = true;
    return WEFT_OK;
}

static const char *scalar(const reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

/* Keys may have underscores for dashes, as they have in configurations. */
static weft_status take_key(reader *r, given **out)
{
    char key[64];
    if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.length >= sizeof key)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: a key must be the name of a cost, such as forward", r->path, line(r));
    snprintf(key, sizeof key, "%s", scalar(r));
    for (char *c = key; *c; c++)
        if (*c == '_') *c = '-';
    int found = -1;
    for (int i = 0; i < COSTS; i++)
        if (strcmp(key, names[i]) == 0) found = i;
    int nearest = found < 0 ? weft_text_nearest(key, names, COSTS) : -1;
    if (nearest >= 0)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: unknown cost '%s' (nearest: '%s')", r->path, line(r), key,
             names[nearest]);
    if (found < 0) FAIL(r->error, WEFT_INVALID, "%s:%zu: unknown cost '%s'", r->path, line(r), key);
    if (r->rows[found].numbers) FAIL(r->error, WEFT_INVALID, "%s:%zu: '%s' is there twice", r->path, line(r), key);
    *out = &r->rows[found];
    char place[4200];
    snprintf(place, sizeof place, "%s:%zu: %s", r->path, line(r), names[found]);
    return weft_arena_text(r->arena, place, &(*out)->place, r->error);
}

/* A number, or a list of numbers, joined as a flag would have them. */
static weft_status add_numbers(reader *r, const given *row, weft_text *joined)
{
    bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    if (list) TRY(next(r));
    while (!list || r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (r->event.type != YAML_SCALAR_EVENT)
            FAIL(r->error, WEFT_INVALID, "%s: expects a number or a list of numbers", row->place);
        weft_text_add(joined, "%s%s", joined->length ? "," : "", scalar(r));
        if (!list) break;
        TRY(next(r));
    }
    return weft_text_check(joined, r->error);
}

static weft_status read_pair(reader *r)
{
    given *row = NULL;
    weft_text joined;
    TRY(take_key(r, &row));
    TRY(next(r));
    weft_text_init(&joined);
    weft_status status = add_numbers(r, row, &joined);
    if (status == WEFT_OK) status = weft_arena_text(r->arena, weft_text_get(&joined), &row->numbers, r->error);
    weft_text_fini(&joined);
    return status;
}

static weft_status read_document(reader *r)
{
    for (int i = 0; i < 3; i++) { /* stream, document, mapping; an empty file has the stream only */
        TRY(next(r));
        if (r->event.type == YAML_STREAM_END_EVENT) FAIL(r->error, WEFT_INVALID, "%s: is empty", r->path);
    }
    if (r->event.type != YAML_MAPPING_START_EVENT)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: expects costs by name, such as 'forward: 1'", r->path, line(r));
    TRY(next(r));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        TRY(read_pair(r));
        TRY(next(r));
    }
    TRY(next(r));
    TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        FAIL(r->error, WEFT_INVALID, "%s:%zu: a second document starts here; one is allowed", r->path, line(r));
    return WEFT_OK;
}

static weft_status read_file(const char *path, given rows[COSTS], weft_arena *arena, weft_error *error)
{
    reader r = {.path = path, .rows = rows, .arena = arena, .error = error};
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    const char *begin = weft_text_get(&text);
    size_t length = text.length;
    if (status == WEFT_OK) status = weft_text_begin(&begin, &length, path, error);
    if (status == WEFT_OK && !yaml_parser_initialize(&r.parser))
        status = weft_fail(error, WEFT_NO_MEMORY, "%s: out of memory while reading it", path);
    if (status == WEFT_OK) {
        yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)begin, length);
        status = read_document(&r);
        if (r.has_event) yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
    }
    weft_text_fini(&text);
    return status;
}

/* The number at *at, which moves behind it and its comma; *at becomes NULL behind the last. */
static weft_status take_number(const given *row, const char **at, double *out, weft_error *error)
{
    char word[64];
    size_t length = strcspn(*at, ",");
    snprintf(word, sizeof word, "%.*s", (int)(length < 63 ? length : 63), *at);
    if (length > 63 || !weft_parse_double(word, out) || *out < 0)
        FAIL(error, WEFT_INVALID, "%s: expects a number from 0 up, not '%s'", row->place, word);
    if (*out > most_time) FAIL(error, WEFT_INVALID, "%s: %s is more than %g", row->place, word, most_time);
    *at = (*at)[length] ? *at + length + 1 : NULL;
    return WEFT_OK;
}

/* One number for all, or one for each of count. */
static weft_status spread(const given *row, int32_t count, double *out, weft_error *error)
{
    const char *at = row->numbers;
    int32_t found = 0;
    while (at) {
        double number = 0;
        TRY(take_number(row, &at, &number, error));
        if (found < count) out[found] = number;
        found++;
    }
    if (found != count && found != 1)
        FAIL(error, WEFT_INVALID, "%s: expects one number, or one for each of the %d stages, not %d", row->place,
             (int)count, (int)found);
    for (int32_t i = found; i < count; i++) out[i] = out[0];
    return WEFT_OK;
}

/* Which passes a schedule runs. */
typedef struct needs {
    bool whole, split; /* B; I or W */
} needs;

static needs find_needs(const weft_schedule *schedule)
{
    needs out = {false, false};
    for (size_t i = 0; i < schedule->first[schedule->ranks] && !(out.whole && out.split); i++) {
        uint32_t kind = schedule->actions[i].kind;
        out.whole |= kind == WEFT_B;
        out.split |= kind == WEFT_I || kind == WEFT_W;
    }
    return out;
}

/* Whether a schedule can do without a time that was not given. */
static bool is_spare(const given rows[COSTS], cost key, needs need)
{
    if (key == FORWARD) return false;
    if (need.split) return key == BACKWARD;
    return !need.whole || key == BACKWARD || rows[BACKWARD].numbers;
}

/* Fills in what may be left out. */
static weft_status complete(given rows[COSTS], needs need, weft_error *error)
{
    bool any = false;
    for (int i = FORWARD; i <= BACKWARD; i++) any |= rows[i].numbers != NULL;
    for (int i = FORWARD; i < BACKWARD; i++) {
        if (rows[i].numbers) continue;
        if (any && !is_spare(rows, (cost)i, need))
            FAIL(
                error, WEFT_INVALID,
                "--%s is missing; give forward, backward-input and backward-weight (or backward where no backward pass "
                "is split), or none of them for 1 each",
                names[i]);
        rows[i].numbers = "1";
    }
    for (int i = BACKWARD; i < COSTS; i++)
        if (!rows[i].numbers) rows[i].numbers = "0";
    return WEFT_OK;
}

/* F, I and W exchange as often in a layer; B is I, then W. */
static weft_status add_exchanges(weft_cli_costs *costs, const double *one, size_t stages, weft_error *error)
{
    double *both = NULL;
    TRY(weft_arena_take(&costs->arena, stages, sizeof *both, &both, error));
    for (size_t s = 0; s < stages; s++) both[s] = 2 * one[s];
    for (int pass = 0; pass < WEFT_PASS_KINDS; pass++) costs->costs.exchanges[pass] = pass == WEFT_B ? both : one;
    return WEFT_OK;
}

static weft_status read_all(weft_cli_costs *costs, const weft_arguments *arguments, const weft_schedule *schedule,
                            bool split, weft_error *error)
{
    given rows[COSTS] = {{0}};
    double *values[COSTS];
    const char *path = weft_arguments_get(arguments, "costs");
    if (path) TRY(read_file(path, rows, &costs->arena, error));
    for (int i = 0; i < COSTS; i++)
        if (weft_arguments_has(arguments, names[i]))
            rows[i] = (given){.numbers = weft_arguments_get(arguments, names[i]), .place = flags[i]};
    costs->has_update = rows[UPDATE].numbers != NULL;
    bool overlap = rows[OVERLAP].numbers != NULL, backward = rows[BACKWARD].numbers != NULL;
    needs need = find_needs(schedule);
    need.split |= split;
    TRY(complete(rows, need, error));
    for (int i = 0; i < COSTS; i++) {
        TRY(weft_arena_take(&costs->arena, (size_t)schedule->stages, sizeof *values[i], &values[i], error));
        TRY(spread(&rows[i], schedule->stages, values[i], error));
    }
    costs->costs = (weft_costs){.forward = values[FORWARD],
                                .backward_input = values[BACKWARD_INPUT],
                                .backward_weight = values[BACKWARD_WEIGHT],
                                .backward = backward ? values[BACKWARD] : NULL,
                                .update = values[UPDATE],
                                .messages = values[COMM],
                                .latencies = values[LATENCY],
                                .gathers = values[GATHER],
                                .sums = values[REDUCE_TENSOR],
                                .reductions = values[REDUCE],
                                .overlap = overlap ? values[OVERLAP] : NULL,
                                .pairs = overlap};
    if (rows[EXCHANGE].place) TRY(add_exchanges(costs, values[EXCHANGE], (size_t)schedule->stages, error));
    /* NORM is one for all stages: the slowest keeps the others waiting. */
    for (int32_t stage = 0; stage < schedule->stages; stage++)
        if (values[REDUCE][stage] > costs->costs.reduce) costs->costs.reduce = values[REDUCE][stage];
    return WEFT_OK;
}

weft_status weft_cli_costs_init(weft_cli_costs *costs, const weft_arguments *arguments, const weft_schedule *schedule,
                                bool split, weft_error *error)
{
    *costs = (weft_cli_costs){0};
    weft_arena_init(&costs->arena);
    return read_all(costs, arguments, schedule, split, error);
}

void weft_cli_costs_fini(weft_cli_costs *costs)
{
    weft_arena_fini(&costs->arena);
}
