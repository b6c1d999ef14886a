/* The questions of weft plan, one number of GPUs and one batch each. */
#include "cli/plan_case.h"
#include "plan/advice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How many of the fastest are replayed at least. */
enum { LEAST_KEPT = 200 };

double weft_plan_case_hours(const weft_plan_case *which, const weft_plan_row *row)
{
    const weft_plan_question *q = &which->question;
    double batch = (double)q->batch, critical = q->model->critical_batch;
    double more = critical > 0 ? 1 + batch / critical : 1; /* samples, against many small steps */
    double steps = which->tokens * more / (batch * (double)q->model->sequence);
    return which->tokens > 0 ? steps * row->replayed.time.step / 3600 : NAN;
}

double weft_plan_case_cost(const weft_plan_case *which, const weft_plan_row *row)
{
    double price = which->question.cluster->price;
    return price > 0 ? weft_plan_case_hours(which, row) * price * (double)which->question.gpus : NAN;
}

/* Rows are by time: the first of a schedule is its best. */
static void find_best(weft_plan_case *which)
{
    for (size_t i = which->answer.count; i > 0; i--)
        which->best[which->answer.rows[i - 1].layout.kind] = which->answer.rows[i - 1];
}

/* A question that has no plan is a result; what fails for another reason is not. */
static weft_status solve_one(weft_planning *p, weft_plan_case *which, weft_error *error)
{
    weft_error_clear(&which->refusal);
    weft_status status = weft_plan_find(&which->question, &p->how, &which->answer, &which->refusal);
    bool stopped = p->how.stop && *p->how.stop;
    if (status == WEFT_OK && which->answer.count == 0 && !stopped)
        status = weft_plan_refuse(&which->question, &which->answer.screened, &which->refusal);
    find_best(which);
    if (status == WEFT_OK || status == WEFT_INVALID) return WEFT_OK;
    *error = which->refusal;
    return status;
}

static weft_status check_any(const weft_planning *p, weft_error *error)
{
    for (int i = 0; i < p->case_count; i++)
        if (weft_plan_case_has(&p->cases[i])) return WEFT_OK;
    if (p->case_count > 0 && p->cases[0].refusal.status != WEFT_OK) {
        *error = p->cases[0].refusal;
        return error->status;
    }
    FAIL(error, WEFT_FAILED, "stopped before anything was found");
}

weft_status weft_planning_solve(weft_planning *p, weft_error *error)
{
    char at[80];
    uint32_t rivals = 0;
    for (int i = 0; i < p->rival_count; i++) rivals |= 1u << p->rivals[i];
    if (rivals) p->fix.kinds = rivals;
    p->at = at;
    TRY(weft_arena_take(&p->arena, (size_t)(p->gpu_count * p->batch_count), sizeof *p->cases, &p->cases, error));
    for (int i = 0; i < p->gpu_count * p->batch_count && !(p->how.stop && *p->how.stop); i++) {
        weft_plan_case *which = &p->cases[p->case_count++];
        which->tokens = p->tokens;
        which->question = (weft_plan_question){.model = &p->model,
                                               .cluster = &p->cluster,
                                               .gpus = p->gpus[i / p->batch_count],
                                               .batch = p->batches[i % p->batch_count],
                                               .fix = p->fix,
                                               .top = (int32_t)(p->top < LEAST_KEPT ? LEAST_KEPT : p->top),
                                               .sizes = p->sizes.memory ? &p->sizes : NULL};
        snprintf(at, sizeof at, "%lld GPU%s, batch %lld", (long long)which->question.gpus,
                 weft_text_plural(which->question.gpus), (long long)which->question.batch);
        TRY(solve_one(p, which, error));
    }
    return check_any(p, error);
}

void weft_planning_fini(weft_planning *p)
{
    for (int i = 0; i < p->case_count; i++) weft_plan_answer_fini(&p->cases[i].answer);
    weft_plan_fit_fini(&p->fit);
    if (p->has_run) weft_config_fini(&p->run.config);
    weft_known_destroy(p->run.known);
    weft_arena_fini(&p->arena);
}
