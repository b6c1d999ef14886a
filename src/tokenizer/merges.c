#include "tokenizer/merges.h"

#include <string.h>

/* Up to so many symbols, looking at all pairs again after each merge takes less time than a heap. */
enum { SHORT_WORD = 32 };

struct weft_merge_wish {
    int32_t rank, at; /* the place of the left symbol */
    int32_t left, right;
    int32_t id;
};

typedef struct weft_merge_wish wish;

void weft_merges_fini(weft_merges *merges)
{
    weft_free(merges->slots);
    *merges = (weft_merges){0};
}

void weft_merge_scratch_fini(weft_merge_scratch *scratch)
{
    weft_free(scratch->next);
    weft_free(scratch->previous);
    weft_free(scratch->heap);
    *scratch = (weft_merge_scratch){0};
}

/* The slot of the pair, or the empty one where it belongs. */
static weft_merge *find_slot(const weft_merges *merges, int32_t left, int32_t right)
{
    size_t mask = merges->slot_count - 1;
    uint64_t mixed = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    for (size_t at = (mixed ^ mixed >> 32) & mask;; at = (at + 1) & mask) {
        weft_merge *slot = &merges->slots[at];
        if ((slot->left == left && slot->right == right) || slot->left < 0) return slot;
    }
}

static const weft_merge *find_merge(const weft_merges *merges, int32_t left, int32_t right)
{
    if ((left | right) < 0) return NULL;
    const weft_merge *slot = find_slot(merges, left, right);
    return slot->left < 0 ? NULL : slot;
}

/* At most half of the slots are filled. */
static weft_status make_slots(weft_merges *merges, weft_error *error)
{
    if (2 * (merges->filled + 1) <= merges->slot_count) return WEFT_OK;
    weft_merges larger = {.slot_count = merges->slot_count ? 2 * merges->slot_count : 1024, .filled = merges->filled};
    TRY(weft_allocate(larger.slot_count, sizeof *larger.slots, &larger.slots, error));
    for (size_t i = 0; i < larger.slot_count; i++) larger.slots[i].left = -1;
    for (size_t i = 0; i < merges->slot_count; i++) {
        const weft_merge *old = &merges->slots[i];
        if (old->left >= 0) *find_slot(&larger, old->left, old->right) = *old;
    }
    weft_free(merges->slots);
    *merges = larger;
    return WEFT_OK;
}

weft_status weft_merges_add(weft_merges *merges, weft_merge merge, weft_error *error)
{
    TRY(make_slots(merges, error));
    weft_merge *slot = find_slot(merges, merge.left, merge.right);
    if (slot->left < 0) merges->filled++;
    *slot = merge;
    return WEFT_OK;
}

static void look_up(const weft_merges *merges, const int32_t *symbols, size_t at, int32_t *rank, int32_t *id)
{
    const weft_merge *merge = find_merge(merges, symbols[at], symbols[at + 1]);
    *rank = merge ? merge->rank : INT32_MAX;
    *id = merge ? merge->id : -1;
}

static size_t apply_short(const weft_merges *merges, int32_t *symbols, size_t count)
{
    int32_t ranks[SHORT_WORD], ids[SHORT_WORD];
    for (size_t i = 0; i + 1 < count; i++) look_up(merges, symbols, i, &ranks[i], &ids[i]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ids[best] < 0) break;
        symbols[best] = ids[best];
        size_t behind = count - best - 2;
        memmove(symbols + best + 1, symbols + best + 2, behind * sizeof *symbols);
        memmove(ranks + best, ranks + best + 1, behind * sizeof *ranks);
        memmove(ids + best, ids + best + 1, behind * sizeof *ids);
        count--;
        if (best > 0) look_up(merges, symbols, best - 1, &ranks[best - 1], &ids[best - 1]);
        if (best + 1 < count) look_up(merges, symbols, best, &ranks[best], &ids[best]);
    }
    return count;
}

static bool comes_before(const wish *a, const wish *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* There is room: a word of n symbols makes fewer than 3 n wishes. */
static void push(weft_merge_scratch *scratch, wish made)
{
    size_t at = scratch->wishes++;
    for (; at > 0 && comes_before(&made, &scratch->heap[(at - 1) / 2]); at = (at - 1) / 2)
        scratch->heap[at] = scratch->heap[(at - 1) / 2];
    scratch->heap[at] = made;
}

static wish pop(weft_merge_scratch *scratch)
{
    wish first = scratch->heap[0], last = scratch->heap[--scratch->wishes];
    size_t at = 0, count = scratch->wishes;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && comes_before(&scratch->heap[child + 1], &scratch->heap[child])) child++;
        if (!comes_before(&scratch->heap[child], &last)) break;
        scratch->heap[at] = scratch->heap[child];
    }
    scratch->heap[at] = last;
    return first;
}

static void wish_for(const weft_merges *merges, weft_merge_scratch *scratch, const int32_t *symbols, int32_t at)
{
    if (at < 0 || scratch->next[at] < 0) return;
    const weft_merge *merge = find_merge(merges, symbols[at], symbols[scratch->next[at]]);
    if (!merge) return;
    push(scratch, (wish){.rank = merge->rank, .at = at, .left = merge->left, .right = merge->right, .id = merge->id});
}

/* Symbols that were merged into the one before them. */
enum { GONE = INT32_MIN };

static void grant(const weft_merges *merges, weft_merge_scratch *scratch, int32_t *symbols, const wish *granted)
{
    int32_t at = granted->at, next = scratch->next[at];
    if (symbols[at] != granted->left || next < 0 || symbols[next] != granted->right) return;
    symbols[at] = granted->id;
    symbols[next] = GONE;
    scratch->next[at] = scratch->next[next];
    if (scratch->next[at] >= 0) scratch->previous[scratch->next[at]] = at;
    wish_for(merges, scratch, symbols, scratch->previous[at]);
    wish_for(merges, scratch, symbols, at);
}

static weft_status apply_long(const weft_merges *merges, weft_merge_scratch *scratch, int32_t *symbols, size_t count,
                              size_t *out_count, weft_error *error)
{
    TRY(weft_grow(&scratch->next, &scratch->next_capacity, count, sizeof(int32_t), error));
    TRY(weft_grow(&scratch->previous, &scratch->previous_capacity, count, sizeof(int32_t), error));
    TRY(weft_grow(&scratch->heap, &scratch->heap_capacity, 3 * count, sizeof(wish), error));
    scratch->wishes = 0;
    for (size_t i = 0; i < count; i++) {
        scratch->previous[i] = (int32_t)i - 1;
        scratch->next[i] = i + 1 < count ? (int32_t)i + 1 : -1;
    }
    for (size_t i = 0; i < count; i++) wish_for(merges, scratch, symbols, (int32_t)i);
    while (scratch->wishes) {
        wish granted = pop(scratch);
        grant(merges, scratch, symbols, &granted);
    }
    *out_count = 0;
    for (size_t i = 0; i < count; i++)
        if (symbols[i] != GONE) symbols[(*out_count)++] = symbols[i];
    return WEFT_OK;
}

weft_status weft_merges_apply(const weft_merges *merges, weft_merge_scratch *scratch, int32_t *symbols, size_t count,
                              size_t *out_count, weft_error *error)
{
    *out_count = count;
    if (count < 2 || !merges->filled) return WEFT_OK;
    if (count > SHORT_WORD) return apply_long(merges, scratch, symbols, count, out_count, error);
    *out_count = apply_short(merges, symbols, count);
    return WEFT_OK;
}
