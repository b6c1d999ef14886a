/* What training programs can do; docs/plan.md says where the numbers come from. */
#include "plan/machine.h"

#include "program/program.h"

#include <string.h>

#define KIND(kind) (1u << WEFT_PLAN_##kind)
#define SHARD(kind) (1u << WEFT_SHARD_##kind)
#define RECOMPUTE(kind) (1u << WEFT_PLAN_RECOMPUTE_##kind)

/* What is presumed of every program until its runs say otherwise. */
#define PRESUMED                                                                                                       \
    .tensor_host = 0.05, .combine = 3, .contention = 0.1, .tensor_exposed = 1, .data_reduce = 1.4, .step = 20e-3,      \
    .optimizer = 8, .weight_bytes = 2, .gradient_bytes = 4, .optimizer_bytes = 12, .logits = 5, .gathered_bytes = 2,   \
    .gather_times = 1, .work = 1.3, .slack = 1.03, .host = 0.4e-3

static const weft_plan_software softwares[] = {
    {.name = "weft",
     .kinds = (1u << WEFT_PLAN_KINDS) - 1,
     .shards = SHARD(NONE) | SHARD(OPTIMIZER) | SHARD(GRADIENTS) | SHARD(WEIGHTS),
     .recomputes = RECOMPUTE(NONE) | RECOMPUTE(FULL),
     .sequence_parallel = true,
     .messages_overlap = true,
     .reduces_overlap = true,
     .shards_messages = true,
     .unfused_host = 0,
     .reduced_bytes = 4,
     .speed = 0.95,
     PRESUMED,
     .origin = WEFT_PLAN_ASSUMED},
    {.name = "megatron-2022",
     .kinds = KIND(NONE) | KIND(GPIPE) | KIND(1F1B) | KIND(DEPTH_FIRST),
     .shards = SHARD(NONE),
     .recomputes = RECOMPUTE(NONE) | RECOMPUTE(SELECTIVE) | RECOMPUTE(FULL),
     .sequence_parallel = true,
     .shards_messages = true,
     .stall = 1e-3,
     .unfused_host = 0.6,
     .reduced_bytes = 2,
     .speed = 0.95,
     PRESUMED,
     .origin = WEFT_PLAN_FITTED},
    {.name = "zero-3",
     .kinds = KIND(NONE),
     .shards = SHARD(NONE) | SHARD(OPTIMIZER) | SHARD(GRADIENTS) | SHARD(WEIGHTS),
     .recomputes = RECOMPUTE(NONE) | RECOMPUTE(FULL),
     .reduces_overlap = true,
     .unfused_host = 0.6,
     .reduced_bytes = 2,
     .speed = 0.8, /* of programs that leave layers to PyTorch; every second product, or layer, is done again there */
     .selective = 0.5,
     PRESUMED,
     .origin = WEFT_PLAN_FITTED},
    {.name = ""},
};

const weft_plan_software *weft_plan_softwares(void)
{
    return softwares;
}

const weft_plan_software *weft_plan_software_find(const char *name)
{
    for (const weft_plan_software *software = softwares; software->name[0]; software++)
        if (strcmp(software->name, name) == 0) return software;
    return NULL;
}
