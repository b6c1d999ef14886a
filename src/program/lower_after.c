/* Edges to the `after` lists of a program. */
#include "program/lower.h"

weft_status weft_edges_add(weft_edges *edges, uint32_t from, uint32_t to, weft_error *error)
{
    if (edges->count == UINT32_MAX) FAIL(error, WEFT_INVALID, "the program has too many dependencies");
    TRY(weft_grow(&edges->rows, &edges->capacity, edges->count + 1, sizeof *edges->rows, error));
    edges->rows[edges->count++] = (weft_edge){from, to};
    return WEFT_OK;
}

/* Groups the edges by `to`, keeping their order. */
static void group(weft_program *program, const weft_edges *edges)
{
    uint32_t *first = program->after_first;
    for (uint32_t a = 0; a <= program->action_count; a++) first[a] = 0;
    for (size_t i = 0; i < edges->count; i++) first[edges->rows[i].to]++;
    uint32_t sum = 0;
    for (uint32_t a = 0; a <= program->action_count; a++) {
        sum += first[a]; /* the end of the group: filling from the back moves it to the beginning */
        first[a] = sum;
    }
    for (size_t i = edges->count; i-- > 0;) program->after[--first[edges->rows[i].to]] = edges->rows[i].from;
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

/* One lane: keeps an edge only where it asks for more than the lane has waited for. seen: (lanes of the rank). */
static uint32_t compact_lane(weft_program *program, int32_t lane, uint32_t *seen, uint32_t kept)
{
    const weft_lane *row = &program->lanes[lane];
    int32_t first_lane = program->rank_lanes[row->rank], end_lane = program->rank_lanes[row->rank + 1];
    for (int32_t i = 0; i < end_lane - first_lane; i++) seen[i] = 0;
    for (uint32_t a = row->first; a < row->first + row->count; a++) {
        uint32_t begin = program->after_first[a], end = program->after_first[a + 1];
        sort_descending(program->after + begin, end - begin);
        program->after_first[a] = kept;
        for (uint32_t i = begin; i < end; i++) {
            uint32_t from = program->after[i];
            uint32_t *mark = &seen[weft_program_lane(program, row->rank, from) - first_lane];
            if (from < *mark) continue;
            *mark = from + 1;
            program->after[kept++] = from;
        }
    }
    return kept;
}

weft_status weft_lower_after(weft_program *program, const weft_edges *edges, weft_error *error)
{
    weft_free(program->after);
    program->after = NULL;
    TRY(weft_allocate(edges->count, sizeof *program->after, &program->after, error));
    if (!program->after_first)
        TRY(weft_allocate((size_t)program->action_count + 1, sizeof *program->after_first, &program->after_first,
                          error));
    group(program, edges);
    uint32_t *seen = NULL, kept = 0;
    int32_t lanes = program->rank_lanes[program->ranks];
    TRY(weft_allocate((size_t)lanes, sizeof *seen, &seen, error));
    for (int32_t lane = 0; lane < lanes; lane++) kept = compact_lane(program, lane, seen, kept);
    program->after_first[program->action_count] = kept;
    weft_free(seen);
    return WEFT_OK;
}
