#include "cli/costs.h"

#include "config/document.h"

#include <stdio.h>
#include <string.h>

#define ALL(COST)                                                                                                      \
    WEFT_CLI_PASS_COSTS(COST)                                                                                          \
    WEFT_CLI_STEP_COSTS(COST) WEFT_CLI_MESSAGE_COSTS(COST) WEFT_CLI_COLLECTIVE_COSTS(COST) WEFT_CLI_TENSOR_COSTS(COST)

#define KEY(key, name, help) key,
typedef enum cost { ALL(KEY) COSTS } cost;
#undef KEY

#define NAME(key, name, help) name,
static const char *const names[COSTS] = {ALL(NAME)};
#undef NAME

#define FLAG(key, name, help) "--" name,
static const char *const flags[COSTS] = {ALL(FLAG)};
#undef FLAG

/* No sum of so many as a program can have is infinite. */
static const double most_time = 1e100;

/* What was given: the numbers as text with commas, and where they stood. */
typedef struct given {
    const char *numbers; /* NULL: not given */
    const char *place;   /* "--forward" or "FILE:2:10: forward" */
} given;

/* Keys may have underscores for dashes, as they have in configurations. */
static weft_status find_cost(const weft_document *document, const weft_node *node, cost *out, weft_error *error)
{
    char key[64];
    snprintf(key, sizeof key, "%s", node->key);
    for (char *c = key; *c; c++)
        if (*c == '_') *c = '-';
    for (int i = 0; i < COSTS; i++) {
        if (strcmp(key, names[i]) != 0) continue;
        *out = (cost)i;
        return WEFT_OK;
    }
    int nearest = weft_text_nearest(key, names, COSTS);
    if (nearest < 0) return weft_document_complain(document, node, error, "unknown cost '%s'", key);
    return weft_document_complain(document, node, error, "unknown cost '%s' (nearest: '%s')", key, names[nearest]);
}

/* A number, or a list of numbers, joined as a flag would have them. */
static weft_status join_numbers(const weft_document *document, const weft_node *node, weft_text *joined,
                                weft_error *error)
{
    bool list = node->kind == WEFT_NODE_LIST;
    for (const weft_node *item = list ? node->first : node; item; item = list ? item->next : NULL) {
        if (item->kind != WEFT_NODE_TEXT)
            return weft_document_complain(document, item, error, "%s: expects a number or a list of numbers",
                                          node->key);
        weft_text_add(joined, "%s%s", joined->length ? "," : "", item->text);
    }
    return weft_text_check(joined, error);
}

static weft_status take_cost(const weft_document *document, const weft_node *node, given rows[COSTS], weft_arena *arena,
                             weft_error *error)
{
    cost found = COSTS;
    TRY(find_cost(document, node, &found, error));
    given *row = &rows[found];
    if (row->numbers) return weft_document_complain(document, node, error, "%s: is given twice", names[found]);
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "%s:%zu:%zu: %s", document->name, node->line, node->column, names[found]);
    weft_status status = weft_arena_text(arena, weft_text_get(&text), &row->place, error);
    text.length = 0;
    if (status == WEFT_OK) status = join_numbers(document, node, &text, error);
    if (status == WEFT_OK) status = weft_arena_text(arena, weft_text_get(&text), &row->numbers, error);
    weft_text_fini(&text);
    return status;
}

static weft_status read_file(const char *path, given rows[COSTS], weft_arena *arena, weft_error *error)
{
    weft_document document;
    TRY(weft_document_read(&document, path, error));
    const weft_node *root = document.root;
    weft_status status = WEFT_OK;
    if (root->kind != WEFT_NODE_MAP)
        status = weft_document_complain(&document, root, error, "expects costs by name, such as 'forward: 1'");
    for (const weft_node *node = root->first; node && status == WEFT_OK; node = node->next)
        status = take_cost(&document, node, rows, arena, error);
    weft_document_fini(&document);
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
        FAIL(error, WEFT_INVALID, "%s: expects one number, or one for each of the %d stage%s, not %d", row->place,
             (int)count, weft_text_plural(count), (int)found);
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
