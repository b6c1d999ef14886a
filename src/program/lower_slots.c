/*
 * Slots: runs the program with unlimited slots, then colours the lifetimes. A buffer passes to a new tenant whose
 * first writer begins after the old tenant's last reader has ended in that execution; every action takes time there,
 * so the edges of reuse agree with it and close no cycle. Where the edge is between lanes some slack is asked for, so
 * that it does not hold anything up when real times differ a little from the assumed ones.
 */
#include "program/lower.h"

#include <stdlib.h>
#include <string.h>

/* A buffer and when its tenant's last reader ends. */
typedef struct tenant {
    uint64_t release;
    uint32_t reader;
    int32_t buffer;
} tenant;

typedef struct heap {
    tenant *rows; /* earliest release on top */
    size_t count, capacity;
} heap;

/* Buffers of one size on one rank, apart by the lane of the last reader: compute, or another. */
typedef struct size_class {
    size_t bytes;
    heap compute, other;
} size_class;

typedef struct colouring {
    weft_program *program;
    const weft_index *index;
    const weft_slot_sizes *sizes;
    weft_edges *edges;
    uint64_t *begin; /* (actions) */
    uint64_t *units; /* (S) */
    size_t capacity; /* of buffers */
    int32_t rank;
    size_class *classes;
    int32_t class_count;
    uint32_t *cursor;                  /* (lanes) */
    int32_t *rank_first, *rank_stages; /* (P + 1), (S) the stages of rank r are rank_stages[rank_first[r]] .. */
} colouring;

static void heap_swap(heap *h, size_t a, size_t b)
{
    tenant swap = h->rows[a];
    h->rows[a] = h->rows[b];
    h->rows[b] = swap;
}

static bool earlier(const tenant *a, const tenant *b)
{
    return a->release != b->release ? a->release < b->release : a->buffer < b->buffer;
}

static weft_status heap_push(heap *h, tenant row, weft_error *error)
{
    TRY(weft_grow(&h->rows, &h->capacity, h->count + 1, sizeof *h->rows, error));
    size_t at = h->count++;
    h->rows[at] = row;
    for (; at > 0 && earlier(&h->rows[at], &h->rows[(at - 1) / 2]); at = (at - 1) / 2) heap_swap(h, at, (at - 1) / 2);
    return WEFT_OK;
}

static tenant heap_pop(heap *h)
{
    tenant top = h->rows[0];
    h->rows[0] = h->rows[--h->count];
    for (size_t at = 0;;) {
        size_t left = 2 * at + 1, least = at;
        if (left < h->count && earlier(&h->rows[left], &h->rows[least])) least = left;
        if (left + 1 < h->count && earlier(&h->rows[left + 1], &h->rows[least])) least = left + 1;
        if (least == at) return top;
        heap_swap(h, at, least);
        at = least;
    }
}

static size_t slot_bytes(const weft_slot_sizes *sizes, weft_slot_kind kind, int32_t stage)
{
    switch (kind) {
    case WEFT_SLOT_INPUT:
    case WEFT_SLOT_GRADIENT_OUT:
        return sizes->input[stage];
    case WEFT_SLOT_OUTPUT:
    case WEFT_SLOT_GRADIENT:
        return sizes->input[stage + 1];
    case WEFT_SLOT_STASH:
        return sizes->stash[stage];
    default:
        return sizes->work[stage];
    }
}

/* Sizes are aligned, so that offsets are. */
static size_t aligned(const colouring *c, size_t bytes)
{
    return weft_align(bytes, c->program->alignment);
}

static int compare_classes(const void *left, const void *right)
{
    size_t a = ((const size_class *)left)->bytes, b = ((const size_class *)right)->bytes;
    return a < b ? -1 : a > b;
}

static size_class *find_class(const colouring *c, size_t bytes)
{
    size_class key = {.bytes = bytes};
    return bsearch(&key, c->classes, (size_t)c->class_count, sizeof key, compare_classes);
}

static void clear_classes(colouring *c)
{
    for (int32_t i = 0; i < c->class_count; i++) {
        weft_free(c->classes[i].compute.rows);
        weft_free(c->classes[i].other.rows);
    }
    weft_free(c->classes);
    c->classes = NULL;
    c->class_count = 0;
}

/* The distinct sizes of the rank's slots. */
static weft_status make_classes(colouring *c, weft_error *error)
{
    const weft_program *program = c->program;
    int32_t first = c->rank_first[c->rank], end = c->rank_first[c->rank + 1];
    TRY(weft_allocate(4 * (size_t)(end - first), sizeof *c->classes, &c->classes, error));
    size_t count = 0, kept = 0;
    for (int32_t i = first; i < end; i++) {
        int32_t s = c->rank_stages[i];
        c->classes[count++].bytes = aligned(c, c->sizes->stash[s]);
        c->classes[count++].bytes = aligned(c, c->sizes->input[s]);
        c->classes[count++].bytes = aligned(c, c->sizes->work[s]);
        if (s + 1 < program->stages) c->classes[count++].bytes = aligned(c, c->sizes->input[s + 1]);
    }
    qsort(c->classes, count, sizeof *c->classes, compare_classes);
    for (size_t i = 0; i < count; i++)
        if (!kept || c->classes[kept - 1].bytes != c->classes[i].bytes) c->classes[kept++] = c->classes[i];
    c->class_count = (int32_t)kept;
    return WEFT_OK;
}

static weft_status new_buffer(colouring *c, weft_slot_kind kind, size_t bytes, int32_t *out, weft_error *error)
{
    weft_program *program = c->program;
    size_t *arena = &program->arena_bytes[c->rank];
    if (program->buffer_count == INT32_MAX) FAIL(error, WEFT_INVALID, "the program needs too many buffers");
    if (bytes > SIZE_MAX - *arena) FAIL(error, WEFT_INVALID, "the buffers of rank %d are too large", c->rank);
    TRY(weft_grow(&program->buffers, &c->capacity, (size_t)program->buffer_count + 1, sizeof *program->buffers, error));
    program->buffers[program->buffer_count] =
        (weft_buffer){.rank = c->rank, .kind = kind, .bytes = bytes, .offset = *arena};
    *arena += bytes;
    *out = program->buffer_count++;
    return WEFT_OK;
}

/* The heap whose top may pass to a writer on the given lane that begins at `begin`; NULL when there is none. */
static heap *free_heap(size_class *class, bool on_compute, uint64_t begin)
{
    uint64_t slack = on_compute ? 0 : WEFT_UNITS_SLACK;
    heap *compute = &class->compute, *other = &class->other;
    bool first = compute->count && compute->rows[0].release + slack <= begin;
    bool second = other->count && other->rows[0].release + WEFT_UNITS_SLACK <= begin;
    if (!first || !second) return first ? compute : second ? other : NULL;
    return on_compute || earlier(&compute->rows[0], &other->rows[0]) ? compute : other;
}

static bool on_compute_lane(const weft_program *program, int32_t rank, uint32_t action)
{
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    return action - lane->first < lane->count;
}

static weft_status place(colouring *c, uint32_t writer, const weft_slot *slot, weft_error *error)
{
    weft_program *program = c->program;
    size_t bytes = aligned(c, slot_bytes(c->sizes, slot->kind, slot->stage));
    if (!bytes) return WEFT_OK;
    bool on_compute = on_compute_lane(program, c->rank, writer);
    size_class *class = find_class(c, bytes);
    heap *from = free_heap(class, on_compute, c->begin[writer]);
    int32_t buffer = -1;
    if (from) {
        tenant old = heap_pop(from);
        buffer = old.buffer;
        if (!on_compute || from != &class->compute) TRY(weft_edges_add(c->edges, old.reader, writer, error));
    } else {
        TRY(new_buffer(c, slot->kind, bytes, &buffer, error));
    }
    size_t row = (size_t)slot->kind * (size_t)program->stages + (size_t)slot->stage;
    program->slots[row * (size_t)program->microbatches + (size_t)slot->microbatch] = buffer;
    uint64_t end = c->begin[slot->reader] + weft_lower_duration(program->actions[slot->reader], c->units);
    heap *to = on_compute_lane(program, c->rank, slot->reader) ? &class->compute : &class->other;
    return heap_push(to, (tenant){end, slot->reader, buffer}, error);
}

/* The rank's next action in order of time that may write slots; WEFT_NO_ACTION at the end. */
static uint32_t next_action(colouring *c)
{
    const weft_program *program = c->program;
    uint32_t best = WEFT_NO_ACTION;
    int32_t best_lane = -1;
    for (int32_t lane = program->rank_lanes[c->rank]; lane < program->rank_lanes[c->rank + 1]; lane++) {
        const weft_lane *row = &program->lanes[lane];
        bool writes =
            row->kind == WEFT_PROGRAM_COMPUTE || row->kind == WEFT_PROGRAM_RECV_F || row->kind == WEFT_PROGRAM_RECV_B;
        if (!writes || c->cursor[lane] == row->first + row->count) continue;
        if (best_lane >= 0 && c->begin[best] <= c->begin[c->cursor[lane]]) continue;
        best = c->cursor[lane];
        best_lane = lane;
    }
    if (best_lane >= 0) c->cursor[best_lane]++;
    return best;
}

static weft_status colour_rank(colouring *c, weft_error *error)
{
    const weft_program *program = c->program;
    for (int32_t lane = program->rank_lanes[c->rank]; lane < program->rank_lanes[c->rank + 1]; lane++)
        c->cursor[lane] = program->lanes[lane].first;
    TRY(make_classes(c, error));
    for (uint32_t action; (action = next_action(c)) != WEFT_NO_ACTION;) {
        weft_slot slots[WEFT_WRITES_LIMIT];
        int count = weft_index_writes(c->index, action, slots);
        for (int i = 0; i < count; i++) TRY(place(c, action, &slots[i], error));
    }
    return WEFT_OK;
}

static weft_status check_sizes(const weft_slot_sizes *sizes, int32_t stages, weft_error *error)
{
    for (int32_t s = 0; s < stages; s++)
        if (sizes->input[s] > SIZE_MAX / 2 || sizes->stash[s] > SIZE_MAX / 2 || sizes->work[s] > SIZE_MAX / 2)
            FAIL(error, WEFT_INVALID, "the slots of stage %d are too large", s);
    return WEFT_OK;
}

static weft_status group_stages(colouring *c, weft_error *error)
{
    const weft_program *program = c->program;
    TRY(weft_allocate((size_t)program->ranks + 1, sizeof *c->rank_first, &c->rank_first, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *c->rank_stages, &c->rank_stages, error));
    for (int32_t s = 0; s < program->stages; s++) c->rank_first[program->stage_rank[s] + 1]++;
    for (int32_t r = 0; r < program->ranks; r++) c->rank_first[r + 1] += c->rank_first[r];
    for (int32_t s = program->stages - 1; s >= 0; s--) /* from the back, each end moves to the beginning of its rank */
        c->rank_stages[--c->rank_first[program->stage_rank[s] + 1]] = s;
    for (int32_t r = 0; r < program->ranks; r++) c->rank_first[r] = c->rank_first[r + 1];
    c->rank_first[program->ranks] = program->stages;
    return WEFT_OK;
}

static weft_status colour(colouring *c, const double *stage_cost, weft_error *error)
{
    weft_program *program = c->program;
    size_t cells = (size_t)program->stages * (size_t)program->microbatches;
    TRY(check_sizes(c->sizes, program->stages, error));
    TRY(weft_allocate(cells, WEFT_SLOT_KINDS * sizeof *program->slots, &program->slots, error));
    memset(program->slots, 0xff, cells * WEFT_SLOT_KINDS * sizeof *program->slots);
    TRY(weft_allocate((size_t)program->ranks, sizeof *program->arena_bytes, &program->arena_bytes, error));
    TRY(weft_allocate(program->action_count, sizeof *c->begin, &c->begin, error));
    TRY(weft_allocate((size_t)program->stages, sizeof *c->units, &c->units, error));
    TRY(weft_allocate((size_t)program->rank_lanes[program->ranks], sizeof *c->cursor, &c->cursor, error));
    TRY(group_stages(c, error));
    TRY(weft_lower_units(program, stage_cost, c->units, error));
    TRY(weft_lower_times(program, stage_cost, c->begin, error));
    weft_status status = WEFT_OK;
    for (c->rank = 0; c->rank < program->ranks && status == WEFT_OK; c->rank++) {
        status = colour_rank(c, error);
        clear_classes(c);
    }
    return status;
}

weft_status weft_lower_slots(weft_program *program, const weft_index *index, const weft_lower_options *options,
                             weft_edges *edges, weft_error *error)
{
    colouring c = {.program = program, .index = index, .sizes = options->sizes, .edges = edges};
    program->alignment = options->alignment ? options->alignment : WEFT_ALIGNMENT;
    weft_status status = colour(&c, options->stage_cost, error);
    weft_free(c.begin);
    weft_free(c.units);
    weft_free(c.cursor);
    weft_free(c.rank_first);
    weft_free(c.rank_stages);
    return status;
}
