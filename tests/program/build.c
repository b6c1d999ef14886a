#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t dice_roll(dice *d, uint32_t sides)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((d->state >> 32) * sides) >> 32);
}

/* Any rank for each stage; one that is refused is tried no further. */
static const char *random_list(dice *d, int32_t ranks, char text[64])
{
    int stages = ranks + (int)dice_roll(d, 7);
    for (int s = 0; s < stages; s++)
        snprintf(text + 2 * s, 3, "%u,", s < ranks ? (unsigned)s : dice_roll(d, (uint32_t)ranks));
    for (int s = 0; s < stages; s++) {
        int other = (int)dice_roll(d, (uint32_t)stages);
        char kept = text[2 * s];
        text[2 * s] = text[2 * other];
        text[2 * other] = kept;
    }
    text[2 * stages - 1] = 0;
    return text;
}

weft_schedule *build_kind(dice *d)
{
    char list[64];
    weft_error error;
    const char *const *names = weft_schedule_kind_names();
    uint32_t count = 0;
    while (names[count]) count++;
    for (;;) {
        weft_schedule_options options = {.kind = names[dice_roll(d, count)],
                                         .ranks = 1 + (int32_t)dice_roll(d, 5),
                                         .loops = 1 + (int32_t)dice_roll(d, 3),
                                         .microbatches = 1 + (int32_t)dice_roll(d, 9)};
        if (dice_roll(d, 3) == 0) {
            options.loops = 0;
            options.placement = random_list(d, options.ranks, list);
        }
        bool forward_only = dice_roll(d, 8) == 0;
        weft_schedule *schedule = NULL, *forward = NULL;
        if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) continue;
        if (!forward_only) return schedule;
        if (weft_schedule_forward(schedule, &forward, &error) != WEFT_OK) abort();
        weft_schedule_destroy(schedule);
        return forward;
    }
}

static void *zeroed(size_t count, size_t size)
{
    void *out = NULL;
    if (weft_allocate(count, size, &out, NULL) != WEFT_OK) abort();
    return out;
}

typedef struct state {
    bool forward[64][16], input[64][16], weights[64][16], split[64][16];
} state;

/* What may run next for (s, m); 0 .. 2 kinds. */
static int runnable(const state *st, int32_t stages, bool forward_only, int32_t s, int32_t m, weft_action_kind out[2])
{
    int count = 0;
    if (!st->forward[s][m]) {
        if (s == 0 || st->forward[s - 1][m]) out[count++] = WEFT_F;
        return count;
    }
    if (forward_only) return 0;
    if (!st->input[s][m] && (s == stages - 1 || st->input[s + 1][m])) out[count++] = st->split[s][m] ? WEFT_I : WEFT_B;
    if (st->input[s][m] && st->split[s][m] && !st->weights[s][m]) out[count++] = WEFT_W;
    return count;
}

static weft_action pick(dice *d, const state *st, const weft_schedule *schedule)
{
    for (;;) {
        int32_t s = (int32_t)dice_roll(d, (uint32_t)schedule->stages);
        int32_t m = (int32_t)dice_roll(d, (uint32_t)schedule->microbatches);
        weft_action_kind kinds[2];
        if (runnable(st, schedule->stages, schedule->forward_only, s, m, kinds))
            return (weft_action){.kind = kinds[0], .stage = (uint32_t)s & 0xffffff, .microbatch = (uint32_t)m};
    }
}

weft_schedule *build_random(dice *d)
{
    weft_schedule *out = zeroed(1, sizeof *out);
    *out = (weft_schedule){.ranks = 1 + (int32_t)dice_roll(d, 4),
                           .loops = 1,
                           .stages = 1 + (int32_t)dice_roll(d, 7),
                           .microbatches = 1 + (int32_t)dice_roll(d, 5),
                           .forward_only = dice_roll(d, 8) == 0};
    snprintf(out->name, sizeof out->name, "random");
    size_t most = 3 * (size_t)(out->stages * out->microbatches), count = 0;
    out->stage_rank = zeroed((size_t)out->stages, sizeof *out->stage_rank);
    out->first = zeroed((size_t)out->ranks + 1, sizeof *out->first);
    out->actions = zeroed(most, sizeof *out->actions);
    for (int32_t s = 0; s < out->stages; s++) out->stage_rank[s] = (int32_t)dice_roll(d, (uint32_t)out->ranks);
    state *st = zeroed(1, sizeof *st);
    uint32_t split = dice_roll(d, 3);
    size_t total = 0;
    for (int32_t s = 0; s < out->stages; s++)
        for (int32_t m = 0; m < out->microbatches; m++) {
            st->split[s][m] = split == 2 ? dice_roll(d, 2) : split;
            total += out->forward_only ? 1 : st->split[s][m] ? 3 : 2;
        }
    weft_action *order = zeroed(total, sizeof *order);
    for (size_t i = 0; i < total; i++) {
        order[i] = pick(d, st, out);
        bool(*done)[16] = order[i].kind == WEFT_F ? st->forward : order[i].kind == WEFT_W ? st->weights : st->input;
        done[order[i].stage][order[i].microbatch] = true;
    }
    for (int32_t rank = 0; rank < out->ranks; rank++) {
        for (size_t i = 0; i < total; i++)
            if (out->stage_rank[order[i].stage] == rank) out->actions[count++] = order[i];
        out->first[rank + 1] = count;
    }
    weft_free(order);
    weft_free(st);
    return out;
}

typedef struct writer {
    weft_schedule *out;
    weft_action *rows[64];
    size_t counts[64];
} writer;

static void append(writer *w, int32_t rank, weft_action_kind kind, uint32_t stage, uint32_t microbatch)
{
    w->rows[rank][w->counts[rank]++] = (weft_action){.kind = kind, .stage = stage & 0xffffff, .microbatch = microbatch};
}

/* A send directly behind its action on the sender's row; the receipt at the end of what the receiver has so far. */
static void write_rank(writer *w, const weft_schedule *from, int32_t rank)
{
    for (size_t i = from->first[rank]; i < from->first[rank + 1]; i++) {
        weft_action a = from->actions[i];
        append(w, rank, (weft_action_kind)a.kind, a.stage, a.microbatch);
        bool forward = a.kind == WEFT_F;
        int32_t to = (int32_t)a.stage + (forward ? 1 : -1);
        if (a.kind == WEFT_W || to < 0 || to >= from->stages || from->stage_rank[to] == rank) continue;
        append(w, rank, forward ? WEFT_SEND_F : WEFT_SEND_B, a.stage, a.microbatch);
        append(w, from->stage_rank[to], forward ? WEFT_RECV_F : WEFT_RECV_B, (uint32_t)to, a.microbatch);
    }
}

weft_schedule *build_with_messages(const weft_schedule *from)
{
    size_t total = 3 * from->first[from->ranks], count = 0;
    weft_schedule *out = zeroed(1, sizeof *out);
    *out = *from;
    out->has_messages = true;
    out->stage_rank = zeroed((size_t)out->stages, sizeof *out->stage_rank);
    memcpy(out->stage_rank, from->stage_rank, (size_t)out->stages * sizeof *out->stage_rank);
    out->first = zeroed((size_t)out->ranks + 1, sizeof *out->first);
    out->actions = zeroed(total, sizeof *out->actions);
    writer *w = zeroed(1, sizeof *w);
    for (int32_t rank = 0; rank < out->ranks; rank++) w->rows[rank] = zeroed(total, sizeof *w->rows[0]);
    for (int32_t rank = 0; rank < out->ranks; rank++) write_rank(w, from, rank);
    for (int32_t rank = 0; rank < out->ranks; rank++) {
        for (size_t i = 0; i < w->counts[rank]; i++) out->actions[count++] = w->rows[rank][i];
        out->first[rank + 1] = count;
        weft_free(w->rows[rank]);
    }
    weft_free(w);
    return out;
}

void build_sizes(dice *d, int32_t stages, stage_sizes *out)
{
    static const size_t choices[] = {0, 1, 64, 100, 128, 4096};
    for (int32_t s = 0; s < stages; s++) {
        out->input[s] = choices[dice_roll(d, 6)];
        out->stash[s] = choices[dice_roll(d, 6)];
        out->work[s] = choices[dice_roll(d, 6)];
        out->cost[s] = dice_roll(d, 5);
    }
    out->view = (weft_slot_sizes){out->input, out->stash, out->work};
}

weft_lower_options build_options(dice *d, const stage_sizes *sizes)
{
    weft_shard shard = (weft_shard)dice_roll(d, WEFT_SHARDS);
    int32_t data = dice_roll(d, 2) ? 1 : 2 + (int32_t)dice_roll(d, 3);
    return (weft_lower_options){.update = dice_roll(d, 4) > 0,
                                .data = data,
                                .tensor = dice_roll(d, 3) ? 1 : 2 + (int32_t)dice_roll(d, 2),
                                .shard = shard,
                                .weight_buffers = (int32_t)dice_roll(d, 4),
                                .gradient_buffers = shard >= WEFT_SHARD_GRADIENTS ? (int32_t)dice_roll(d, 4) : 0,
                                .norm = dice_roll(d, 2),
                                .clip = dice_roll(d, 2),
                                .tied = dice_roll(d, 2),
                                .metrics = dice_roll(d, 2),
                                .skip = dice_roll(d, 3) == 0,
                                .sizes = dice_roll(d, 8) ? &sizes->view : NULL,
                                .stage_cost = dice_roll(d, 2) ? sizes->cost : NULL};
}
