#include "oracle.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 512, PLACES = 64 * 16 };

/* What a place holds: a value, whole or being written. Values: kind of data, stage, micro-batch. */
typedef enum data { NOTHING, OUTPUT_OF, GRADIENT_BEFORE, STASH_OF, WORK_OF } data;

typedef struct content {
    int value;
    bool whole;
} content;

/* A buffer for gathered weights, or for gradients that wait for their reduction. */
typedef struct shard_buffer {
    int stage;             /* -1: empty */
    bool moves;            /* it is being gathered or reduced */
    uint32_t microbatches; /* bits: whose gradients are in it */
    uint32_t summed;       /* and those that tensor-parallel workers have added up */
} shard_buffer;

typedef struct board {
    const weft_program *program;
    const expectation *expected;
    dice d;
    content *buffers, *own; /* places with a buffer, and slots that have none */
    uint32_t cursor[LANES];
    bool running[LANES];
    int priority[LANES];
    int forwards[PLACES], inputs[PLACES], weights[PLACES]; /* ended */
    int updates[64], norms[64], tieds[64], metrics[64];
    shard_buffer gathered[64][64], gradients[64][64]; /* by rank and buffer */
    int reduced[PLACES], refreshed[64];
    bool kept[64]; /* there are reduced gradients of the stage */
    const char *complaint;
} board;

static int at(const board *b, int32_t s, int32_t m)
{
    return s * b->program->microbatches + m;
}

static int value_of(const board *b, data kind, int32_t s, int32_t m)
{
    return (int)kind * PLACES + at(b, s, m);
}

static void complain(board *b, const char *text)
{
    if (!b->complaint) b->complaint = text;
}

static content *place(board *b, weft_slot_kind kind, int32_t s, int32_t m)
{
    int32_t buffer = weft_program_slot(b->program, kind, s, m);
    return buffer >= 0 ? &b->buffers[buffer] : &b->own[(int)kind * PLACES + at(b, s, m)];
}

static void read_value(board *b, weft_slot_kind kind, int32_t s, int32_t m, int value)
{
    const content *c = place(b, kind, s, m);
    if (!c->whole || c->value != value) complain(b, "reads what is not its own");
}

static void begin_write(content *c, int value)
{
    *c = (content){value, false};
}

static void end_write(board *b, content *c, int value)
{
    if (c->value != value || c->whole) complain(b, "its result was overwritten while it ran");
    c->whole = true;
}

static bool same_rank(const board *b, int32_t s, int32_t t)
{
    return b->program->stage_rank[s] == b->program->stage_rank[t];
}

/* Reads of F, B, I, W: checked when the action begins and again when it ends. */
static void compute_reads(board *b, weft_action_kind kind, int32_t s, int32_t m)
{
    if (s > 0) read_value(b, WEFT_SLOT_INPUT, s, m, value_of(b, OUTPUT_OF, s - 1, m));
    if (kind == WEFT_F) return;
    read_value(b, WEFT_SLOT_STASH, s, m, value_of(b, STASH_OF, s, m));
    if (s + 1 < b->program->stages) read_value(b, WEFT_SLOT_GRADIENT, s, m, value_of(b, GRADIENT_BEFORE, s + 1, m));
    if (kind == WEFT_W) read_value(b, WEFT_SLOT_WORK, s, m, value_of(b, WORK_OF, s, m));
}

typedef struct write {
    content *place;
    int value;
} write;

static int compute_writes(board *b, weft_action_kind kind, int32_t s, int32_t m, write out[3])
{
    int count = 0, output = value_of(b, OUTPUT_OF, s, m), gradient = value_of(b, GRADIENT_BEFORE, s, m);
    if (kind == WEFT_F) {
        out[count++] = (write){place(b, WEFT_SLOT_STASH, s, m), value_of(b, STASH_OF, s, m)};
        if (s + 1 < b->program->stages)
            out[count++] =
                (write){same_rank(b, s, s + 1) ? place(b, WEFT_SLOT_INPUT, s + 1, m) : place(b, WEFT_SLOT_OUTPUT, s, m),
                        output};
    }
    if (kind == WEFT_I) out[count++] = (write){place(b, WEFT_SLOT_WORK, s, m), value_of(b, WORK_OF, s, m)};
    if ((kind == WEFT_I || kind == WEFT_B) && s > 0)
        out[count++] = (write){same_rank(b, s, s - 1) ? place(b, WEFT_SLOT_GRADIENT, s - 1, m)
                                                      : place(b, WEFT_SLOT_GRADIENT_OUT, s, m),
                               gradient};
    return count;
}

static int32_t lane_of_kind(const weft_program *p, int32_t rank, weft_lane_kind kind)
{
    for (int32_t lane = p->rank_lanes[rank]; lane < p->rank_lanes[rank + 1]; lane++)
        if (p->lanes[lane].kind == kind) return lane;
    return -1;
}

static shard_buffer *gradients_at(board *b, int32_t rank, uint32_t page, uint32_t stage)
{
    return &b->gradients[rank][b->program->pages ? page : stage];
}

/* The buffer holds what is old until a pass overwrites it. */
static void add_gradient(board *b, int32_t rank, uint32_t action, bool ends)
{
    weft_action a = b->program->actions[action];
    uint32_t page = b->program->pages ? b->program->pages[action].gradients : 0;
    shard_buffer *buffer = gradients_at(b, rank, page, a.stage);
    if (buffer->moves) complain(b, "adds to gradients while they are reduced");
    if (!a.overwrite && buffer->stage != (int)a.stage) complain(b, "adds to gradients that are not its own");
    if (a.overwrite && buffer->stage >= 0 && !(ends && buffer->stage == (int)a.stage))
        complain(b, "overwrites gradients that nobody has reduced");
    if (a.overwrite) *buffer = (shard_buffer){.stage = (int)a.stage};
    if (ends) buffer->microbatches |= 1u << a.microbatch;
}

/* Reads of gathered weights and writes of gradients, when a pass begins and when it ends. */
static void pass_shards(board *b, int32_t rank, uint32_t action, bool ends)
{
    weft_action a = b->program->actions[action];
    if (b->program->shard == WEFT_SHARD_WEIGHTS) {
        const shard_buffer *weights = &b->gathered[rank][b->program->pages[action].weights];
        if (weights->stage != (int)a.stage || weights->moves) complain(b, "reads weights that are not there");
    }
    if (a.kind == WEFT_B || a.kind == WEFT_W) add_gradient(b, rank, action, ends);
}

static bool reads_now(const board *b, int32_t rank, int stage)
{
    int32_t lane = b->program->rank_lanes[rank];
    weft_action a = b->program->actions[b->cursor[lane]];
    return b->running[lane] && (int)a.stage == stage && a.kind != WEFT_UPDATE;
}

static void gather(board *b, int32_t rank, weft_action a, bool ends)
{
    shard_buffer *buffer = &b->gathered[rank][a.microbatch];
    bool refresh = b->program->shard != WEFT_SHARD_WEIGHTS;
    if (refresh) {
        if (!b->updates[a.stage] || a.kind != WEFT_UNSHARD) complain(b, "gathers weights that are old");
        b->refreshed[a.stage] += ends;
        return;
    }
    if (a.kind == WEFT_RESHARD) {
        if (!ends && buffer->stage != (int)a.stage) complain(b, "drops weights that are not there");
        if (reads_now(b, rank, (int)a.stage)) complain(b, "drops weights that are read");
        *buffer = (shard_buffer){.stage = ends ? -1 : (int)a.stage};
        return;
    }
    if (!ends && buffer->stage >= 0) complain(b, "gathers into a buffer that is taken");
    if (b->updates[a.stage]) complain(b, "gathers after the update");
    *buffer = (shard_buffer){.stage = (int)a.stage, .moves = !ends};
}

static void reduce(board *b, int32_t rank, weft_action a, bool ends)
{
    shard_buffer *buffer = gradients_at(b, rank, a.microbatch, a.stage);
    if (!ends) {
        if (buffer->stage != (int)a.stage || !buffer->microbatches) complain(b, "reduces gradients that are not there");
        buffer->moves = true;
        return;
    }
    if (a.kind == WEFT_REDUCE_TENSOR) {
        if (buffer->summed) complain(b, "adds up gradients twice");
        buffer->summed = buffer->microbatches;
        buffer->moves = false;
        return;
    }
    if (b->program->tensor > 1 && buffer->summed != buffer->microbatches)
        complain(b, "reduces gradients that were not added up");
    for (int m = 0; m < b->program->microbatches && a.overwrite; m++) b->reduced[at(b, (int)a.stage, m)] = 0;
    if (!a.overwrite && !b->kept[a.stage]) complain(b, "adds to sums of the step before");
    b->kept[a.stage] = true;
    for (int m = 0; m < b->program->microbatches; m++)
        if (buffer->microbatches >> m & 1 && b->reduced[at(b, (int)a.stage, m)]++)
            complain(b, "reduces gradients twice");
    *buffer = (shard_buffer){.stage = -1};
}

static void pass(board *b, int32_t rank, weft_action a, bool ends)
{
    weft_action_kind kind = (weft_action_kind)a.kind;
    int32_t s = (int32_t)a.stage, m = (int32_t)a.microbatch;
    write writes[3];
    if (b->program->stage_rank[s] != rank) complain(b, "a stage runs on another rank");
    if (b->updates[s]) complain(b, "a pass after the update");
    int count = compute_writes(b, kind, s, m, writes);
    for (int i = 0; i < count && !ends; i++) begin_write(writes[i].place, writes[i].value);
    compute_reads(b, kind, s, m);
    if (kind == WEFT_W && !b->inputs[at(b, s, m)]) complain(b, "W before I");
    if (!ends) return;
    for (int i = 0; i < count; i++) end_write(b, writes[i].place, writes[i].value);
    if (kind == WEFT_F && b->forwards[at(b, s, m)]++) complain(b, "a forward pass twice");
    if ((kind == WEFT_B || kind == WEFT_I) && b->inputs[at(b, s, m)]++) complain(b, "a backward pass twice");
    if ((kind == WEFT_B || kind == WEFT_W) && b->weights[at(b, s, m)]++) complain(b, "weight gradients twice");
}

static void need_gradients(board *b, int32_t s)
{
    const shard_buffer *buffer = gradients_at(b, b->program->stage_rank[s], 0, (uint32_t)s);
    uint32_t there = b->program->tensor > 1 ? buffer->summed : buffer->microbatches;
    for (int32_t m = 0; m < b->program->microbatches; m++)
        if (b->program->data > 1 ? b->reduced[at(b, s, m)] != 1 : !(there >> m & 1))
            complain(b, "gradients are used before they are complete");
}

static void update(board *b, int32_t rank, int32_t s, bool ends)
{
    if (b->program->stage_rank[s] != rank) complain(b, "a stage is updated on another rank");
    need_gradients(b, s);
    if (b->program->clip && b->norms[rank] != 1) complain(b, "an update before the norm");
    if (b->program->skip && (b->norms[rank] != 1 || b->metrics[rank] != 1))
        complain(b, "an update of a step that is not judged");
    bool shared = s == 0 || s == b->program->stages - 1;
    if (b->expected->tied && shared && b->tieds[rank] != 1) complain(b, "an update before the shared sum");
    if (ends && b->updates[s]++) complain(b, "an update twice");
}

static void collective(board *b, int32_t rank, weft_action_kind kind, bool ends)
{
    int32_t last = b->program->stages - 1;
    for (int32_t s = 0; s <= last; s++) {
        if (b->program->stage_rank[s] != rank) continue;
        if (kind == WEFT_NORM || (kind == WEFT_REDUCE_TIED && (s == 0 || s == last))) need_gradients(b, s);
        for (int32_t m = 0; m < b->program->microbatches && kind == WEFT_METRICS && s == last; m++)
            if (!b->forwards[at(b, s, m)]) complain(b, "metrics before the losses");
    }
    bool member = b->program->stage_rank[0] == rank || b->program->stage_rank[last] == rank;
    if (kind == WEFT_NORM && b->expected->tied && member && !b->tieds[rank]) complain(b, "the norm before the sum");
    if (kind == WEFT_METRICS && b->expected->norm && !b->norms[rank]) complain(b, "metrics before the norm");
    int *done = kind == WEFT_NORM ? b->norms : kind == WEFT_METRICS ? b->metrics : b->tieds;
    if (ends) done[rank]++;
}

/* The value crosses when the transfer ends; the sent place must be whole throughout. */
static void transfer(board *b, weft_action sent, weft_action got, bool ends)
{
    bool forward = sent.kind == WEFT_SEND_F;
    content *from =
        place(b, forward ? WEFT_SLOT_OUTPUT : WEFT_SLOT_GRADIENT_OUT, (int32_t)sent.stage, (int32_t)sent.microbatch);
    content *to = place(b, forward ? WEFT_SLOT_INPUT : WEFT_SLOT_GRADIENT, (int32_t)got.stage, (int32_t)got.microbatch);
    int value = value_of(b, forward ? OUTPUT_OF : GRADIENT_BEFORE, (int32_t)sent.stage, (int32_t)sent.microbatch);
    if (!from->whole || from->value != value) complain(b, "sends what is not its own");
    if (ends)
        end_write(b, to, value);
    else
        begin_write(to, value);
}

static weft_action current(const board *b, int32_t lane)
{
    return b->program->actions[b->cursor[lane]];
}

static bool left(const board *b, int32_t lane)
{
    return b->cursor[lane] < b->program->lanes[lane].first + b->program->lanes[lane].count;
}

static bool is_done(const board *b, uint32_t action)
{
    int32_t lane = 0;
    while (action >= b->program->lanes[lane].first + b->program->lanes[lane].count) lane++;
    return action < b->cursor[lane];
}

static bool ready(const board *b, int32_t lane)
{
    if (!left(b, lane) || b->running[lane]) return false;
    uint32_t a = b->cursor[lane];
    for (uint32_t i = b->program->after_first[a]; i < b->program->after_first[a + 1]; i++)
        if (!is_done(b, b->program->after[i])) return false;
    return true;
}

static bool is_member(const board *b, weft_action_kind kind, int32_t rank)
{
    const int32_t *home = b->program->stage_rank;
    return kind != WEFT_REDUCE_TIED || home[0] == rank || home[b->program->stages - 1] == rank;
}

static bool is_reduction(uint32_t kind)
{
    return kind == WEFT_REDUCE_GRAD || kind == WEFT_REDUCE_TENSOR;
}

/* Lanes that begin together with this one; 0 when some are not there yet. */
static int group(const board *b, int32_t lane, int32_t out[LANES])
{
    const weft_program *p = b->program;
    const weft_lane *row = &p->lanes[lane];
    int count = 0;
    out[count++] = lane;
    if (row->match >= 0) {
        out[count++] = row->match;
        return ready(b, row->match) ? count : 0;
    }
    weft_action_kind kind = (weft_action_kind)current(b, lane).kind;
    if (row->kind != WEFT_PROGRAM_REDUCE || is_reduction(kind)) return count;
    count = 0;
    for (int32_t rank = 0; rank < p->ranks; rank++) {
        int32_t other = lane_of_kind(p, rank, WEFT_PROGRAM_REDUCE);
        if (!is_member(b, kind, rank)) continue;
        if (other < 0 || !ready(b, other) || current(b, other).kind != kind) return 0;
        out[count++] = other;
    }
    return count;
}

static void act(board *b, int32_t lane, const int32_t *lanes, int count, bool ends)
{
    weft_action a = current(b, lane);
    const weft_lane *row = &b->program->lanes[lane];
    if (row->match >= 0) {
        bool sends = row->kind == WEFT_PROGRAM_SEND_F || row->kind == WEFT_PROGRAM_SEND_B;
        weft_action other = current(b, row->match);
        transfer(b, sends ? a : other, sends ? other : a, ends);
    } else if (row->kind == WEFT_PROGRAM_GATHER) {
        gather(b, row->rank, a, ends);
    } else if (is_reduction(a.kind)) {
        reduce(b, row->rank, a, ends);
    } else if (row->kind == WEFT_PROGRAM_REDUCE) {
        for (int i = 0; i < count; i++) collective(b, b->program->lanes[lanes[i]].rank, (weft_action_kind)a.kind, ends);
    } else if (a.kind == WEFT_UPDATE) {
        update(b, row->rank, (int32_t)a.stage, ends);
    } else {
        pass(b, row->rank, a, ends);
        pass_shards(b, row->rank, b->cursor[lane], ends);
    }
}

/* Picks the next event; false when there is none. */
static bool event(board *b, bool starve)
{
    int32_t lanes = b->program->rank_lanes[b->program->ranks], best = -1, members[LANES], chosen[LANES];
    int best_score = 0, best_count = 0;
    for (int32_t lane = 0; lane < lanes; lane++) {
        int count = 0;
        const weft_lane *row = &b->program->lanes[lane];
        if (b->running[lane]) {
            members[count++] = lane;
            if (row->match >= 0) members[count++] = row->match;
            bool together = row->kind == WEFT_PROGRAM_REDUCE && !is_reduction(current(b, lane).kind);
            for (int32_t i = 0; together && i < lanes; i++)
                if (i != lane && b->program->lanes[i].kind == WEFT_PROGRAM_REDUCE && b->running[i] &&
                    current(b, i).kind == current(b, lane).kind)
                    members[count++] = i;
        } else if (!ready(b, lane) || !(count = group(b, lane, members))) {
            continue;
        }
        int score = starve ? b->priority[lane] : (int)dice_roll(&b->d, 1u << 20);
        if (best >= 0 && score <= best_score) continue;
        best = lane;
        best_score = score;
        best_count = count;
        memcpy(chosen, members, (size_t)count * sizeof *chosen);
    }
    if (best < 0) return false;
    bool ends = b->running[best];
    act(b, best, chosen, best_count, ends);
    for (int i = 0; i < best_count; i++) {
        b->running[chosen[i]] = !ends;
        b->cursor[chosen[i]] += ends;
    }
    return true;
}

static void check_end(board *b)
{
    const weft_program *p = b->program;
    for (int32_t lane = 0; lane < p->rank_lanes[p->ranks]; lane++)
        if (left(b, lane)) complain(b, "nothing can move");
    for (int32_t s = 0; s < p->stages; s++) {
        for (int32_t m = 0; m < p->microbatches; m++) {
            int i = at(b, s, m), wanted = !p->forward_only;
            if (b->forwards[i] != 1 || b->inputs[i] != wanted || b->weights[i] != wanted)
                complain(b, "a pass is missing");
        }
        if (b->updates[s] != b->expected->update) complain(b, "an update is missing");
        bool refreshes = p->shard == WEFT_SHARD_OPTIMIZER || p->shard == WEFT_SHARD_GRADIENTS;
        if (b->refreshed[s] != (refreshes && b->expected->update)) complain(b, "new weights are not gathered");
        if (!p->forward_only) need_gradients(b, s);
        for (int32_t m = 0; p->data > 1 && m < p->microbatches; m++)
            if (b->reduced[at(b, s, m)] != !p->forward_only) complain(b, "gradients are not reduced");
    }
    for (int32_t rank = 0; rank < p->ranks; rank++) {
        if (b->norms[rank] != b->expected->norm) complain(b, "a norm is missing");
        for (int i = 0; i < 64; i++)
            if (b->gathered[rank][i].stage >= 0) complain(b, "weights stay gathered");
        if (b->metrics[rank] != b->expected->metrics) complain(b, "metrics are missing");
        if (b->tieds[rank] != (b->expected->tied && is_member(b, WEFT_REDUCE_TIED, rank)))
            complain(b, "a shared sum is missing");
    }
}

static bool fits_lane(const weft_program *p, const weft_lane *lane, weft_action a)
{
    static const weft_lane_kind home[WEFT_ACTION_KINDS] = {
        [WEFT_SEND_F] = WEFT_PROGRAM_SEND_F,        [WEFT_RECV_F] = WEFT_PROGRAM_RECV_F,
        [WEFT_SEND_B] = WEFT_PROGRAM_SEND_B,        [WEFT_RECV_B] = WEFT_PROGRAM_RECV_B,
        [WEFT_REDUCE_TIED] = WEFT_PROGRAM_REDUCE,   [WEFT_NORM] = WEFT_PROGRAM_REDUCE,
        [WEFT_METRICS] = WEFT_PROGRAM_REDUCE,       [WEFT_REDUCE_GRAD] = WEFT_PROGRAM_REDUCE,
        [WEFT_UNSHARD] = WEFT_PROGRAM_GATHER,       [WEFT_RESHARD] = WEFT_PROGRAM_GATHER,
        [WEFT_REDUCE_TENSOR] = WEFT_PROGRAM_REDUCE,
    };
    if (a.kind >= WEFT_ACTION_KINDS || home[a.kind] != lane->kind) return false;
    if (a.kind == WEFT_UNSHARD || a.kind == WEFT_RESHARD || is_reduction(a.kind)) {
        int32_t limit = is_reduction(a.kind) ? p->gradient_buffers : p->weight_buffers;
        return (int32_t)a.stage < p->stages && p->stage_rank[a.stage] == lane->rank &&
               (a.kind == WEFT_REDUCE_TENSOR ? p->tensor : p->data) > 1 &&
               a.microbatch < (uint32_t)(limit ? limit : p->stages);
    }
    if ((int32_t)a.stage >= p->stages || (int32_t)a.microbatch >= p->microbatches) return false;
    return lane->match < 0 || p->stage_rank[a.stage] == lane->rank;
}

expectation oracle_expect(const weft_program *program, const weft_lower_options *options)
{
    bool train = !program->forward_only;
    return (expectation){train && options->update, train && (options->norm || options->clip || options->skip),
                         train && options->tied, options->metrics || (train && options->skip)};
}

const char *oracle_run(const weft_program *program, const expectation *expected, uint64_t seed)
{
    int32_t lanes = program->rank_lanes[program->ranks];
    board *b = calloc(1, sizeof *b);
    if (!b || lanes > LANES || program->ranks > 64 || program->stages * program->microbatches > PLACES) abort();
    b->program = program;
    b->expected = expected;
    b->d.state = seed * 2654435761u + 1;
    b->buffers = calloc((size_t)program->buffer_count + 1, sizeof *b->buffers);
    b->own = calloc((size_t)WEFT_SLOT_KINDS * PLACES, sizeof *b->own);
    for (int32_t i = 0; i < 64 * 64; i++) b->gathered[i / 64][i % 64].stage = b->gradients[i / 64][i % 64].stage = -1;
    for (int32_t lane = 0; lane < lanes; lane++) {
        const weft_lane *row = &program->lanes[lane];
        b->cursor[lane] = row->first;
        b->priority[lane] = (int)dice_roll(&b->d, 1u << 20);
        for (uint32_t a = row->first; a < row->first + row->count; a++)
            if (!fits_lane(program, row, program->actions[a])) complain(b, "an action on a strange lane");
    }
    while (!b->complaint && event(b, seed % 2 == 0)) continue;
    if (!b->complaint) check_end(b);
    const char *complaint = b->complaint;
    free(b->buffers);
    free(b->own);
    free(b);
    return complaint;
}
