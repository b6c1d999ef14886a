#include "plan/search_run.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

/*
 * Rules for a list (search_list.h), each a change of the best so far: whoever changes a rule changes the order of all
 * ranks together, as no change of one rank's order does. What is most urgent is what has the longest way to go, but for
 * what is added here and there; how many micro-batches a stage may hold keeps memory for other stages.
 */
static const double first_rules[][PASSES] = {{0, 0, 0}, {1, 2, 0}, {2, 1, 0}, {0, 2, 1}, {1, 1, 0}, {0, 1, 0}};
enum { FIRST_RULES = sizeof first_rules / sizeof *first_rules };

typedef struct seeking {
    weft_search_run *run;
    weft_search_list list;
    weft_search_rule best, next;
    double value, average, span;
    weft_random_key key;
    uint64_t drawn;
} seeking;

static double chance(seeking *it)
{
    return weft_random_uniform(it->key, it->drawn++);
}

static int32_t draw(seeking *it, int32_t sides)
{
    return (int32_t)(chance(it) * sides);
}

static weft_status init(seeking *it, weft_error *error)
{
    const weft_search_state *state = &it->run->state;
    size_t count = (size_t)it->run->order.count, S = (size_t)state->S;
    TRY(weft_search_list_init(&it->list, &it->run->order, error));
    TRY(weft_allocate(count, sizeof(double), &it->best.urgency, error));
    TRY(weft_allocate(count, sizeof(double), &it->next.urgency, error));
    TRY(weft_allocate(S, sizeof(int32_t), &it->best.limits, error));
    TRY(weft_allocate(S, sizeof(int32_t), &it->next.limits, error));
    for (size_t i = 0; i < count; i++) it->average += it->run->order.nodes[i].cost / (double)count;
    it->span = it->average * (double)count;
    return WEFT_OK;
}

static void fini(seeking *it)
{
    weft_search_list_fini(&it->list);
    weft_free(it->best.urgency);
    weft_free(it->next.urgency);
    weft_free(it->best.limits);
    weft_free(it->next.limits);
}

static void begin(seeking *it, const double *first, int32_t room)
{
    const weft_search_order *order = &it->run->order;
    for (int32_t i = 0; i < order->count; i++) {
        const weft_search_node *node = &order->nodes[i];
        it->next.urgency[i] = node->tail + node->cost + it->span * first[node->pass];
    }
    for (int32_t s = 0; s < order->state->S; s++) it->next.limits[s] = order->state->cap;
    it->next.room = room;
}

/* Passes of one kind, of some stages and some micro-batches, become more urgent, or less. */
static void change_urgency(seeking *it)
{
    const weft_search_state *state = &it->run->state;
    int32_t pass = draw(it, state->passes), stage = draw(it, state->S), m = draw(it, state->M), mode = draw(it, 4);
    double by = it->average * pow(2, chance(it) * 8 - 2) * (draw(it, 2) ? -1 : 1);
    for (int32_t s = 0; s < state->S; s++)
        for (int32_t k = 0; k < state->M; k++) {
            bool hit = s == stage;
            if (mode == 0) hit = hit && k == m;
            if (mode == 2) hit = hit && k % 2 == m % 2;
            if (mode == 3) hit = state->stage_rank[s] == state->stage_rank[stage];
            if (hit) it->next.urgency[weft_search_pass_number(state, (weft_search_pass)pass, s, k)] += by;
        }
}

static void change_limits(seeking *it)
{
    const weft_search_state *state = &it->run->state;
    int32_t stage = draw(it, state->S), most = state->cap < state->M ? state->cap : state->M, mode = draw(it, 3);
    int32_t limit = 1 + draw(it, most);
    if (mode == 0) it->next.limits[stage] = limit;
    if (mode == 1)
        for (int32_t s = 0; s < state->S; s++)
            if (s / state->P == stage / state->P) it->next.limits[s] = limit;
    if (mode == 2) {
        limit = it->next.limits[stage] > most ? most : it->next.limits[stage];
        limit += draw(it, 2) ? 1 : -1;
        it->next.limits[stage] = limit < 1 ? 1 : limit;
    }
}

static void change(seeking *it)
{
    const weft_search_state *state = &it->run->state;
    memcpy(it->next.urgency, it->best.urgency, (size_t)it->run->order.count * sizeof(double));
    memcpy(it->next.limits, it->best.limits, (size_t)state->S * sizeof(int32_t));
    it->next.room = it->best.room;
    for (int32_t i = 1 + draw(it, 3); i > 0; i--) (draw(it, 2) ? change_urgency : change_limits)(it);
}

/* Every other round begins with the table, the others with one rule of it and more room: neither is always the better
 * way. Of rules that come to the same the later one goes on. */
static void try_rule(seeking *it, uint64_t number)
{
    weft_search_run *run = it->run;
    int32_t most = run->state.cap / run->state.ranks[0].count;
    if (run->rounds % 2 == 0 && number < FIRST_RULES)
        begin(it, first_rules[number], 1);
    else if (number == 0)
        begin(it, first_rules[draw(it, FIRST_RULES)], 1 + draw(it, most < run->state.M ? most : run->state.M));
    else
        change(it);
    double value = weft_search_list_run(&it->list, &it->next);
    run->work += (uint64_t)run->order.count;
    if (value > it->value) return;
    weft_search_rule kept = it->best;
    it->best = it->next;
    it->next = kept;
    it->value = value;
    memcpy(run->sequence, it->list.sequence, (size_t)run->order.count * sizeof *run->sequence);
}

weft_status weft_search_seek(weft_search_run *run, uint64_t rules, weft_error *error)
{
    weft_random_key key = weft_random_key_make(run->problem->seed, "seek");
    seeking it = {.run = run, .key = key, .drawn = run->rounds << 32, .value = INFINITY};
    weft_status status = init(&it, error);
    for (uint64_t i = 0; i < rules && status == WEFT_OK && (i == 0 || !weft_search_run_out(run)); i++) try_rule(&it, i);
    if (status == WEFT_OK && weft_search_order_take(&run->order, run->sequence)) weft_search_run_offer(run);
    fini(&it);
    return status;
}
