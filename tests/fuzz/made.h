/* Programs from bytes: a schedule of any kind, sizes, sharding and costs, all small. */
#ifndef WEFT_TESTS_FUZZ_MADE_H
#define WEFT_TESTS_FUZZ_MADE_H

#include "fuzz.h"
#include "simulate/simulate.h"

enum { MADE_STAGES = 64 };

typedef struct made_limits {
    uint32_t ranks, loops, microbatches;
} made_limits;

typedef struct made {
    weft_schedule *schedule;
    weft_program *program; /* lowered and proved */
    size_t input[MADE_STAGES], stash[MADE_STAGES], work[MADE_STAGES];
    double times[5][MADE_STAGES];
    weft_slot_sizes sizes;
    weft_costs costs;
} made;

/* False where the options make no schedule. Fails when one that was made cannot be lowered, or is not proved. */
bool made_init(made *it, const made_limits *most, fuzz_source *from);
void made_fini(made *it);

#endif
