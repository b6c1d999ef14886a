#include "program/paging.h"

#include <stdlib.h>

typedef struct paging {
    const int32_t *stages;
    const bool *together;
    uint32_t count;
    uint32_t *next;     /* (count) the next use of the same stage; count: none */
    int64_t *resident;  /* (stages) its stay, or -1 */
    uint32_t *occupant; /* (buffers) the stay that is there */
    int32_t buffers, used;
    weft_paging_stay *stays;
    size_t stay_count, capacity;
} paging;

static void find_next(paging *p, uint32_t *latest, int32_t stage_count)
{
    for (int32_t s = 0; s < stage_count; s++) latest[s] = p->count;
    for (uint32_t use = p->count; use-- > 0;) {
        p->next[use] = latest[p->stages[use]];
        latest[p->stages[use]] = use;
    }
}

/* The buffer that a new stage gets. */
static int32_t choose(paging *p, uint32_t use)
{
    if (p->used < p->buffers) return p->used++;
    int64_t kept = p->together && p->together[use] ? p->resident[p->stages[use - 1]] : -1;
    int32_t best = kept == (int64_t)p->occupant[0] && p->buffers > 1 ? 1 : 0;
    for (int32_t buffer = best + 1; buffer < p->buffers; buffer++) {
        if (kept == (int64_t)p->occupant[buffer]) continue;
        uint32_t last = p->stays[p->occupant[buffer]].last, best_last = p->stays[p->occupant[best]].last;
        if (p->next[last] > p->next[best_last] || (p->next[last] == p->next[best_last] && last < best_last))
            best = buffer;
    }
    return best;
}

static weft_status load(paging *p, uint32_t use, weft_error *error)
{
    TRY(weft_grow(&p->stays, &p->capacity, p->stay_count + 1, sizeof *p->stays, error));
    bool fresh = p->used < p->buffers;
    int32_t buffer = choose(p, use);
    weft_paging_stay stay = {
        .stage = p->stages[use], .buffer = buffer, .first = use, .last = use, .before = -1, .then = -1};
    if (!fresh) {
        weft_paging_stay *old = &p->stays[p->occupant[buffer]];
        stay.before = old->last;
        old->then = use;
        p->resident[old->stage] = -1;
    }
    p->occupant[buffer] = (uint32_t)p->stay_count;
    p->resident[stay.stage] = (int64_t)p->stay_count;
    p->stays[p->stay_count++] = stay;
    return WEFT_OK;
}

static weft_status plan(paging *p, int32_t stage_count, weft_error *error)
{
    TRY(weft_allocate((size_t)stage_count, sizeof *p->occupant, &p->occupant, error));
    TRY(weft_allocate((size_t)stage_count, sizeof *p->resident, &p->resident, error));
    TRY(weft_allocate(p->count, sizeof *p->next, &p->next, error));
    find_next(p, p->occupant, stage_count);
    for (int32_t s = 0; s < stage_count; s++) p->resident[s] = -1;
    for (uint32_t use = 0; use < p->count; use++) {
        int64_t stay = p->resident[p->stages[use]];
        if (stay < 0)
            TRY(load(p, use, error));
        else
            p->stays[stay].last = use;
    }
    return WEFT_OK;
}

static int compare(const void *left, const void *right)
{
    const weft_paging_stay *a = left, *b = right;
    if (a->before != b->before) return a->before < b->before ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

weft_status weft_paging_plan(const int32_t *stages, const bool *together, uint32_t count, int32_t stage_count,
                             int32_t buffers, weft_paging_stay **out, uint32_t *out_count, weft_error *error)
{
    *out = NULL;
    *out_count = 0;
    if (count == 0) return WEFT_OK;
    paging p = {.stages = stages,
                .together = together,
                .count = count,
                .buffers = buffers < stage_count ? buffers : stage_count};
    weft_status status = plan(&p, stage_count, error);
    weft_free(p.occupant);
    weft_free(p.resident);
    weft_free(p.next);
    if (status != WEFT_OK) {
        weft_free(p.stays);
        return status;
    }
    qsort(p.stays, p.stay_count, sizeof *p.stays, compare);
    *out = p.stays;
    *out_count = (uint32_t)p.stay_count;
    return WEFT_OK;
}
