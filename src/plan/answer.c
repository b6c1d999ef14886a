#include "plan/answer.h"

#include "base/hands.h"
#include "plan/kept.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Times that differ by less are said to be equal. */
static const double tie = 0.02;

const char *weft_plan_confidence_text(weft_plan_confidence confidence)
{
    static const char *const texts[] = {
        [WEFT_PLAN_UNSEEN] = "10 to 20 %: no run of this cluster was seen (--calibrate)",
        [WEFT_PLAN_FITTED_TO] = "5 to 10 %: calibrated to runs of this cluster",
        [WEFT_PLAN_TIMED] = "4 to 10 %: with measured layer times",
    };
    return texts[confidence];
}

static bool is_timed(const weft_plan_model *model, const weft_plan_cluster *cluster, const weft_plan_layout *layout)
{
    for (int32_t i = 0; i < cluster->measured_count; i++) {
        const weft_plan_layer_time *time = &cluster->measured[i];
        if (time->hidden != model->hidden) continue;
        if (!layout || (time->tensor == layout->tensor && time->micro_batch == layout->micro_batch)) return true;
    }
    return false;
}

weft_plan_confidence weft_plan_confidence_of(const weft_plan_model *model, const weft_plan_cluster *cluster,
                                             const weft_plan_layout *layout)
{
    if (is_timed(model, cluster, layout)) return WEFT_PLAN_TIMED;
    return cluster->software.origin == WEFT_PLAN_MEASURED ? WEFT_PLAN_FITTED_TO : WEFT_PLAN_UNSEEN;
}

typedef struct work {
    const weft_plan_question *question;
    const weft_plan_how *how;
    weft_plan_row *rows;
    size_t count;
    atomic_size_t done;
} work;

static weft_status replay_row(void *context, size_t hand, size_t i, weft_error *error)
{
    work *w = context;
    if (w->how->stop && *w->how->stop) return WEFT_OK;
    TRY(weft_plan_replay(w->question, &w->rows[i].layout, &w->rows[i].replayed, error));
    size_t done = atomic_fetch_add(&w->done, 1) + 1;
    if (hand == 0 && w->how->progress) w->how->progress(w->how->context, done, w->count);
    return WEFT_OK;
}

/* Programs that are looked at side by side have to fit the memory of a laptop. */
static size_t count_threads(const work *w)
{
    static const double most_actions = 4 * WEFT_PLAN_REPLAY_ACTIONS; /* about two GB */
    double largest = 1;
    size_t threads = w->how->threads > 1 ? (size_t)w->how->threads : 1;
    for (size_t i = 0; i < w->count; i++) {
        double actions = weft_plan_replay_actions(&w->rows[i].layout);
        if (actions > largest && actions <= WEFT_PLAN_REPLAY_ACTIONS) largest = actions;
    }
    return (double)threads * largest > most_actions ? (size_t)(most_actions / largest) : threads;
}

static int compare_rows(const void *left, const void *right)
{
    const weft_plan_row *a = left, *b = right;
    weft_plan_candidate first = {a->layout, a->replayed.time.step, a->replayed.memory.bytes};
    weft_plan_candidate second = {b->layout, b->replayed.time.step, b->replayed.memory.bytes};
    return weft_plan_candidate_compare(&first, &second);
}

/* What of a step could be saved: all but the products themselves. */
static void find_limit(weft_plan_row *row)
{
    const weft_plan_time *time = &row->replayed.time;
    row->limit = WEFT_PLAN_COMPUTE;
    double most = 0;
    for (int part = 0; part < WEFT_PLAN_PARTS; part++)
        if (part != WEFT_PLAN_COMPUTE && part != WEFT_PLAN_EDGES && time->part[part] > most) {
            most = time->part[part];
            row->limit = (weft_plan_part)part;
        }
    if (most < 0.05 * time->step) row->limit = WEFT_PLAN_COMPUTE;
    row->without_limit = time->step - time->part[row->limit];
}

static weft_status fill(const weft_plan_question *question, const weft_plan_how *how, weft_plan_answer *out,
                        weft_error *error)
{
    const weft_plan_screened *screened = &out->screened;
    size_t replays = screened->best_count; /* the top and near it, and the best of each kind */
    TRY(weft_allocate(replays, sizeof *out->rows, &out->rows, error));
    for (size_t i = 0; i < replays; i++) {
        weft_plan_row *row = &out->rows[i];
        row->layout = screened->best[i].layout;
        row->screened = row->replayed.time.step = screened->best[i].step;
        row->replayed.memory.bytes = screened->best[i].memory;
    }
    out->stopped = how->stop && *how->stop;
    work w = {.question = question, .how = how, .rows = out->rows, .count = replays};
    if (!how->screen_only) TRY(weft_hands_run(count_threads(&w), w.count, replay_row, &w, error));
    for (size_t i = 0; i < replays; i++) {
        weft_plan_row *row = &out->rows[i];
        bool replayed = row->replayed.time.part[WEFT_PLAN_COMPUTE] > 0;
        out->replays += row->replayed.exact;
        out->stopped |= !replayed && !how->screen_only;
        if (row->replayed.memory.bytes > question->cluster->gpu.memory) { /* by what its program holds */
            out->screened.refused[WEFT_PLAN_REFUSED_MEMORY]++;
            continue;
        }
        find_limit(row);
        out->rows[out->count++] = *row;
    }
    if (out->count) qsort(out->rows, out->count, sizeof *out->rows, compare_rows);
    for (size_t i = 1; i < out->count; i++)
        out->rows[i].equal = out->rows[i].replayed.time.step < out->rows[i - 1].replayed.time.step * (1 + tie);
    return WEFT_OK;
}

weft_status weft_plan_find(const weft_plan_question *question, const weft_plan_how *how, weft_plan_answer *out,
                           weft_error *error)
{
    *out = (weft_plan_answer){0};
    TRY(weft_plan_screen(question, how->stop, &out->screened, error));
    weft_status status = fill(question, how, out, error);
    if (status != WEFT_OK) weft_plan_answer_fini(out);
    return status;
}

void weft_plan_answer_fini(weft_plan_answer *answer)
{
    weft_plan_screened_fini(&answer->screened);
    weft_free(answer->rows);
    *answer = (weft_plan_answer){0};
}
