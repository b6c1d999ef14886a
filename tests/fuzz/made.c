#include "made.h"

#include <stdio.h>

/* The kind's own placement, one by name, or a rank for each stage. */
static const char *place(fuzz_source *from, int32_t ranks, char list[2 * MADE_STAGES])
{
    static const char *const names[] = {NULL, NULL, "linear", "loop", "v"};
    uint32_t choice = fuzz_below(from, 6);
    if (choice < 5) return names[choice];
    int stages = ranks + (int)fuzz_below(from, 8);
    for (int s = 0; s < stages; s++)
        snprintf(list + 2 * s, 3, "%u,", s < ranks ? (unsigned)(ranks - 1 - s) : fuzz_below(from, (uint32_t)ranks));
    list[2 * stages - 1] = '\0';
    return list;
}

/* As the kind makes it, its forward passes alone, or with its messages written out. */
static void derive(made *it, fuzz_source *from)
{
    weft_schedule *other = NULL;
    weft_error error;
    weft_error_clear(&error);
    uint32_t choice = fuzz_below(from, 8);
    if (choice > 1) return;
    weft_status status = choice ? weft_schedule_write_out_messages(it->schedule, true, &other, &error)
                                : weft_schedule_forward(it->schedule, &other, &error);
    fuzz_check(status == WEFT_OK, error.text);
    weft_schedule_destroy(it->schedule);
    it->schedule = other;
}

static bool make_schedule(made *it, const made_limits *most, fuzz_source *from)
{
    char list[2 * MADE_STAGES];
    uint32_t kinds = 0;
    while (weft_schedule_kind_names()[kinds]) kinds++;
    weft_schedule_options options = {.kind = weft_schedule_kind_names()[fuzz_below(from, kinds)],
                                     .ranks = 1 + (int32_t)fuzz_below(from, most->ranks),
                                     .loops = (int32_t)fuzz_below(from, most->loops + 1),
                                     .microbatches = 1 + (int32_t)fuzz_below(from, most->microbatches),
                                     .group = (int32_t)fuzz_below(from, 13)};
    options.placement = place(from, options.ranks, list);
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_schedule_create(&options, &it->schedule, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) derive(it, from);
    return status == WEFT_OK;
}

static void fill(made *it, fuzz_source *from)
{
    static const size_t bytes[] = {0, 1, 64, 100, 128, 4096};
    for (int32_t s = 0; s < it->schedule->stages; s++) {
        it->input[s] = bytes[fuzz_below(from, 6)];
        it->stash[s] = bytes[fuzz_below(from, 6)];
        it->work[s] = bytes[fuzz_below(from, 6)];
        for (int k = 0; k < 5; k++) it->times[k][s] = fuzz_below(from, 16) / 4.0;
    }
    it->sizes = (weft_slot_sizes){it->input, it->stash, it->work};
    it->costs = (weft_costs){.forward = it->times[0],
                             .backward_input = it->times[1],
                             .backward_weight = it->times[2],
                             .update = it->times[3],
                             .gathers = it->times[4],
                             .message = fuzz_below(from, 8) / 4.0,
                             .reduce = fuzz_below(from, 8) / 4.0};
}

static weft_lower_options options_of(const made *it, fuzz_source *from)
{
    weft_shard shard = (weft_shard)fuzz_below(from, WEFT_SHARDS);
    uint32_t ends = fuzz_below(from, 256);
    return (weft_lower_options){.update = ends & 1,
                                .norm = ends & 2,
                                .clip = ends & 4,
                                .tied = ends & 8,
                                .metrics = ends & 16,
                                .skip = ends & 128,
                                .sizes = ends & 32 ? &it->sizes : NULL,
                                .stage_cost = ends & 64 ? it->times[0] : NULL,
                                .data = 1 + (int32_t)fuzz_below(from, 3),
                                .tensor = 1 + (int32_t)fuzz_below(from, 2),
                                .shard = shard,
                                .weight_buffers = (int32_t)fuzz_below(from, 4),
                                .gradient_buffers = shard >= WEFT_SHARD_GRADIENTS ? (int32_t)fuzz_below(from, 4) : 0};
}

bool made_init(made *it, const made_limits *most, fuzz_source *from)
{
    *it = (made){0};
    if (!make_schedule(it, most, from)) return false;
    fill(it, from);
    weft_lower_options options = options_of(it, from);
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_program_create(it->schedule, &options, &it->program, &error) == WEFT_OK, error.text);
    fuzz_check(weft_program_verify(it->program, &error) == WEFT_OK, error.text);
    return true;
}

void made_fini(made *it)
{
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}
