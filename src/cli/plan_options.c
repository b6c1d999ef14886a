/* What the options of weft plan say. */
#include "cli/plan_case.h"
#include "plan/moves.h"

#include <stdio.h>
#include <string.h>

/* The next piece of a list between commas, cut to the room; false at its end. */
static bool next_piece(const char **at, char *piece, size_t room)
{
    if (!*at) return false;
    size_t length = strcspn(*at, ",");
    snprintf(piece, room, "%.*s", (int)(length < room ? length : room - 1), *at);
    *at = (*at)[length] ? *at + length + 1 : NULL;
    return true;
}

weft_status weft_planning_list(const weft_arguments *arguments, const char *name, int64_t *out, int *out_count,
                               weft_error *error)
{
    const char *at = weft_arguments_get(arguments, name);
    char piece[32];
    *out_count = 0;
    while (next_piece(&at, piece, sizeof piece)) {
        int64_t value = 0;
        if (!weft_parse_int(piece, &value) || value < 1)
            FAIL(error, WEFT_INVALID, "--%s: '%s' is not a number from 1 up", name, piece);
        for (int i = 0; i < *out_count; i++)
            if (out[i] == value) FAIL(error, WEFT_INVALID, "--%s: %lld is given twice", name, (long long)value);
        if (*out_count == WEFT_PLAN_CASES)
            FAIL(error, WEFT_INVALID, "--%s: more than %d numbers", name, WEFT_PLAN_CASES);
        out[(*out_count)++] = value;
    }
    return WEFT_OK;
}

static const char *kind_name(int i)
{
    return weft_plan_kind_name((weft_plan_kind)i);
}

static const char *shard_name(int i)
{
    return weft_shard_names()[i];
}

static const char *recompute_name(int i)
{
    return weft_plan_recompute_name((weft_plan_recompute)i);
}

static weft_status find_word(const char *option, const char *const *names, int count, const char *word, int *out,
                             weft_error *error)
{
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(names[*out], word) == 0) return WEFT_OK;
    int near = weft_text_nearest(word, names, count);
    if (near >= 0) FAIL(error, WEFT_INVALID, "%s: no '%s' is known (nearest: '%s')", option, word, names[near]);
    char all[256] = "";
    for (int i = 0; i < count; i++) {
        size_t length = strlen(all);
        snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "", names[i]);
    }
    FAIL(error, WEFT_INVALID, "%s: no '%s' is known; there are %s", option, word, all);
}

static weft_status find_name(const char *option, const char *(*name)(int), int count, const char *word, int *out,
                             weft_error *error)
{
    const char *names[32];
    for (int i = 0; i < count; i++) names[i] = name(i);
    return find_word(option, names, count, word, out, error);
}

static weft_status fix_number(int32_t *target, const char *key, const char *value, weft_error *error)
{
    int64_t number = 0;
    if (!weft_parse_int(value, &number) || number < 1 || number > 1 << 24)
        FAIL(error, WEFT_INVALID, "--fix: %s: '%s' is not a number from 1 to %d", key, value, 1 << 24);
    if (*target > 0 && *target != number)
        FAIL(error, WEFT_INVALID, "--fix: %s is %d and %lld at once", key, *target, (long long)number);
    *target = (int32_t)number;
    return WEFT_OK;
}

static weft_status fix_sequence_parallel(int8_t *target, const char *value, weft_error *error)
{
    bool yes = strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0)
        FAIL(error, WEFT_INVALID, "--fix: sequence_parallel: true or false, not '%s'", value);
    if (*target != 0 && (*target > 0) != yes)
        FAIL(error, WEFT_INVALID, "--fix: sequence_parallel is true and false at once");
    *target = yes ? 1 : -1;
    return WEFT_OK;
}

enum { NUMBERS = 7, SETS = 3, KEYS = NUMBERS + SETS + 1 };

static weft_status fix_one(weft_plan_fix *fix, const char *key, const char *value, weft_error *error)
{
    static const char *const keys[KEYS] = {"data",    "tensor",      "pipeline",         "loops",
                                           "context", "micro_batch", "rounds",           "schedule",
                                           "shard",   "recompute",   "sequence_parallel"};
    int32_t *const numbers[NUMBERS] = {&fix->data,    &fix->tensor,      &fix->pipeline, &fix->loops,
                                       &fix->context, &fix->micro_batch, &fix->rounds};
    const struct {
        const char *option;
        const char *(*name)(int);
        int count;
        uint32_t *target;
    } sets[SETS] = {{"--fix: schedule", kind_name, WEFT_PLAN_KINDS, &fix->kinds},
                    {"--fix: shard", shard_name, WEFT_SHARDS, &fix->shards},
                    {"--fix: recompute", recompute_name, WEFT_PLAN_RECOMPUTES, &fix->recomputes}};
    int which = 0, found = 0;
    TRY(find_word("--fix", keys, KEYS, key, &which, error));
    if (which < NUMBERS) return fix_number(numbers[which], key, value, error);
    if (which == KEYS - 1) return fix_sequence_parallel(&fix->sequence_parallel, value, error);
    which -= NUMBERS;
    TRY(find_name(sets[which].option, sets[which].name, sets[which].count, value, &found, error));
    *sets[which].target |= 1u << found;
    return WEFT_OK;
}

weft_status weft_planning_fix(weft_plan_fix *fix, const char *list, weft_error *error)
{
    char piece[64];
    while (next_piece(&list, piece, sizeof piece)) {
        char *equals = strchr(piece, '=');
        if (!equals) FAIL(error, WEFT_INVALID, "--fix: '%s' is no key=value", piece);
        *equals = '\0';
        TRY(fix_one(fix, piece, equals + 1, error));
    }
    return WEFT_OK;
}

weft_status weft_planning_rivals(weft_planning *p, const char *list, weft_error *error)
{
    char piece[32];
    while (next_piece(&list, piece, sizeof piece)) {
        int found = 0;
        TRY(find_name("--compare", kind_name, WEFT_PLAN_KINDS, piece, &found, error));
        for (int i = 0; i < p->rival_count; i++)
            if (p->rivals[i] == (weft_plan_kind)found) FAIL(error, WEFT_INVALID, "--compare: %s is given twice", piece);
        p->rivals[p->rival_count++] = (weft_plan_kind)found;
    }
    if (p->rival_count == 1) FAIL(error, WEFT_INVALID, "--compare: two schedules or more, not %s alone", piece);
    return WEFT_OK;
}
