#include "schedule/kinds.h"

#include <string.h>

/* Reasons for what several stages a rank do not go with; `any` allows the placement. */
static const char any[] = "";
static const char wait_loop[] = "a micro-batch would cross every rank again and again with nothing beside it; "
                                "take depth-first, which is 1f1b over looped stages, or placement linear";
static const char wait_split[] = "a micro-batch would cross every rank again and again with nothing beside it; "
                                 "take interleaved-zero-bubble, or placement linear";
static const char next_door[] = "the next stage of a micro-batch would be on the same rank, so that turning to other "
                                "micro-batches gains nothing; take 1f1b, or placement loop";
static const char whole_batch[] = "each rank would wait until the one before it had done all micro-batches of all but "
                                  "its last stage; take gpipe, or placement loop";
static const char only_v[] = "it turns round on the last rank; take placement v";

/* WHOLE where one function orders all ranks.
 * KIND(order function, name, split, stages a rank, least M / P, grouped, rounds, own placement, why not linear,
 * loop, v, any other list, summary) */
#define KINDS                                                                                                          \
    KIND(sequential, "sequential", false, 0, 0, false, false, LINEAR, any, any, any, any,                              \
         "layer-wise model parallelism: one micro-batch at a time, one rank busy at a time")                           \
    KIND(gpipe, "gpipe", false, 0, 0, false, false, LINEAR, any, any, any, any,                                        \
         "all micro-batches forward, then all backward")                                                               \
    KIND(1f1b, "1f1b", false, 0, 0, false, false, LINEAR, any, wait_loop, wait_loop, wait_loop,                        \
         "one forward, one backward: few activations held, the bubble of gpipe")                                       \
    KIND(depth_first, "depth-first", false, 0, 0, false, true, LOOP, next_door, any, any, any,                         \
         "interleaved 1f1b over looped stages, micro-batches in rounds of P, or of a few more")                        \
    KIND(depth_first_gaps, "depth-first-gaps", false, 0, 0, false, true, LOOP, next_door, any, any, any,               \
         "depth-first in rounds of P always, the last with gaps: held as if P divided M")                              \
    KIND(breadth_first, "breadth-first", false, 0, 0, false, false, LOOP, whole_batch, any, any, any,                  \
         "looped stages, all micro-batches of a stage before the rank's next stage")                                   \
    KIND(breadth_first_descending, "breadth-first-descending", false, 0, 0, false, false, LOOP, whole_batch, any, any, \
         any, "breadth-first with the last micro-batch first on the way back")                                         \
    KIND(hybrid, "hybrid", false, 0, 0, true, true, LOOP, next_door, any, any, any,                                    \
         "between depth-first and breadth-first: micro-batches in groups of K (--group)")                              \
    KIND(zb_h1, "zb-h1", true, 0, 0, false, false, LINEAR, any, wait_split, wait_split, wait_split,                    \
         "zero bubble H1: 1f1b with split backward, a third of its bubble, its memory")                                \
    KIND(zb_h2, "zb-h2", true, 0, 0, false, false, LINEAR, any, wait_split, wait_split, wait_split,                    \
         "zero bubble H2: no rank idle from its start to its end at equal times, twice the memory")                    \
    KIND(interleaved_zero_bubble, "interleaved-zero-bubble", true, 0, 0, false, true, LOOP, next_door, any, any, any,  \
         "depth-first with split backward")                                                                            \
    KIND(interleaved_zero_bubble_gaps, "interleaved-zero-bubble-gaps", true, 0, 0, false, true, LOOP, next_door, any,  \
         any, any, "depth-first-gaps with split backward")                                                             \
    KIND(breadth_first_split, "breadth-first-split", true, 0, 0, false, true, LOOP, whole_batch, any, any, any,        \
         "breadth-first with split backward: weight gradients where ranks would be idle")                              \
    KIND(zb_v, "zb-v", true, 2, 0, false, false, V, only_v, only_v, any, only_v,                                       \
         "zero bubble on a v: none idle from start to end at equal times, in the memory of 1f1b")                      \
    KIND(dualpipe_v, "dualpipe-v", true, 2, 2, false, false, V, only_v, only_v, any, only_v,                           \
         "forward and backward passes in pairs on a v, from both ends of the pipeline")                                \
    WHOLE(v_half, "v-half", true, 2, 0, false, false, V, only_v, only_v, any, only_v,                                  \
          "half the bubble of 1f1b in half its memory, on a v")                                                        \
    WHOLE(v_min, "v-min", true, 2, 0, false, false, V, only_v, only_v, any, only_v,                                    \
          "two thirds of the bubble of 1f1b in a third of its memory, on a v")

static const weft_schedule_kind kinds[] = {
#define ROW(name, split, loops, least, grouped, rounds, placement, no_linear, no_loop, no_v, no_list, summary, order,  \
            whole)                                                                                                     \
    {name,                                                                                                             \
     summary,                                                                                                          \
     split,                                                                                                            \
     grouped,                                                                                                          \
     rounds,                                                                                                           \
     loops,                                                                                                            \
     least,                                                                                                            \
     WEFT_PLACEMENT_##placement,                                                                                       \
     {no_linear, no_loop, no_v, no_list},                                                                              \
     order,                                                                                                            \
     whole},
#define KIND(function, ...) ROW(__VA_ARGS__, weft_order_##function, NULL)
#define WHOLE(function, ...) ROW(__VA_ARGS__, NULL, weft_order_##function)
    KINDS
#undef WHOLE
#undef KIND
#undef ROW
};

static const char *const kind_names[] = {
#define KIND(function, name, ...) name,
#define WHOLE(function, name, ...) name,
    KINDS
#undef WHOLE
#undef KIND
        NULL};

const char *const *weft_schedule_kind_names(void)
{
    return kind_names;
}

const weft_schedule_kind *weft_schedule_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

const char *weft_schedule_kind_summary(const char *name)
{
    const weft_schedule_kind *kind = weft_schedule_kind_find(name);
    return kind ? kind->summary : NULL;
}
