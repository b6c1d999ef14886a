#include "plan/kept.h"

#include <stdlib.h>
#include <string.h>

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_layouts(const weft_plan_layout *a, const weft_plan_layout *b)
{
    const int64_t left[] = {a->tensor, a->pipeline, a->loops,     a->data,  a->context,          a->micro_batch,
                            a->kind,   a->rounds,   a->recompute, a->shard, a->sequence_parallel};
    const int64_t right[] = {b->tensor, b->pipeline, b->loops,     b->data,  b->context,          b->micro_batch,
                             b->kind,   b->rounds,   b->recompute, b->shard, b->sequence_parallel};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i] != right[i]) return compare_numbers(left[i], right[i]);
    return 0;
}

int weft_plan_candidate_compare(const void *left, const void *right)
{
    const weft_plan_candidate *a = left, *b = right;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    if (a->memory != b->memory) return a->memory < b->memory ? -1 : 1;
    return compare_layouts(&a->layout, &b->layout);
}

weft_status weft_plan_kept_init(weft_plan_kept *kept, size_t top, weft_error *error)
{
    *kept = (weft_plan_kept){.top = top};
    return weft_allocate(top, sizeof *kept->fastest, &kept->fastest, error);
}

void weft_plan_kept_fini(weft_plan_kept *kept)
{
    weft_free(kept->fastest);
    weft_free(kept->front);
    *kept = (weft_plan_kept){0};
}

static void swap(weft_plan_candidate *a, weft_plan_candidate *b)
{
    weft_plan_candidate other = *a;
    *a = *b;
    *b = other;
}

static void sink(weft_plan_kept *kept)
{
    size_t at = 0;
    for (;;) {
        size_t worst = at, child = 2 * at + 1;
        for (size_t i = child; i < child + 2 && i < kept->count; i++)
            if (weft_plan_candidate_compare(&kept->fastest[i], &kept->fastest[worst]) > 0) worst = i;
        if (worst == at) return;
        swap(&kept->fastest[at], &kept->fastest[worst]);
        at = worst;
    }
}

static void rise(weft_plan_kept *kept)
{
    size_t at = kept->count - 1;
    while (at > 0) {
        size_t above = (at - 1) / 2;
        if (weft_plan_candidate_compare(&kept->fastest[at], &kept->fastest[above]) <= 0) return;
        swap(&kept->fastest[at], &kept->fastest[above]);
        at = above;
    }
}

static void offer_fastest(weft_plan_kept *kept, const weft_plan_candidate *candidate)
{
    if (kept->count < kept->top) {
        kept->fastest[kept->count++] = *candidate;
        rise(kept);
    } else if (kept->top > 0 && weft_plan_candidate_compare(candidate, &kept->fastest[0]) < 0) {
        kept->fastest[0] = *candidate;
        sink(kept);
    }
}

/* How many of the front are faster. */
static size_t place_on_front(const weft_plan_kept *kept, const weft_plan_candidate *candidate)
{
    size_t low = 0, high = kept->front_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (weft_plan_candidate_compare(&kept->front[middle], candidate) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static weft_status offer_front(weft_plan_kept *kept, const weft_plan_candidate *candidate, weft_error *error)
{
    size_t at = place_on_front(kept, candidate), end = at;
    if (at > 0 && kept->front[at - 1].memory <= candidate->memory) return WEFT_OK;
    while (end < kept->front_count && kept->front[end].memory >= candidate->memory) end++;
    TRY(weft_grow(&kept->front, &kept->front_capacity, kept->front_count + 1, sizeof *kept->front, error));
    memmove(kept->front + at + 1, kept->front + end, (kept->front_count - end) * sizeof *kept->front);
    kept->front[at] = *candidate;
    kept->front_count = kept->front_count - (end - at) + 1;
    return WEFT_OK;
}

static void offer_one(weft_plan_candidate *best, const weft_plan_candidate *candidate)
{
    if (best->step == 0 || weft_plan_candidate_compare(candidate, best) < 0) *best = *candidate;
}

static bool is_slower(const weft_plan_candidate *best, double step)
{
    return best->step > 0 && step > best->step;
}

bool weft_plan_kept_wants(const weft_plan_kept *kept, weft_plan_kind kind, weft_shard shard, double step, double memory)
{
    bool slow = kept->count == kept->top && (kept->top == 0 || step > kept->fastest[0].step);
    if (!slow || !is_slower(&kept->kinds[kind], step) || !is_slower(&kept->shards[shard], step)) return true;
    size_t low = 0, high = kept->front_count; /* what of the front is no slower: its last needs least memory */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kept->front[middle].step <= step)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 || kept->front[low - 1].memory > memory;
}

weft_status weft_plan_kept_offer(weft_plan_kept *kept, const weft_plan_candidate *candidate, weft_error *error)
{
    offer_fastest(kept, candidate);
    offer_one(&kept->kinds[candidate->layout.kind], candidate);
    offer_one(&kept->shards[candidate->layout.shard], candidate);
    return offer_front(kept, candidate, error);
}

static size_t append(weft_plan_candidate *out, size_t count, const weft_plan_candidate *rows, size_t more)
{
    for (size_t i = 0; i < more; i++)
        if (rows[i].step > 0) out[count++] = rows[i];
    return count;
}

weft_status weft_plan_kept_list(const weft_plan_kept *kept, weft_plan_candidate **out, size_t *out_count,
                                weft_error *error)
{
    weft_plan_candidate *all = NULL;
    size_t count = 0, kinds = WEFT_PLAN_KINDS, shards = WEFT_SHARDS, unique = 0;
    *out = NULL;
    *out_count = 0;
    TRY(weft_allocate(kept->count + kept->front_count + kinds + shards, sizeof *all, &all, error));
    count = append(all, count, kept->fastest, kept->count);
    count = append(all, count, kept->front, kept->front_count);
    count = append(all, count, kept->kinds, kinds);
    count = append(all, count, kept->shards, shards);
    if (count) qsort(all, count, sizeof *all, weft_plan_candidate_compare);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || weft_plan_candidate_compare(&all[unique - 1], &all[i]) != 0) all[unique++] = all[i];
    *out = all;
    *out_count = unique;
    return WEFT_OK;
}
