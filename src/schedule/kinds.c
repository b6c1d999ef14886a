#include "schedule/kinds.h"

#include <string.h>

/* KIND(order function, name, placement is loop by default, why not linear, why not loop, summary) */
#define KINDS                                                                                                          \
    KIND(sequential, "sequential", false, NULL, NULL,                                                                  \
         "layer-wise model parallelism: one micro-batch at a time, one rank busy at a time")                           \
    KIND(gpipe, "gpipe", false, NULL, NULL, "all micro-batches forward, then all backward")                            \
    KIND(1f1b, "1f1b", false, NULL,                                                                                    \
         "a micro-batch would cross every rank again and again with nothing beside it; "                               \
         "take depth-first, which is 1f1b over looped stages, or placement linear",                                    \
         "one forward, one backward: few activations held, the bubble of gpipe")                                       \
    KIND(depth_first, "depth-first", true,                                                                             \
         "the next stage of a micro-batch would be on the same rank, so that turning to other micro-batches "          \
         "gains nothing; take 1f1b, or placement loop",                                                                \
         NULL, "interleaved 1f1b over looped stages, micro-batches in groups of P")                                    \
    KIND(breadth_first, "breadth-first", true,                                                                         \
         "each rank would wait until the one before it had done all micro-batches of all but its last stage; "         \
         "take gpipe, or placement loop",                                                                              \
         NULL, "looped stages, all micro-batches of a stage before the rank's next stage")

static const weft_schedule_kind kinds[] = {
#define KIND(function, name, loop_default, no_linear, no_loop, summary)                                                \
    {name, summary, loop_default, no_linear, no_loop, weft_order_##function},
    KINDS
#undef KIND
};

static const char *const kind_names[] = {
#define KIND(function, name, loop_default, no_linear, no_loop, summary) name,
    KINDS
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
