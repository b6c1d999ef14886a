/* What the parts of a search share: its end, and the best order so far. */
#include "plan/search_run.h"

#include "base/clock.h"

#include <string.h>

enum { LOOK_EVERY = 1 << 14 };

bool weft_search_run_out(weft_search_run *run)
{
    const weft_search_problem *problem = run->problem;
    if (run->over || run->work < run->next_look) return run->over;
    run->next_look = run->work + LOOK_EVERY;
    run->result->stopped = problem->stop && *problem->stop;
    run->over = run->result->stopped || weft_clock_seconds() >= run->stop;
    if (problem->work && run->work >= problem->work) run->over = true;
    return run->over;
}

double weft_search_run_slack(const weft_search_run *run)
{
    return 2e-10 * run->value;
}

void weft_search_run_offer(weft_search_run *run)
{
    const weft_search_order *order = &run->order;
    if (order->value >= run->best_value) return;
    memcpy(run->best, order->sequence, (size_t)order->count * sizeof *run->best);
    run->best_value = order->value;
    if (run->best_value < run->value) run->value = run->best_value;
}

void weft_search_run_take_trail(weft_search_run *run)
{
    const weft_search_state *state = &run->state;
    int32_t *next = run->counts;
    memcpy(next, run->order.first, (size_t)state->P * sizeof *next);
    for (int32_t i = 0; i < run->order.count; i++) {
        const weft_search_move *move = &run->trail[i];
        run->sequence[next[move->rank]++] = weft_search_pass_number(state, move->pass, move->stage, move->microbatch);
    }
    if (weft_search_order_take(&run->order, run->sequence)) weft_search_run_offer(run);
}
