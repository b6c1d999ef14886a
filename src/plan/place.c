/* Placements for a schedule, tried one after the other. */
#include "plan/place.h"

#include <string.h>

/* Passes of all placements of more loops together: beyond, lowering alone takes seconds. */
static const double most_passes = 4e6;

/* The rank of each stage, and then that of the first once more. */
static weft_status list_with_head(const weft_schedule *schedule, weft_arena *arena, const char **out, weft_error *error)
{
    weft_text list;
    weft_text_init(&list);
    for (int32_t s = 0; s < schedule->stages; s++) weft_text_add(&list, "%d,", (int)schedule->stage_rank[s]);
    weft_text_add(&list, "%d", (int)schedule->stage_rank[0]);
    weft_status status = weft_text_check(&list, error);
    if (status == WEFT_OK) status = weft_arena_text(arena, weft_text_get(&list), out, error);
    weft_text_fini(&list);
    return status;
}

static weft_status make_schedule(const weft_placing *placing, const weft_tried *place, weft_schedule **out,
                                 weft_error *error)
{
    weft_schedule_options options = placing->options;
    options.placement = place->placement;
    options.loops = place->head ? 0 : place->loops;
    return weft_schedule_create(&options, out, error);
}

/* The best split of a place that is complete but for it. */
static weft_status divide(const weft_placing *placing, weft_tried *place, double work, weft_error *error)
{
    weft_schedule *schedule = NULL;
    weft_split_problem problem = placing->split;
    TRY(make_schedule(placing, place, &schedule, error));
    problem.schedule = schedule;
    problem.work = place->work = work;
    weft_status status = weft_split_layers(&problem, place->layers, &place->step, &place->efficiency, error);
    weft_schedule_destroy(schedule);
    return status;
}

static weft_status add(weft_placed *placed, weft_tried place, double work, weft_error *error)
{
    TRY(weft_arena_take(&placed->arena, (size_t)place.stages, sizeof *place.layers, &place.layers, error));
    TRY(divide(placed->placing, &place, work, error));
    placed->items[placed->count++] = place;
    return WEFT_OK;
}

/* The same stages, and the head behind them, unless that makes too long a list. */
static weft_status add_with_head(weft_placed *placed, weft_tried place, double work, weft_error *error)
{
    weft_schedule *schedule = NULL;
    TRY(make_schedule(placed->placing, &place, &schedule, error));
    place.head = true;
    place.stages = schedule->stages + 1;
    weft_status status = list_with_head(schedule, &placed->arena, &place.placement, error);
    weft_schedule_destroy(schedule);
    if (status != WEFT_OK || strlen(place.placement) > placed->placing->longest) return status;
    return add(placed, place, work, error);
}

/* What cannot be made a schedule is not tried. */
static weft_status attempt(weft_placed *placed, weft_tried place, bool head, double work, weft_error *error)
{
    weft_error reason;
    weft_error_clear(&reason);
    weft_status status = (head ? add_with_head : add)(placed, place, work, &reason);
    if (status == WEFT_OK || status == WEFT_INVALID) return WEFT_OK;
    *error = reason;
    return status;
}

/* The next greater number of loops with which another number of layers is the most of a stage; 0: there is none. */
static int32_t more_loops(const weft_placing *placing, int32_t loops)
{
    int32_t ranks = placing->options.ranks, layers = placing->split.layer_count;
    int32_t most = (int32_t)((layers - 1) / ((int64_t)ranks * loops)); /* of a stage, from then on */
    if (layers < 1 || most < 1) return 0;
    return (int32_t)((layers + (int64_t)ranks * most - 1) / ((int64_t)ranks * most));
}

static int32_t count_more(const weft_placing *placing)
{
    int32_t count = 0;
    for (int32_t loops = placing->options.loops; (loops = more_loops(placing, loops)) > 0;) count++;
    return count;
}

static weft_status try_more_loops(weft_placed *placed, int32_t count, weft_error *error)
{
    const weft_schedule_options *options = &placed->placing->options;
    double passes = 0;
    for (int32_t loops = options->loops; (loops = more_loops(placed->placing, loops)) > 0;) {
        weft_tried place = {.placement = "loop", .loops = loops, .stages = options->ranks * loops};
        passes += 2.0 * place.stages * options->microbatches;
        if (passes > most_passes) return WEFT_OK;
        for (int head = 0; head < 2; head++) TRY(attempt(placed, place, head, WEFT_SPLIT_WORK / (2 * count), error));
    }
    return WEFT_OK;
}

weft_status weft_placed_init(weft_placed *placed, const weft_placing *placing, weft_error *error)
{
    const weft_schedule_options *options = &placing->options;
    int32_t count = count_more(placing);
    *placed = (weft_placed){.placing = placing};
    weft_arena_init(&placed->arena);
    TRY(weft_arena_take(&placed->arena, 2 * ((size_t)count + 1), sizeof *placed->items, &placed->items, error));
    weft_tried own = {.loops = options->loops, .stages = options->ranks * options->loops};
    TRY(add(placed, own, WEFT_SPLIT_WORK, error));
    if (options->ranks == 1 || weft_schedule_kind_no_list(options->kind)) return WEFT_OK;
    TRY(attempt(placed, own, true, WEFT_SPLIT_WORK, error));
    return try_more_loops(placed, count, error);
}

void weft_placed_fini(weft_placed *placed)
{
    weft_arena_fini(&placed->arena);
}

/* What is left to choose from, while what does not fit falls out. */
typedef struct choice {
    weft_placed *placed;
    bool *refused; /* (count) */
    weft_tried_fits *fits;
    void *context;
} choice;

/* The shortest step of all; -1: none is left. */
static int32_t shortest(const choice *c)
{
    int32_t best = -1;
    for (int32_t i = 0; i < c->placed->count; i++)
        if (!c->refused[i] && (best < 0 || c->placed->items[i].step < c->placed->items[best].step)) best = i;
    return best;
}

static int32_t fewest_stages(const choice *c, int32_t best)
{
    int32_t i = 0;
    while (c->refused[i] || c->placed->items[i].step * (1 - WEFT_PLACE_WORTH) > c->placed->items[best].step) i++;
    return i;
}

static weft_status ask(const choice *c, const weft_tried *place, bool *out_fits, weft_error *error)
{
    *out_fits = true;
    return c->fits ? c->fits(c->context, place, out_fits, error) : WEFT_OK;
}

/* Its step may become shorter, which changes nothing of why it was taken. What is refused anyway costs no search. */
static weft_status examine(choice *c, int32_t i, bool *out_fits, weft_error *error)
{
    weft_tried *place = &c->placed->items[i];
    TRY(ask(c, place, out_fits, error));
    if (*out_fits && place->work < WEFT_SPLIT_WORK) {
        TRY(divide(c->placed->placing, place, WEFT_SPLIT_WORK, error));
        TRY(ask(c, place, out_fits, error));
    }
    c->refused[i] = !*out_fits;
    return WEFT_OK;
}

static weft_status choose(choice *c, int32_t *out, weft_error *error)
{
    for (int32_t best; (best = shortest(c)) >= 0;) {
        bool fits = false;
        TRY(examine(c, best, &fits, error));
        if (!fits) continue;
        *out = fewest_stages(c, best);
        if (*out != best) TRY(examine(c, *out, &fits, error));
        if (fits) return WEFT_OK;
    }
    *out = -1;
    return WEFT_OK;
}

weft_status weft_placed_choose(weft_placed *placed, weft_tried_fits *fits, void *context, int32_t *out,
                               weft_error *error)
{
    choice c = {.placed = placed, .fits = fits, .context = context};
    TRY(weft_allocate((size_t)placed->count, sizeof *c.refused, &c.refused, error));
    weft_status status = choose(&c, out, error);
    weft_free(c.refused);
    return status;
}
