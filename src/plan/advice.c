#include "plan/advice.h"

#include <string.h>

enum { MOST_GPUS = 1 << 20 };

/* The best of a question, if there is one. */
static weft_status try_question(const weft_plan_question *question, bool *out_named, bool *out_fits,
                                weft_plan_layout *out, weft_error *error)
{
    weft_plan_question one = *question;
    weft_plan_screened screened;
    weft_error reason;
    weft_error_clear(&reason);
    one.top = 1;
    *out_named = *out_fits = false;
    weft_status status = weft_plan_screen(&one, NULL, &screened, &reason);
    if (status == WEFT_INVALID) return WEFT_OK;
    if (status != WEFT_OK) {
        *error = reason;
        return status;
    }
    *out_named = screened.enumerated > 0;
    *out_fits = screened.best_count > 0;
    if (*out_fits) *out = screened.best[0].layout;
    weft_plan_screened_fini(&screened);
    return WEFT_OK;
}

/* Whatever fits goes on fitting where more GPUs are there: they may idle. */
weft_status weft_plan_least_gpus(const weft_plan_question *question, int64_t *out, weft_error *error)
{
    weft_plan_question more = *question;
    weft_plan_layout layout;
    bool named, fits = false;
    int64_t below = 0;
    *out = 0;
    for (more.gpus = 1; more.gpus <= MOST_GPUS; more.gpus *= 2) {
        TRY(try_question(&more, &named, &fits, &layout, error));
        if (fits) break;
        below = more.gpus;
    }
    if (!fits) return WEFT_OK;
    int64_t enough = more.gpus;
    while (enough - below > 1) {
        more.gpus = below + (enough - below) / 2;
        TRY(try_question(&more, &named, &fits, &layout, error));
        *(fits ? &enough : &below) = more.gpus;
    }
    *out = enough;
    return WEFT_OK;
}

weft_status weft_plan_rescue(const weft_plan_question *question, const weft_plan_layout *layout, weft_plan_move *out,
                             bool *out_found, weft_error *error)
{
    weft_plan_move moves[WEFT_PLAN_MOVES];
    size_t count = 0;
    *out_found = false;
    TRY(weft_plan_moves(question, layout, false, moves, &count, error));
    for (size_t i = 0; i < count; i++) {
        if (moves[i].refusal[0] || (*out_found && moves[i].step >= out->step)) continue;
        *out = moves[i];
        *out_found = true;
    }
    return WEFT_OK;
}

/* Each decision of the user. */
static const char *release(weft_plan_fix *fix, int which)
{
    const struct {
        const char *key;
        int32_t *number;
        uint32_t *set;
    } rows[] = {{"data", &fix->data, NULL},         {"tensor", &fix->tensor, NULL},
                {"pipeline", &fix->pipeline, NULL}, {"loops", &fix->loops, NULL},
                {"context", &fix->context, NULL},   {"micro_batch", &fix->micro_batch, NULL},
                {"rounds", &fix->rounds, NULL},     {"schedule", NULL, &fix->kinds},
                {"shard", NULL, &fix->shards},      {"recompute", NULL, &fix->recomputes}};
    const int count = sizeof rows / sizeof *rows;
    if (which > count) return NULL;
    if (which == count) {
        bool was = fix->sequence_parallel != 0;
        fix->sequence_parallel = 0;
        return was ? "sequence_parallel" : "";
    }
    bool was = rows[which].number ? *rows[which].number != 0 : *rows[which].set != 0;
    if (rows[which].number) *rows[which].number = 0;
    if (rows[which].set) *rows[which].set = 0;
    return was ? rows[which].key : "";
}

/* What fits once one decision is taken back. named: what there is at all, fitting or not. */
static weft_status add_released(const weft_plan_question *question, bool named, weft_text *out, bool *out_found,
                                weft_error *error)
{
    *out_found = false;
    for (int which = 0; !*out_found; which++) {
        weft_plan_question other = *question;
        weft_plan_layout layout;
        bool has, fits;
        const char *key = release(&other.fix, which);
        if (!key) break;
        if (!*key) continue;
        TRY(try_question(&other, &has, &fits, &layout, error));
        *out_found = fits || (named && has);
        if (*out_found) weft_text_add(out, "; without %s in --fix there is ", key);
        if (*out_found && fits) weft_plan_layout_text(&layout, out);
        if (*out_found && !fits) weft_text_add(out, "what does not fit");
    }
    return WEFT_OK;
}

static weft_status add_change(const weft_plan_question *q, const weft_plan_candidate *miss, weft_text *out,
                              weft_error *error)
{
    weft_plan_question more = *q;
    weft_plan_layout layout;
    bool found, named;
    int64_t gpus = 0;
    TRY(add_released(q, false, out, &found, error));
    if (found) return WEFT_OK;
    TRY(weft_plan_least_gpus(q, &gpus, error));
    more.gpus = gpus;
    if (gpus > 0) TRY(try_question(&more, &named, &found, &layout, error));
    if (gpus > 0 && found) {
        weft_text_add(out, "; %lld GPU%s it: ", (long long)gpus, gpus == 1 ? " holds" : "s hold");
        weft_plan_layout_text(&layout, out);
    } else if (miss)
        weft_text_add(out, "; no number of GPUs up to %d holds it, GPUs of %.1f GB do", MOST_GPUS, miss->memory / 1e9);
    else
        weft_text_add(out, "; no number of GPUs up to %d holds it", MOST_GPUS);
    return WEFT_OK;
}

static weft_status add_reason(const weft_plan_question *q, const weft_plan_screened *screened, weft_text *out,
                              weft_error *error)
{
    const weft_plan_candidate *miss = screened->miss_count ? &screened->misses[0] : NULL;
    bool found;
    if (screened->enumerated == 0 && screened->refused[WEFT_PLAN_REFUSED_MICRO_BATCH] == 0) {
        weft_text_add(out, "no layout of %lld GPU%s and batch %lld goes with the software and --fix",
                      (long long)q->gpus, weft_text_plural(q->gpus), (long long)q->batch);
        return add_released(q, true, out, &found, error);
    }
    weft_text_add(out, "%s does not fit %lld x %s: ", q->model->name, (long long)q->gpus, q->cluster->gpu.name);
    if (miss) {
        weft_text_add(out, "the nearest needs %.1f of %.1f GB (", miss->memory / 1e9, q->cluster->gpu.memory / 1e9);
        weft_plan_layout_text(&miss->layout, out);
        weft_text_add(out, ")");
    } else
        weft_text_add(out, "one layer of one sequence needs more than its %.1f GB", q->cluster->gpu.memory / 1e9);
    return add_change(q, miss, out, error);
}

weft_status weft_plan_refuse(const weft_plan_question *question, const weft_plan_screened *screened, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_status status = add_reason(question, screened, &text, error);
    if (status == WEFT_OK) status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_fail(error, WEFT_INVALID, "%s", weft_text_get(&text));
    weft_text_fini(&text);
    return status;
}
