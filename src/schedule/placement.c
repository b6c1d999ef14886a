#include "schedule/kinds.h"

#include <string.h>

static const char *const names[WEFT_PLACEMENTS] = {"linear", "loop", "v", "this list"};

bool weft_placement_is_list(const char *text)
{
    return text && *text >= '0' && *text <= '9';
}

const char *weft_schedule_kind_placement(const char *name)
{
    const weft_schedule_kind *kind = weft_schedule_kind_find(name);
    return kind ? names[kind->placement] : NULL;
}

const char *weft_schedule_kind_no_list(const char *name)
{
    const weft_schedule_kind *kind = weft_schedule_kind_find(name);
    return kind && kind->refuse[WEFT_PLACEMENT_LIST][0] ? kind->refuse[WEFT_PLACEMENT_LIST] : NULL;
}

/* The rank at *at, which moves behind it and its comma; *at becomes NULL behind the last. */
static weft_status take_rank(const weft_schedule_options *options, const char **at, int32_t *out, weft_error *error)
{
    char word[16];
    int64_t rank = -1;
    size_t length = strcspn(*at, ",");
    if (length < sizeof word) {
        memcpy(word, *at, length);
        word[length] = 0;
        if (!weft_parse_int(word, &rank)) rank = -1;
    }
    if (rank < 0 || rank >= options->ranks)
        FAIL(error, WEFT_INVALID, "placement: expects a rank from 0 to %d for each stage, not \"%.*s\"",
             (int)options->ranks - 1, (int)(length < 40 ? length : 40), *at);
    *out = (int32_t)rank;
    *at = (*at)[length] ? *at + length + 1 : NULL;
    return WEFT_OK;
}

weft_status weft_placement_stages(const weft_schedule_options *options, int32_t *out_stages, weft_error *error)
{
    int64_t stages = (int64_t)options->ranks * options->loops;
    if (weft_placement_is_list(options->placement)) {
        stages = 1;
        for (const char *c = options->placement; *c; c++) stages += *c == ',';
        if (options->loops && stages != (int64_t)options->ranks * options->loops)
            FAIL(error, WEFT_INVALID, "placement: the list has %lld stage%s; %d ranks with %d each have %lld",
                 (long long)stages, weft_text_plural(stages), (int)options->ranks, (int)options->loops,
                 (long long)options->ranks * options->loops);
    }
    if (stages > WEFT_STAGES_LIMIT)
        FAIL(error, WEFT_INVALID, "%d ranks x %d loops are more than %d stages", (int)options->ranks,
             (int)options->loops, WEFT_STAGES_LIMIT);
    *out_stages = (int32_t)stages;
    return WEFT_OK;
}

static int32_t rank_at(weft_placement placement, int32_t ranks, int32_t loops, int32_t stage)
{
    if (placement == WEFT_PLACEMENT_LINEAR) return stage / loops;
    bool back = placement == WEFT_PLACEMENT_V && stage / ranks % 2;
    return back ? ranks - 1 - stage % ranks : stage % ranks;
}

static weft_status fill_named(const weft_schedule_options *options, const weft_schedule_kind *kind, int32_t stages,
                              int32_t *stage_rank, weft_placement *out, weft_error *error)
{
    int placement = (int)kind->placement;
    if (options->placement)
        for (placement = 0; placement < WEFT_PLACEMENT_LIST; placement++)
            if (strcmp(options->placement, names[placement]) == 0) break;
    if (placement == WEFT_PLACEMENT_LIST)
        FAIL(error, WEFT_INVALID,
             "unknown placement \"%.40s\"; the placements are linear, loop, v, or the rank of each stage, such as "
             "0,1,1,0; a configuration may have own or auto besides",
             options->placement);
    *out = (weft_placement)placement;
    for (int32_t s = 0; s < stages; s++) stage_rank[s] = rank_at(*out, options->ranks, options->loops, s);
    return WEFT_OK;
}

/* Ranks by the order in which the stages come to them. */
static weft_status number_ranks(int32_t ranks, int32_t stages, const int32_t *stage_rank, int32_t *number,
                                weft_error *error)
{
    int32_t next = 0;
    for (int32_t r = 0; r < ranks; r++) number[r] = -1;
    for (int32_t s = 0; s < stages; s++)
        if (number[stage_rank[s]] < 0) number[stage_rank[s]] = next++;
    for (int32_t r = 0; r < ranks; r++)
        if (number[r] < 0) FAIL(error, WEFT_INVALID, "placement: rank %d of %d holds no stage", (int)r, (int)ranks);
    return WEFT_OK;
}

/* Which of the others a list is. */
static weft_placement recognize(int32_t ranks, int32_t stages, const int32_t *stage_rank, const int32_t *number)
{
    for (int placement = 0; placement < WEFT_PLACEMENT_LIST && stages % ranks == 0; placement++) {
        int32_t s = 0;
        while (s < stages && number[stage_rank[s]] == rank_at((weft_placement)placement, ranks, stages / ranks, s)) s++;
        if (s == stages) return (weft_placement)placement;
    }
    for (int32_t s = 1; s < stages; s++)
        if (number[stage_rank[s]] < number[stage_rank[s - 1]]) return WEFT_PLACEMENT_LIST;
    return WEFT_PLACEMENT_LINEAR;
}

static weft_status fill_list(const weft_schedule_options *options, int32_t stages, int32_t *stage_rank,
                             weft_error *error)
{
    const char *at = options->placement;
    for (int32_t s = 0; s < stages; s++) TRY(take_rank(options, &at, &stage_rank[s], error));
    return WEFT_OK;
}

/* Where a rank holds one stage, or one rank holds all, all placements are the same. */
static weft_status check_kind(const weft_schedule_options *options, const weft_schedule_kind *kind,
                              weft_placement placement, int32_t stages, weft_error *error)
{
    if (stages == options->ranks || options->ranks == 1 || !kind->refuse[placement][0]) return WEFT_OK;
    bool list = weft_placement_is_list(options->placement);
    if (list && placement != WEFT_PLACEMENT_LIST)
        FAIL(error, WEFT_INVALID, "%s does not go with this list, which is placement %s: %s", kind->name,
             names[placement], kind->refuse[placement]);
    if (list) FAIL(error, WEFT_INVALID, "%s does not go with this list: %s", kind->name, kind->refuse[placement]);
    FAIL(error, WEFT_INVALID, "%s with %d stage%s a rank does not go with placement %s: %s", kind->name,
         (int)options->loops, weft_text_plural(options->loops), names[placement], kind->refuse[placement]);
}

static int32_t count_rounds(int32_t stages, const int32_t *stage_rank, const int32_t *number)
{
    int32_t rounds = 1;
    for (int32_t s = 1; s < stages; s++) rounds += number[stage_rank[s]] <= number[stage_rank[s - 1]];
    return rounds;
}

/* Local stages of each rank, one after the other. */
static weft_status list_stages(weft_places *places, const weft_schedule_options *options, int32_t stages,
                               const int32_t *stage_rank, weft_error *error)
{
    int32_t ranks = options->ranks;
    TRY(weft_allocate((size_t)stages, sizeof *places->local, &places->local, error));
    for (int32_t s = 0; s < stages; s++) places->first[places->number[stage_rank[s]] + 1]++;
    for (int32_t r = 0; r < ranks; r++) places->first[r + 1] += places->first[r];
    for (int32_t s = 0; s < stages; s++) places->local[places->first[places->number[stage_rank[s]]]++] = s;
    for (int32_t r = ranks; r > 0; r--) places->first[r] = places->first[r - 1];
    places->first[0] = 0;
    return WEFT_OK;
}

/* The same with a place for each round, whether the rank has a stage in it or not. */
static weft_status list_rounds(weft_places *places, const weft_schedule_options *options, int32_t stages,
                               const int32_t *stage_rank, weft_error *error)
{
    int32_t ranks = options->ranks, rounds = count_rounds(stages, stage_rank, places->number), round = 0;
    if ((int64_t)rounds * ranks > WEFT_PASSES_LIMIT / options->microbatches)
        FAIL(error, WEFT_INVALID,
             "placement: %d rounds through %d ranks with %d micro-batches are too many for %s; take breadth-first",
             (int)rounds, (int)ranks, (int)options->microbatches, options->kind);
    size_t count = (size_t)rounds * (size_t)ranks;
    TRY(weft_allocate(count, sizeof *places->local, &places->local, error));
    for (size_t i = 0; i < count; i++) places->local[i] = -1;
    for (int32_t r = 0; r <= ranks; r++) places->first[r] = r * rounds;
    for (int32_t s = 0; s < stages; s++) {
        int32_t number = places->number[stage_rank[s]];
        if (s && number <= places->number[stage_rank[s - 1]]) round++;
        places->local[places->first[number] + round] = s;
    }
    return WEFT_OK;
}

weft_status weft_places_init(weft_places *out, const weft_schedule_options *options, const weft_schedule_kind *kind,
                             int32_t stages, int32_t *stage_rank, weft_error *error)
{
    int32_t P = options->ranks;
    bool list = weft_placement_is_list(options->placement);
    weft_placement placement = WEFT_PLACEMENT_LIST;
    *out = (weft_places){0};
    TRY(weft_allocate((size_t)P, sizeof *out->number, &out->number, error));
    TRY(weft_allocate((size_t)P + 1, sizeof *out->first, &out->first, error));
    TRY(list ? fill_list(options, stages, stage_rank, error)
             : fill_named(options, kind, stages, stage_rank, &placement, error));
    TRY(number_ranks(P, stages, stage_rank, out->number, error));
    if (list) placement = recognize(P, stages, stage_rank, out->number);
    TRY(check_kind(options, kind, placement, stages, error));
    return (kind->rounds ? list_rounds : list_stages)(out, options, stages, stage_rank, error);
}

void weft_places_fini(weft_places *places)
{
    weft_free(places->number);
    weft_free(places->local);
    weft_free(places->first);
}
