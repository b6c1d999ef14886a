/* parallel.placement: auto: what is tried, what fits, and what is said of it. */
#include "train/job_parts.h"

#include "plan/place.h"

#include <string.h>

typedef struct placing {
    weft_config *config;
    weft_known *known;
    weft_placing problem;
    weft_placed placed;
    int32_t chosen, refused;             /* refused: the best of what does not fit, or -1 */
    double need, own_need, refused_need; /* bytes of the largest worker, of what is chosen, the kind's own, refused */
} placing;

/* Bytes of the worker that needs most, where the stages are at this place; 0: that can be no job. */
static weft_status measure(const placing *p, const weft_tried *place, double *out, weft_error *error)
{
    weft_config trial = *p->config;
    weft_job_memory memory = {0};
    weft_error reason;
    int32_t rank = 0;
    int64_t *layers = NULL;
    TRY(weft_allocate((size_t)place->stages, sizeof *layers, &layers, error));
    for (int32_t s = 0; s < place->stages; s++) layers[s] = place->layers[s];
    trial.parallel.placement = place->placement ? place->placement : "own";
    trial.parallel.loops = place->head ? 1 : place->loops;
    trial.parallel.stages = (weft_config_list){layers, place->stages};
    weft_status status = weft_job_measure(&trial, p->known, &memory, &rank, &reason);
    weft_free(layers);
    *out = status == WEFT_OK ? (double)memory.total : 0;
    if (status == WEFT_OK || status == WEFT_INVALID) return WEFT_OK;
    *error = reason;
    return status;
}

static weft_status fits(void *context, const weft_tried *place, bool *out_fits, weft_error *error)
{
    placing *p = context;
    const weft_tried *items = p->placed.items;
    double need = 0, limit = (double)p->config->memory_limit;
    TRY(measure(p, place, &need, error));
    *out_fits = need > 0 && (limit == 0 || need <= limit);
    if (*out_fits) {
        p->need = need;
    } else if (need > 0 && (p->refused < 0 || place->step < items[p->refused].step)) {
        p->refused = (int32_t)(place - items);
        p->refused_need = need;
    }
    return WEFT_OK;
}

/* Of a file, and of a kind that nobody knows, "own" is all that can be said. */
static const char *own_name(const weft_config *config)
{
    const char *name = weft_schedule_kind_placement(config->parallel.schedule);
    return name ? name : "own";
}

static weft_status set(weft_config *config, const char *placement, int32_t loops, weft_error *error)
{
    weft_text number;
    TRY(weft_config_choose(config, "parallel.placement", placement, error));
    if (loops == config->parallel.loops) return WEFT_OK;
    weft_text_init(&number);
    weft_text_add_int(&number, loops);
    weft_status status = weft_text_check(&number, error);
    if (status == WEFT_OK) status = weft_config_choose(config, "parallel.loops", weft_text_get(&number), error);
    weft_text_fini(&number);
    return status;
}

static void name_place(const placing *p, const weft_tried *place, weft_text *out)
{
    weft_text_add(out, "%s with ", place->loops == p->placed.items->loops ? own_name(p->config) : "loop");
    weft_text_add_count(out, place->loops, "loop");
    if (place->head) weft_text_add(out, " and the head as a stage of its own on rank 0");
}

/* What was chosen, and what is predicted of it. */
static void say_choice(const placing *p, weft_text *out)
{
    const weft_tried *own = p->placed.items, *chosen = &own[p->chosen];
    bool limited = p->config->memory_limit > 0;
    weft_text_add(out, "parallel.placement: auto %s ", p->chosen > 0 ? "takes" : "keeps");
    name_place(p, chosen, out);
    weft_text_add(out, ": efficiency %.3f predicted, ", chosen->efficiency);
    if (p->chosen > 0) {
        weft_text_add(out, "%.3f for ", own->efficiency);
        name_place(p, own, out);
    } else if (p->placed.count > 1) {
        weft_text_add(out, "and of ");
        weft_text_add_count(out, p->placed.count - 1, "other");
        weft_text_add(out, " none%s is better by %g %%", limited ? " that fits" : "", 100 * WEFT_PLACE_WORTH);
    } else {
        weft_text_add(out, "and there is no other to try");
    }
    weft_text_add(out, "\n");
}

static double mebibytes(double bytes)
{
    return bytes / 1048576;
}

static void say_memory(const placing *p, weft_text *out)
{
    const weft_tried *own = p->placed.items;
    weft_text_add(out, "parallel.placement: the largest worker needs %.1f MiB", mebibytes(p->need));
    if (p->own_need > 0) weft_text_add(out, " (%.1f MiB otherwise)", mebibytes(p->own_need));
    if (p->config->memory_limit > 0)
        weft_text_add(out, "; memory_limit is %.1f MiB", mebibytes((double)p->config->memory_limit));
    if (p->refused >= 0) {
        weft_text_add(out, ", which is too little for ");
        name_place(p, &own[p->refused], out);
        weft_text_add(out, ": %.3f predicted, %.1f MiB", own[p->refused].efficiency, mebibytes(p->refused_need));
    }
    weft_text_add(out, "\n");
}

/* Where nothing fits the job says so. */
static weft_status take(placing *p, weft_text *said, weft_error *error)
{
    const weft_tried *own = p->placed.items, *chosen = p->chosen < 0 ? own : &own[p->chosen];
    if (p->chosen > 0) TRY(measure(p, own, &p->own_need, error));
    if (p->chosen >= 0) {
        say_choice(p, said);
        say_memory(p, said);
    }
    return set(p->config, chosen->placement ? chosen->placement : own_name(p->config), chosen->head ? 1 : chosen->loops,
               error);
}

static weft_status choose(placing *p, weft_text *said, weft_error *error)
{
    TRY(weft_known_create(&p->known, error));
    TRY(weft_placed_choose(&p->placed, fits, p, &p->chosen, error));
    return take(p, said, error);
}

/* Costs of layers and head as the job has them. */
static weft_status pose(placing *p, weft_job *job, weft_error *error)
{
    TRY(weft_job_pose(p->config, job, &p->problem.split, error));
    p->problem.longest = WEFT_CONFIG_PLACEMENT;
    p->problem.options = weft_job_schedule_options(p->config);
    return weft_placed_init(&p->placed, &p->problem, error);
}

static weft_status try_all(weft_config *config, weft_text *said, weft_error *error)
{
    placing p = {.config = config, .refused = -1};
    weft_job job = {.use = WEFT_JOB_TRAINS};
    weft_error reason;
    weft_error_clear(&reason);
    weft_arena_init(&job.arena);
    weft_status status = pose(&p, &job, &reason);
    if (status == WEFT_OK)
        status = choose(&p, said, error);
    else if (status == WEFT_INVALID)
        status = WEFT_OK;
    else
        *error = reason;
    weft_known_destroy(p.known);
    weft_placed_fini(&p.placed);
    weft_job_fini(&job);
    return status;
}

/* Where there is nothing to choose. why: of the reason, or NULL. */
static weft_status keep(weft_config *config, const char *reason, const char *why, weft_text *said, weft_error *error)
{
    const char *kind = weft_schedule_kind_placement(config->parallel.schedule);
    weft_text_add(said, "parallel.placement: auto keeps that of %s%s%s: %s", config->parallel.schedule,
                  kind ? ", " : "", kind ? kind : "", reason);
    if (why) weft_text_add(said, " (%s)", why);
    weft_text_add(said, "\n");
    return weft_config_choose(config, "parallel.placement", own_name(config), error);
}

weft_status weft_job_place(weft_config *config, weft_text *said, weft_error *error)
{
    const char *no_list = weft_schedule_kind_no_list(config->parallel.schedule);
    if (strcmp(config->parallel.placement, "auto") != 0) return WEFT_OK;
    if (weft_schedule_is_file(config->parallel.schedule))
        return keep(config, "its rows say which rank holds each stage", NULL, said, error);
    if (config->parallel.pipeline == 1) return keep(config, "one rank holds all stages", NULL, said, error);
    if (config->parallel.stages.count > 0)
        return keep(config, "parallel.stages says what each stage holds", NULL, said, error);
    if (no_list) return keep(config, "it goes with no list", no_list, said, error);
    return try_all(config, said, error);
}
