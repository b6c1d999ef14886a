#include "plan/search.h"

#include "base/clock.h"
#include "base/random.h"
#include "plan/search_state.h"

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
 * and where backward passes are to be whole, they are searched alone.
 *
 * A probe asks whether there is an order that takes no longer than a limit, and looks at partial orders whose bound is
 * within it. An answer either way narrows what is known: the best so far, and the bound, which no order is below.
 */
typedef enum answer { ANSWER_NO, ANSWER_YES, ANSWER_NONE } answer;

enum {
    MOVES = PASSES * WEFT_SEARCH_LOCAL_LIMIT + 1,
    FIRST_BUDGET = 20000,
    DIVES = 200,
    DIVE_BUDGET = 400,
    CLOCK_EVERY = 256
};

typedef struct search {
    const weft_search_problem *problem;
    weft_search_result *result;
    weft_search_state state;
    weft_search_memo memo;
    weft_search_move *trail; /* (3 S M) passes from the beginning on, without waits */
    int32_t length;
    weft_schedule *order;     /* the last that a probe found */
    size_t *next;             /* (P) while the order is written */
    double limit, next_bound; /* of the probe; the least bound above the limit */
    uint64_t nodes, budget;   /* of the probe */
    uint64_t dives;           /* made so far */
    bool dives_now;           /* this probe is one */
    double stop;              /* clock */
} search;

static bool is_out(search *it)
{
    if (it->nodes >= it->budget) return true;
    if (it->nodes % CLOCK_EVERY == 0 && weft_clock_seconds() >= it->stop) it->budget = 0;
    it->nodes++;
    return false;
}

/* Small differences are rounding. */
static double slack(const search *it)
{
    return 2e-10 * it->result->step_time;
}

static double bound_behind(search *it, const weft_search_move *move, double time)
{
    weft_search_undo undo;
    int32_t rank;
    weft_search_apply(&it->state, move, time, &undo);
    double next = weft_search_next(&it->state, &rank), bound = INFINITY;
    if (it->state.left == 0 || next < INFINITY) bound = weft_search_bound(&it->state, it->state.left ? next : 0);
    weft_search_take_back(&it->state, move, &undo);
    return bound;
}

/* The most promising first; of equal ones what has the longest way to go; waiting last. */
static int compare_moves(const search *it, const weft_search_move *a, const weft_search_move *b)
{
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    if (a->stage < 0 || b->stage < 0) return a->stage < 0 ? 1 : -1;
    const weft_search_state *state = &it->state;
    double tail_a = state->tail[a->pass][weft_search_at(state, a->stage, state->done[a->pass][a->stage])];
    double tail_b = state->tail[b->pass][weft_search_at(state, b->stage, state->done[b->pass][b->stage])];
    return (tail_a < tail_b) - (tail_a > tail_b);
}

static void sort_moves(const search *it, weft_search_move *moves, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        weft_search_move move = moves[i];
        int32_t k = i;
        for (; k > 0 && compare_moves(it, &move, &moves[k - 1]) < 0; k--) moves[k] = moves[k - 1];
        moves[k] = move;
    }
}

/* Now and then another move comes first; how often differs from dive to dive. */
static void shuffle(const search *it, weft_search_move *moves, int32_t count)
{
    weft_random_key key = weft_random_key_make(it->dives, "dive");
    uint64_t bits = weft_random_bits(key, (uint64_t)it->state.left), seldom = 2 + it->dives % 16;
    if (count < 2 || (bits & 0xffff) % seldom) return;
    int32_t other = 1 + (int32_t)((bits >> 16) % (uint64_t)(count - 1));
    weft_search_move move = moves[0];
    moves[0] = moves[other];
    moves[other] = move;
}

/* The moves whose bounds are within the limit, sorted; the others count for next_bound. */
static int32_t choose_moves(search *it, int32_t rank, double time, weft_search_move *moves)
{
    int32_t count = weft_search_moves(&it->state, rank, time, moves), kept = 0;
    for (int32_t i = 0; i < count; i++) {
        moves[i].bound = bound_behind(it, &moves[i], time);
        if (moves[i].bound <= it->limit)
            moves[kept++] = moves[i];
        else if (moves[i].bound < it->next_bound)
            it->next_bound = moves[i].bound;
    }
    sort_moves(it, moves, kept);
    if (it->dives_now) shuffle(it, moves, kept);
    return kept;
}

static void keep_order(search *it)
{
    static const weft_action_kind kinds[] = {WEFT_F, WEFT_I, WEFT_W};
    weft_schedule *order = it->order;
    memcpy(it->next, order->first, (size_t)order->ranks * sizeof *it->next);
    for (int32_t i = 0; i < it->length; i++) {
        weft_search_move move = it->trail[i];
        weft_action_kind kind = it->problem->whole && move.pass == PASS_I ? WEFT_B : kinds[move.pass];
        order->actions[it->next[move.rank]++] = (weft_action){.kind = kind,
                                                              .stage = (uint32_t)move.stage & (WEFT_STAGES_LIMIT - 1),
                                                              .microbatch = (uint32_t)move.microbatch};
    }
}

/* Ends where it began, whatever the answer. A rank that decides to wait changes nothing but what it may do next: the
 * state would be covered by the one before, of whose search it is a part. */
static answer descend(search *it, bool waited)
{
    int32_t rank;
    weft_search_move moves[MOVES];
    if (it->state.left == 0) {
        keep_order(it);
        return ANSWER_YES;
    }
    if (is_out(it)) return ANSWER_NONE;
    double time = weft_search_next(&it->state, &rank);
    if (!waited && weft_search_memo_covers(&it->memo, &it->state)) return ANSWER_NO;
    int32_t count = choose_moves(it, rank, time, moves);
    for (int32_t i = 0; i < count; i++) {
        weft_search_undo undo;
        weft_search_apply(&it->state, &moves[i], time, &undo);
        if (moves[i].stage >= 0) it->trail[it->length++] = moves[i];
        answer found = descend(it, moves[i].stage < 0);
        if (moves[i].stage >= 0) it->length--;
        weft_search_take_back(&it->state, &moves[i], &undo);
        if (found != ANSWER_NO) return found;
    }
    return ANSWER_NO;
}

static answer probe(search *it, double limit, uint64_t budget)
{
    it->limit = limit + slack(it);
    it->next_bound = INFINITY;
    it->nodes = 0;
    it->budget = budget;
    weft_search_memo_clear(&it->memo);
    answer found = descend(it, false);
    it->result->nodes += it->nodes;
    return found;
}

static weft_status simulate(const weft_search_problem *problem, const weft_schedule *schedule, double *out_step,
                            int64_t *out_held, weft_error *error)
{
    weft_program *program = NULL;
    weft_timeline timeline = {0};
    weft_bubble_rank *ranks = NULL;
    double bubble;
    weft_status status = weft_program_create(schedule, &(weft_lower_options){0}, &program, error);
    if (status == WEFT_OK) status = weft_timeline_init(&timeline, program, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)problem->ranks, sizeof *ranks, &ranks, error);
    if (status == WEFT_OK) status = weft_simulate(program, problem->costs, &timeline, error);
    if (status == WEFT_OK) weft_bubble_measure(&timeline, out_step, &bubble, ranks);
    *out_held = 0;
    for (int32_t r = 0; status == WEFT_OK && r < problem->ranks; r++)
        if (ranks[r].peak_activations > *out_held) *out_held = ranks[r].peak_activations;
    weft_free(ranks);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    return status;
}

/* Swaps in a schedule that is better. */
static void offer(search *it, weft_schedule **schedule, double step)
{
    if (it->result->schedule && step >= it->result->step_time) return;
    weft_schedule *kept = it->result->schedule;
    it->result->schedule = *schedule;
    it->result->step_time = step;
    *schedule = kept;
}

static bool splits(const weft_schedule *schedule)
{
    for (size_t i = 0; i < schedule->first[schedule->ranks]; i++)
        if (schedule->actions[i].kind == WEFT_I) return true;
    return false;
}

static weft_status try_kind(search *it, const char *kind, weft_error *error)
{
    const weft_search_problem *problem = it->problem;
    int32_t loops = problem->stages % problem->ranks ? 0 : problem->stages / problem->ranks;
    weft_schedule_options options = {.kind = kind,
                                     .ranks = problem->ranks,
                                     .loops = loops,
                                     .microbatches = problem->microbatches,
                                     .placement = problem->placement};
    weft_schedule *schedule = NULL;
    weft_search_row row = {.kind = kind};
    weft_status status = weft_schedule_create(&options, &schedule, error);
    if (status == WEFT_INVALID) return WEFT_OK; /* it does not go with the placement or the sizes */
    if (status == WEFT_OK && !(problem->whole && splits(schedule))) {
        status = simulate(problem, schedule, &row.step_time, &row.held, error);
        if (status == WEFT_OK && row.held <= it->state.cap) {
            it->result->rows[it->result->row_count++] = row;
            offer(it, &schedule, row.step_time);
        }
    }
    weft_schedule_destroy(schedule);
    return status;
}

static int compare_rows(const void *a_pointer, const void *b_pointer)
{
    const weft_search_row *a = a_pointer, *b = b_pointer;
    if (a->step_time != b->step_time) return a->step_time < b->step_time ? -1 : 1;
    return strcmp(a->kind, b->kind);
}

static weft_status try_kinds(search *it, weft_error *error)
{
    const char *const *names = weft_schedule_kind_names();
    size_t count = 0;
    while (names[count]) count++;
    TRY(weft_allocate(count, sizeof *it->result->rows, &it->result->rows, error));
    for (size_t i = 0; i < count; i++) TRY(try_kind(it, names[i], error));
    qsort(it->result->rows, (size_t)it->result->row_count, sizeof *it->result->rows, compare_rows);
    return WEFT_OK;
}

/* An empty schedule with room for an order. */
static weft_status make_order(search *it, weft_error *error)
{
    const weft_search_state *state = &it->state;
    size_t P = (size_t)state->P, S = (size_t)state->S;
    TRY(weft_allocate(1, sizeof *it->order, &it->order, error));
    weft_schedule *order = it->order;
    *order = (weft_schedule){.ranks = state->P,
                             .stages = state->S,
                             .loops = state->S % state->P ? 0 : state->S / state->P,
                             .microbatches = state->M,
                             .ascending = true};
    snprintf(order->name, sizeof order->name, "search");
    TRY(weft_allocate(S, sizeof *order->stage_rank, &order->stage_rank, error));
    TRY(weft_allocate(P + 1, sizeof *order->first, &order->first, error));
    TRY(weft_allocate((size_t)state->left, sizeof *order->actions, &order->actions, error));
    memcpy(order->stage_rank, state->stage_rank, S * sizeof *order->stage_rank);
    for (size_t r = 0; r < P; r++)
        order->first[r + 1] = order->first[r] + (size_t)(state->ranks[r].count * state->M * state->passes);
    return WEFT_OK;
}

/* The schedule that a probe found becomes the best. */
static weft_status take_order(search *it, weft_error *error)
{
    int64_t held;
    weft_schedule_destroy(it->result->schedule);
    it->result->schedule = it->order;
    it->order = NULL;
    TRY(simulate(it->problem, it->result->schedule, &it->result->step_time, &held, error));
    return make_order(it, error);
}

/* Uses what a probe says. */
static weft_status learn(search *it, answer found, weft_error *error)
{
    weft_search_result *result = it->result;
    if (found == ANSWER_YES) TRY(take_order(it, error));
    if (found == ANSWER_NO) result->bound = it->next_bound < result->step_time ? it->next_bound : result->step_time;
    return WEFT_OK;
}

static bool is_done(const search *it)
{
    return it->result->step_time - it->result->bound <= 5 * slack(it) || weft_clock_seconds() >= it->stop;
}

/* Many short looks for an order that is better than the best so far, each in another part of what there is: whoever
 * goes through it in order stays for long where nothing is to be found. */
static weft_status dive(search *it, answer *out, weft_error *error)
{
    it->dives_now = true;
    for (int i = 0; i < DIVES && *out == ANSWER_NONE && !is_done(it); i++) {
        it->dives++;
        *out = probe(it, it->result->step_time - 3 * slack(it), DIVE_BUDGET);
    }
    it->dives_now = false;
    return learn(it, *out, error);
}

/* Limits at the bound, half way and just below the best so far; more work for each when none gives an answer. */
static weft_status refine(search *it, weft_error *error)
{
    for (uint64_t budget = FIRST_BUDGET; !is_done(it);) {
        answer found = ANSWER_NONE;
        for (int i = 0; i < 3 && found == ANSWER_NONE && !is_done(it); i++) {
            double low = it->result->bound, high = it->result->step_time - 3 * slack(it);
            double limit = i == 0 ? low : i == 1 ? (low + high) / 2 : high;
            found = probe(it, limit, budget);
            TRY(learn(it, found, error));
        }
        if (found == ANSWER_NONE) TRY(dive(it, &found, error));
        if (found == ANSWER_NONE) budget *= 4;
    }
    return WEFT_OK;
}

static weft_status run(search *it, weft_error *error)
{
    size_t P = (size_t)it->problem->ranks;
    TRY(weft_search_state_init(&it->state, it->problem, error));
    TRY(weft_search_memo_init(&it->memo, error));
    TRY(weft_allocate((size_t)it->state.left, sizeof *it->trail, &it->trail, error));
    TRY(weft_allocate(P, sizeof *it->next, &it->next, error));
    TRY(make_order(it, error));
    TRY(try_kinds(it, error));
    it->result->bound = weft_search_bound(&it->state, 0);
    TRY(refine(it, error));
    it->result->optimal = it->result->step_time - it->result->bound <= 5 * slack(it);
    if (it->result->optimal) it->result->bound = it->result->step_time;
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
    return WEFT_OK;
}

weft_status weft_search(const weft_search_problem *problem, weft_search_result *out, weft_error *error)
{
    *out = (weft_search_result){0};
    TRY(check(problem, error));
    search it = {.problem = problem, .result = out, .stop = weft_clock_seconds() + problem->seconds};
    weft_status status = run(&it, error);
    weft_search_state_fini(&it.state);
    weft_search_memo_fini(&it.memo);
    weft_free(it.trail);
    weft_free(it.next);
    weft_schedule_destroy(it.order);
    if (status != WEFT_OK) weft_search_result_fini(out);
    return status;
}

void weft_search_result_fini(weft_search_result *result)
{
    weft_schedule_destroy(result->schedule);
    weft_free(result->rows);
    *result = (weft_search_result){0};
}
