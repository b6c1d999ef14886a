/*
 * What weft's own trainer says of the memory of a layout: the same as `weft train --dry-run`, for the planner.
 *
 * Internal to cli/.  Threads: weft_cli_plan_memory may be called by any.
 */
#ifndef WEFT_CLI_PLAN_SIZES_H
#define WEFT_CLI_PLAN_SIZES_H

#include "plan/sizes.h"
#include "train/job.h"

typedef struct weft_cli_plan_run {
    weft_config config;
    weft_known *known; /* of its model and device; may be NULL */
} weft_cli_plan_run;

/* The configuration of a run (base) as a layout has it trained. layers: (S), for which stages, (S) too, is the room. */
void weft_cli_plan_configure(const weft_config *base, const weft_plan_layout *layout, const int32_t *layers,
                             int64_t *stages, weft_config *out);

/* weft_plan_sizes.memory; context: a weft_cli_plan_run. */
weft_status weft_cli_plan_memory(const void *context, const weft_plan_layout *layout, const int32_t *layers,
                                 weft_plan_memory *out, weft_error *error) WEFT_CHECKED;

#endif
