/* The `after` lists of a program: what the meaning of the actions implies, and what the reuse of buffers adds. */
#include "program/lower.h"

weft_status weft_edges_add(weft_edges *edges, uint32_t from, uint32_t to, weft_error *error)
{
    TRY(weft_grow(&edges->rows, &edges->capacity, edges->count + 1, sizeof *edges->rows, error));
    edges->rows[edges->count++] = (weft_edge){from, to};
    return WEFT_OK;
}

typedef struct lister {
    weft_program *program;
    const weft_index *index;
    uint32_t *reuse_first, *reuse; /* the edges of reuse by their `to`; NULL: there are none */
    uint32_t *seen;                /* (lanes of the rank) what the lane has waited for */
    uint32_t count;                /* of program->after */
} lister;

/* Groups the edges by `to`, keeping their order. */
static weft_status group(lister *l, const weft_edges *edges, weft_error *error)
{
    size_t actions = l->program->action_count;
    TRY(weft_allocate(actions + 1, sizeof *l->reuse_first, &l->reuse_first, error));
    TRY(weft_allocate(edges->count, sizeof *l->reuse, &l->reuse, error));
    uint32_t *first = l->reuse_first, sum = 0;
    for (size_t i = 0; i < edges->count; i++) first[edges->rows[i].to]++;
    for (size_t a = 0; a <= actions; a++) {
        sum += first[a]; /* the end of the group: filling from the back moves it to the beginning */
        first[a] = sum;
    }
    for (size_t i = edges->count; i-- > 0;) l->reuse[--first[edges->rows[i].to]] = edges->rows[i].from;
    return WEFT_OK;
}

/* At most so many: every message is waited for once, and its SEND waits once; passes wait for nothing else. */
static weft_status allocate(weft_program *program, size_t reuse, weft_error *error)
{
    uint64_t most = reuse + WEFT_NEEDS_LIMIT * (uint64_t)program->stages; /* of UPDATE */
    for (int32_t i = 0; i < program->rank_lanes[program->ranks]; i++) {
        const weft_lane *lane = &program->lanes[i];
        if (lane->match >= 0) most += lane->count;
        if (lane->kind == WEFT_PROGRAM_REDUCE) most += WEFT_NEEDS_LIMIT * (uint64_t)lane->count;
    }
    if (most > UINT32_MAX) FAIL(error, WEFT_INVALID, "the program has more than %u dependencies", UINT32_MAX);
    weft_free(program->after);
    program->after = NULL;
    TRY(weft_allocate((size_t)most, sizeof *program->after, &program->after, error));
    if (program->after_first) return WEFT_OK;
    return weft_allocate((size_t)program->action_count + 1, sizeof *program->after_first, &program->after_first, error);
}

/* Appends what the action needs on other lanes. */
static weft_status add_needs(lister *l, const weft_lane *row, uint32_t a, weft_error *error)
{
    const weft_program *program = l->program;
    char name[WEFT_ACTION_TEXT], other[WEFT_ACTION_TEXT];
    uint32_t needs[WEFT_NEEDS_LIMIT];
    int count = weft_index_needs(l->index, row->rank, a, needs);
    for (int i = 0; i < count; i++) {
        bool same = needs[i] - row->first < row->count;
        if (!same) program->after[l->count++] = needs[i];
        if (same && needs[i] > a)
            FAIL(error, WEFT_INVALID, "rank %d runs %s before %s, which it needs", row->rank,
                 weft_action_text(program->actions[a], name), weft_action_text(program->actions[needs[i]], other));
    }
    return WEFT_OK;
}

/* Latest first, so that the others of the same lane are seen to be implied. Lists are short. */
static void sort_descending(uint32_t *rows, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k > 0 && rows[k - 1] < rows[k]; k--) {
            uint32_t swap = rows[k];
            rows[k] = rows[k - 1];
            rows[k - 1] = swap;
        }
}

/* Keeps of the edges from `begin` on only those that ask for more than the lane has waited for. */
static void compact(lister *l, int32_t rank, uint32_t begin)
{
    const weft_program *program = l->program;
    uint32_t end = l->count;
    sort_descending(program->after + begin, end - begin);
    l->count = begin;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t from = program->after[i];
        uint32_t *mark = &l->seen[weft_program_lane(program, rank, from) - program->rank_lanes[rank]];
        if (from < *mark) continue;
        *mark = from + 1;
        program->after[l->count++] = from;
    }
}

static weft_status list_lane(lister *l, const weft_lane *row, weft_error *error)
{
    const weft_program *program = l->program;
    for (int32_t i = program->rank_lanes[row->rank + 1] - program->rank_lanes[row->rank]; i-- > 0;) l->seen[i] = 0;
    for (uint32_t a = row->first; a < row->first + row->count; a++) {
        uint32_t begin = program->after_first[a] = l->count;
        TRY(add_needs(l, row, a, error));
        for (uint32_t i = l->reuse ? l->reuse_first[a] : 0; l->reuse && i < l->reuse_first[a + 1]; i++)
            program->after[l->count++] = l->reuse[i];
        if (l->count > begin) compact(l, row->rank, begin);
    }
    return WEFT_OK;
}

weft_status weft_lower_after(weft_program *program, const weft_index *index, const weft_edges *reuse, weft_error *error)
{
    lister l = {.program = program, .index = index};
    int32_t lanes = program->rank_lanes[program->ranks];
    TRY(allocate(program, reuse->count, error));
    weft_status status = weft_allocate((size_t)lanes, sizeof *l.seen, &l.seen, error);
    if (status == WEFT_OK && reuse->count) status = group(&l, reuse, error);
    for (int32_t lane = 0; lane < lanes && status == WEFT_OK; lane++)
        status = list_lane(&l, &program->lanes[lane], error);
    program->after_first[program->action_count] = l.count;
    weft_free(l.reuse_first);
    weft_free(l.reuse);
    weft_free(l.seen);
    return status;
}
