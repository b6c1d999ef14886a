#include "mutate.h"

#include <stdlib.h>
#include <string.h>

static void *copy(const void *from, size_t count, size_t size, size_t spare)
{
    void *out = NULL;
    if (!from) return NULL;
    if (weft_allocate(count + spare, size, &out, NULL) != WEFT_OK) abort();
    memcpy(out, from, count * size);
    return out;
}

/* With room for one more action and as many more edges as it may have. */
static weft_program *copy_program(const weft_program *p)
{
    weft_program *out = copy(p, 1, sizeof *p, 0);
    size_t lanes = (size_t)p->rank_lanes[p->ranks], edges = p->after_first[p->action_count];
    size_t cells = (size_t)WEFT_SLOT_KINDS * (size_t)p->stages * (size_t)p->microbatches;
    out->stage_rank = copy(p->stage_rank, (size_t)p->stages, sizeof *p->stage_rank, 0);
    out->lanes = copy(p->lanes, lanes, sizeof *p->lanes, 0);
    out->rank_lanes = copy(p->rank_lanes, (size_t)p->ranks + 1, sizeof *p->rank_lanes, 0);
    out->actions = copy(p->actions, p->action_count, sizeof *p->actions, 1);
    out->after_first = copy(p->after_first, (size_t)p->action_count + 1, sizeof *p->after_first, 1);
    out->after = copy(p->after, edges, sizeof *p->after, edges + 1);
    out->pages = copy(p->pages, p->action_count, sizeof *p->pages, 1);
    out->buffers = copy(p->buffers, (size_t)p->buffer_count, sizeof *p->buffers, 0);
    out->slots = copy(p->slots, cells, sizeof *p->slots, 0);
    out->arena_bytes = copy(p->arena_bytes, (size_t)p->ranks, sizeof *p->arena_bytes, 0);
    return out;
}

static uint32_t lane_of(const weft_program *p, uint32_t action)
{
    uint32_t lane = 0;
    while (action >= p->lanes[lane].first + p->lanes[lane].count) lane++;
    return lane;
}

/* Rebuilds actions and edges from those of `from`, where action `skip` (or none) is left out and `twice` comes twice.
 */
static void rebuild(weft_program *p, const weft_program *from, uint32_t skip, uint32_t twice)
{
    uint32_t *place = malloc((from->action_count + 1) * sizeof *place), actions = 0, edges = 0;
    for (uint32_t a = 0, next = 0; a < from->action_count; a++) {
        place[a] = next;
        next += a == skip ? 0 : a == twice ? 2 : 1;
    }
    for (uint32_t a = 0; a < from->action_count; a++)
        for (int times = a == skip ? 0 : a == twice ? 2 : 1; times > 0; times--) {
            p->actions[actions] = from->actions[a];
            if (p->pages) p->pages[actions] = from->pages[a];
            p->after_first[actions++] = edges;
            for (uint32_t i = from->after_first[a]; i < from->after_first[a + 1]; i++)
                if (from->after[i] != skip) p->after[edges++] = place[from->after[i]];
        }
    p->after_first[actions] = edges;
    p->action_count = actions;
    uint32_t changed = skip != UINT32_MAX ? skip : twice, lane = lane_of(from, changed);
    p->lanes[lane].count += skip != UINT32_MAX ? -1u : 1u;
    for (int32_t i = 0, first = 0; i < p->rank_lanes[p->ranks]; i++) {
        p->lanes[i].first = (uint32_t)first;
        first += (int32_t)p->lanes[i].count;
    }
    free(place);
}

static bool swap(weft_program *p, dice *d, bool messages)
{
    uint32_t lanes = (uint32_t)p->rank_lanes[p->ranks];
    for (int tries = 0; tries < 50; tries++) {
        const weft_lane *lane = &p->lanes[dice_roll(d, lanes)];
        if (lane->count < 2 || (messages && lane->match < 0)) continue;
        uint32_t a = dice_roll(d, lane->count), b = dice_roll(d, 2) ? (a + 1) % lane->count : dice_roll(d, lane->count);
        if (a == b) continue;
        if (p->pages) {
            weft_pages page = p->pages[lane->first + a];
            p->pages[lane->first + a] = p->pages[lane->first + b];
            p->pages[lane->first + b] = page;
        }
        weft_action held = p->actions[lane->first + a];
        p->actions[lane->first + a] = p->actions[lane->first + b];
        p->actions[lane->first + b] = held;
        return true;
    }
    return false;
}

static bool drop_edge(weft_program *p, dice *d)
{
    uint32_t count = p->after_first[p->action_count];
    if (!count) return false;
    uint32_t gone = dice_roll(d, count);
    memmove(p->after + gone, p->after + gone + 1, (count - gone - 1) * sizeof *p->after);
    for (uint32_t a = 0; a <= p->action_count; a++) p->after_first[a] -= p->after_first[a] > gone;
    return true;
}

static bool merge(weft_program *p, dice *d)
{
    uint32_t cells = (uint32_t)WEFT_SLOT_KINDS * (uint32_t)p->stages * (uint32_t)p->microbatches;
    if (!p->slots || p->buffer_count < 2) return false;
    for (int tries = 0; tries < 200; tries++) {
        int32_t *a = &p->slots[dice_roll(d, cells)], *b = &p->slots[dice_roll(d, cells)];
        if (*a < 0 || *b < 0 || *a == *b || p->buffers[*a].rank != p->buffers[*b].rank) continue;
        *a = *b;
        return true;
    }
    return false;
}

/* Some actions that an overwrite or a page makes sense of are overwritten, or work, elsewhere. */
static bool misplace(weft_program *p, mutation kind, dice *d)
{
    for (int tries = 0; tries < 200; tries++) {
        uint32_t a = dice_roll(d, p->action_count);
        weft_action *action = &p->actions[a];
        bool writes = action->kind == WEFT_B || action->kind == WEFT_W;
        if (kind == MUTATE_OVERWRITE && (writes || action->kind == WEFT_REDUCE_GRAD)) {
            action->overwrite = !action->overwrite;
            return true;
        }
        if (kind == MUTATE_OVERWRITE || !p->pages) continue;
        bool weights = p->shard == WEFT_SHARD_WEIGHTS && dice_roll(d, 2);
        if (weights ? action->kind >= WEFT_PASS_KINDS : !writes) continue;
        uint16_t *page = weights ? &p->pages[a].weights : &p->pages[a].gradients, old = *page;
        *page = (uint16_t)dice_roll(d, (uint32_t)p->stages);
        return *page != old;
    }
    return false;
}

static bool change(weft_program *p, mutation kind, dice *d)
{
    weft_action *action = &p->actions[dice_roll(d, p->action_count)], old = *action;
    bool staged = old.kind <= WEFT_RECV_B, update = old.kind == WEFT_UPDATE;
    if (kind == MUTATE_STAGE && (staged || update)) action->stage = dice_roll(d, (uint32_t)p->stages + 1) & 0xffffff;
    if (kind == MUTATE_MICROBATCH && staged) action->microbatch = dice_roll(d, (uint32_t)p->microbatches + 1);
    if (kind == MUTATE_KIND) action->kind = dice_roll(d, WEFT_ACTION_KINDS + 2) & 0x3f;
    /* One collective in place of another may be a right program, of other options. */
    if (old.kind >= WEFT_REDUCE_TIED && action->kind >= WEFT_REDUCE_TIED && kind == MUTATE_KIND) return false;
    return action->kind != old.kind || action->stage != old.stage || action->microbatch != old.microbatch;
}

static bool apply(weft_program *p, const weft_program *from, mutation kind, dice *d)
{
    switch (kind) {
    case MUTATE_SWAP:
        return swap(p, d, false);
    case MUTATE_MESSAGES:
        return swap(p, d, true);
    case MUTATE_DROP:
        rebuild(p, from, dice_roll(d, from->action_count), UINT32_MAX);
        return true;
    case MUTATE_DOUBLE:
        rebuild(p, from, UINT32_MAX, dice_roll(d, from->action_count));
        return true;
    case MUTATE_EDGE:
        return drop_edge(p, d);
    case MUTATE_OVERWRITE:
    case MUTATE_PAGE:
        return misplace(p, kind, d);
    case MUTATE_MERGE:
        return merge(p, d);
    default:
        return change(p, kind, d);
    }
}

weft_program *mutate(const weft_program *program, mutation kind, dice *d)
{
    weft_program *out = copy_program(program);
    if (apply(out, program, kind, d)) return out;
    weft_program_destroy(out);
    return NULL;
}

void mutate_number(weft_program *p, dice *d)
{
    static const int32_t values[] = {-1, -2, 0, 1, 7, 1000, INT32_MAX, INT32_MIN, 1 << 24, -(1 << 20)};
    int32_t value = values[dice_roll(d, 10)];
    uint32_t edges = p->after_first[p->action_count];
    weft_lane *lane = &p->lanes[dice_roll(d, (uint32_t)p->rank_lanes[p->ranks])];
    switch (dice_roll(d, 14)) {
    case 0:
        p->stage_rank[dice_roll(d, (uint32_t)p->stages)] = value;
        break;
    case 1:
        lane->kind = (weft_lane_kind)value;
        break;
    case 2:
        lane->rank = value;
        break;
    case 3:
        lane->peer = value;
        break;
    case 4:
        lane->match = value;
        break;
    case 5:
        lane->tag = value;
        break;
    case 6:
        lane->first = (uint32_t)value;
        break;
    case 7:
        lane->count = (uint32_t)value;
        break;
    case 8:
        p->rank_lanes[dice_roll(d, (uint32_t)p->ranks)] = value;
        break;
    case 9:
        p->actions[dice_roll(d, p->action_count)].kind = (uint32_t)value & 0x3f;
        break;
    case 10:
        p->after_first[dice_roll(d, p->action_count)] = (uint32_t)value;
        break;
    case 11:
        p->after[dice_roll(d, edges)] = (uint32_t)value;
        break;
    case 12:
        p->slots[dice_roll(d, WEFT_SLOT_KINDS * (uint32_t)(p->stages * p->microbatches))] = value;
        break;
    default:
        p->buffers[dice_roll(d, (uint32_t)p->buffer_count)].offset = (size_t)value;
        break;
    }
}
