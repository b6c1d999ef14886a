#include "plan/search_run.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Micro-batches are alike: they cost the same everywhere. So there is a best order in which every stage runs F, I and W
 * of them ascending. Take any best order, and let the k-th F that a stage runs be that of micro-batch k, likewise I and
 * W. The k-th F of a stage had k F of the stage before it done, whichever these were, so those of micro-batches 0 to k
 * are; the same holds for I and W. Times, messages and memory are what they were. Only such orders are searched.
 *
 * B is I and W in one: what the stage before waits for comes later, and nothing earlier. So I and W are never worse,
 * unless B takes less than both, which is refused; and where backward passes are to be whole, they are searched alone.
 *
 * First orders come from rules and from the kinds of schedules. Then the best so far is improved and the bound is
 * raised in turns, with more work for each every time.
 */
enum { FIRST_RULES = 6, RULES = 100, MOVES = 50, FIRST_WORK = 1000 };

static bool is_proved(const weft_search_run *run)
{
    return run->value - run->bound <= 5 * weft_search_run_slack(run);
}

static bool is_done(weft_search_run *run)
{
    return is_proved(run) || weft_search_run_out(run);
}

/* Just below the best so far, where a no is the proof; at the bound, and half way. */
static void raise_bound(weft_search_run *run, uint64_t work)
{
    for (int i = 0; i < 3 && !is_done(run); i++) {
        double low = run->bound, high = run->value - 3 * weft_search_run_slack(run);
        weft_search_probe(run, i == 0 ? high : i == 1 ? low : (low + high) / 2, i == 0 ? work / 2 : work / 4);
    }
}

/* Good orders lie far apart: from one to another it is a long way through bad ones, so that many beginnings find more
 * than one that is improved for long. */
static weft_status lower_value(weft_search_run *run, uint64_t work, weft_error *error)
{
    for (uint64_t end = run->work + work; run->work < end && !is_done(run);) {
        run->rounds++;
        TRY(weft_search_seek(run, RULES, error));
        TRY(weft_search_improve(run, (MOVES + run->rounds) * (uint64_t)run->order.count, error));
    }
    return WEFT_OK;
}

static weft_status refine(weft_search_run *run, weft_error *error)
{
    for (uint64_t work = FIRST_WORK * (uint64_t)run->order.count; !is_done(run); work *= 2) {
        TRY(lower_value(run, work, error));
        raise_bound(run, work);
    }
    return WEFT_OK;
}

/* The best order becomes a schedule. */
static weft_status take_best(weft_search_run *run, weft_error *error)
{
    static const weft_action_kind kinds[] = {WEFT_F, WEFT_I, WEFT_W};
    const weft_search_state *state = &run->state;
    size_t P = (size_t)state->P, S = (size_t)state->S;
    weft_schedule_destroy(run->result->schedule);
    TRY(weft_allocate(1, sizeof *run->result->schedule, &run->result->schedule, error));
    weft_schedule *out = run->result->schedule;
    *out = (weft_schedule){.ranks = state->P,
                           .stages = state->S,
                           .loops = state->S % state->P ? 0 : state->S / state->P,
                           .microbatches = state->M,
                           .ascending = true};
    snprintf(out->name, sizeof out->name, "search");
    TRY(weft_allocate(S, sizeof *out->stage_rank, &out->stage_rank, error));
    TRY(weft_allocate(P + 1, sizeof *out->first, &out->first, error));
    TRY(weft_allocate((size_t)run->order.count, sizeof *out->actions, &out->actions, error));
    memcpy(out->stage_rank, state->stage_rank, S * sizeof *out->stage_rank);
    for (size_t r = 0; r < P; r++) out->first[r + 1] = (size_t)run->order.first[r + 1];
    for (int32_t i = 0; i < run->order.count; i++) {
        const weft_search_node *node = &run->order.nodes[run->best[i]];
        weft_action_kind kind = run->problem->whole && node->pass == PASS_I ? WEFT_B : kinds[node->pass];
        out->actions[i] = (weft_action){.kind = kind,
                                        .stage = (uint32_t)node->stage & (WEFT_STAGES_LIMIT - 1),
                                        .microbatch = (uint32_t)node->microbatch};
    }
    return WEFT_OK;
}

static weft_status conclude(weft_search_run *run, weft_error *error)
{
    weft_search_result *result = run->result;
    weft_search_row row = {0};
    if (run->best_value < run->kind_value - weft_search_run_slack(run)) TRY(take_best(run, error));
    TRY(weft_search_simulate(run->problem, result->schedule, &row, error));
    result->step_time = row.step_time;
    result->own_step_time = row.own_step_time;
    result->work = run->work;
    run->value = run->problem->own ? row.own_step_time : row.step_time;
    result->optimal = is_proved(run);
    result->bound = result->optimal ? run->value : run->bound;
    return WEFT_OK;
}

static weft_status init(weft_search_run *run, weft_error *error)
{
    TRY(weft_search_state_init(&run->state, run->problem, error));
    TRY(weft_search_memo_init(&run->memo, error));
    TRY(weft_search_order_init(&run->order, &run->state, error));
    size_t count = (size_t)run->order.count, S = (size_t)run->state.S;
    TRY(weft_allocate(count, sizeof *run->trail, &run->trail, error));
    TRY(weft_allocate(count, sizeof *run->best, &run->best, error));
    TRY(weft_allocate(count, sizeof *run->sequence, &run->sequence, error));
    return weft_allocate(PASSES * S + (size_t)run->state.P, sizeof *run->counts, &run->counts, error);
}

static weft_status go(weft_search_run *run, weft_error *error)
{
    TRY(init(run, error));
    TRY(weft_search_try_kinds(run, error));
    TRY(weft_search_seek(run, FIRST_RULES, error));
    run->bound = weft_search_bound(&run->state, 0);
    TRY(refine(run, error));
    return conclude(run, error);
}

static void fini(weft_search_run *run)
{
    weft_search_state_fini(&run->state);
    weft_search_memo_fini(&run->memo);
    weft_search_order_fini(&run->order);
    weft_free(run->trail);
    weft_free(run->best);
    weft_free(run->sequence);
    weft_free(run->counts);
}

/* Orders of B, and of I and W, could then each be better in another place. */
static weft_status check_backward(const weft_search_problem *problem, weft_error *error)
{
    const weft_costs *costs = problem->costs;
    for (int32_t s = 0; s < problem->stages && costs->backward && !problem->whole; s++) {
        double parts = costs->backward_input[s] + costs->backward_weight[s];
        if (costs->backward[s] < parts * (1 - 1e-12))
            FAIL(error, WEFT_INVALID,
                 "B of stage %d takes %g, less than I and W together, %g: weft searches orders of I and W, or of B "
                 "alone; give --whole for those of B, or that sum as --backward",
                 (int)s, costs->backward[s], parts);
    }
    return WEFT_OK;
}

static weft_status check(const weft_search_problem *problem, weft_error *error)
{
    int32_t most = 0;
    if ((int64_t)problem->stages * problem->microbatches > WEFT_SEARCH_SIZE_LIMIT)
        FAIL(error, WEFT_INVALID, "%d stages x %d micro-batches are too many to search; the limit is %d",
             (int)problem->stages, (int)problem->microbatches, WEFT_SEARCH_SIZE_LIMIT);
    for (int32_t r = 0; r < problem->ranks; r++) {
        int32_t count = 0;
        for (int32_t s = 0; s < problem->stages; s++) count += problem->stage_rank[s] == r;
        most = count > most ? count : most;
    }
    if (most > WEFT_SEARCH_LOCAL_LIMIT)
        FAIL(error, WEFT_INVALID, "a rank with %d stages is too much to search; the limit is %d", (int)most,
             WEFT_SEARCH_LOCAL_LIMIT);
    /* All stages of a rank have run F of a micro-batch before any of them can run its last pass. */
    if (problem->cap && problem->cap < most)
        FAIL(error, WEFT_INVALID, "a rank with %d stages holds %d micro-batch stages at least; the cap is %lld",
             (int)most, (int)most, (long long)problem->cap);
    return check_backward(problem, error);
}

weft_status weft_search(const weft_search_problem *problem, weft_search_result *out, weft_error *error)
{
    *out = (weft_search_result){0};
    TRY(check(problem, error));
    weft_search_run run = {.problem = problem,
                           .result = out,
                           .best_value = INFINITY,
                           .kind_value = INFINITY,
                           .value = INFINITY,
                           .stop = weft_clock_seconds() + problem->seconds};
    weft_status status = go(&run, error);
    fini(&run);
    if (status != WEFT_OK) weft_search_result_fini(out);
    return status;
}

void weft_search_result_fini(weft_search_result *result)
{
    weft_schedule_destroy(result->schedule);
    weft_free(result->rows);
    *result = (weft_search_result){0};
}
