/* A program with numbers replaced: verification reads nothing that is not there, and what it accepts runs, by brute
 * force too. */
#include "../program/oracle.h"
#include "made.h"

#include <string.h>

enum { MOST_EDITS = 6, RUNS = 2 };

static int32_t *rows_of(weft_program *p, uint32_t which, size_t *out_count)
{
    size_t lanes = (size_t)p->rank_lanes[p->ranks] * (sizeof *p->lanes / sizeof(int32_t));
    size_t cells = (size_t)WEFT_SLOT_KINDS * (size_t)p->stages * (size_t)p->microbatches;
    struct {
        void *rows;
        size_t count;
    } arrays[] = {{p->stage_rank, (size_t)p->stages},
                  {p->lanes, lanes},
                  {p->rank_lanes, (size_t)p->ranks},
                  {p->actions, 2 * (size_t)p->action_count},
                  {p->after_first, p->action_count}, /* its last number, and that of rank_lanes, are lengths */
                  {p->after, p->after_first[p->action_count]},
                  {p->slots, p->slots ? cells : 0},
                  {p->buffers, p->slots ? (size_t)p->buffer_count * sizeof *p->buffers / sizeof(int32_t) : 0}};
    *out_count = arrays[which].count;
    return arrays[which].rows;
}

/* A number gets the value of another one of its array, is a little more or less, or is any. */
static void edit(weft_program *p, fuzz_source *from)
{
    size_t count = 0;
    int32_t *rows = rows_of(p, fuzz_below(from, 8), &count);
    uint32_t at = fuzz_below(from, 4096), how = fuzz_below(from, 4), value = fuzz_below(from, 65536);
    if (count == 0) return;
    int32_t *number = &rows[at % count];
    if (how == 0) *number = rows[value % count];
    if (how == 1) *number = (int32_t)((uint32_t)*number + value % 7 - 3);
    if (how == 2) *number = (int32_t)value - 32768;
    if (how == 3) *number ^= (int32_t)(1u << value % 32);
}

static bool contains(const weft_program *p, weft_action_kind kind)
{
    for (uint32_t a = 0; a < p->action_count; a++)
        if (p->actions[a].kind == (uint32_t)kind) return true;
    return false;
}

static void check_accepted(made *it)
{
    const weft_program *p = it->program;
    expectation expected = {contains(p, WEFT_UPDATE), contains(p, WEFT_NORM), contains(p, WEFT_REDUCE_TIED),
                            contains(p, WEFT_METRICS)};
    weft_timeline timeline;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_timeline_init(&timeline, p, &error) == WEFT_OK, error.text);
    fuzz_check(weft_simulate(p, &it->costs, &timeline, &error) == WEFT_OK, error.text);
    weft_timeline_fini(&timeline);
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        const char *complaint = oracle_run(p, &expected, seed);
        fuzz_check(!complaint, complaint ? complaint : "");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    uint32_t edits = 1 + fuzz_below(&from, MOST_EDITS);
    made it;
    if (made_init(&it, &(made_limits){3, 2, 3}, &from)) {
        weft_error error;
        weft_error_clear(&error);
        for (uint32_t i = 0; i < edits; i++) edit(it.program, &from);
        weft_status status = weft_program_verify(it.program, &error);
        fuzz_check_refusal(status, &error);
        if (status == WEFT_OK) check_accepted(&it);
    }
    made_fini(&it);
    return 0;
}
