/* `weft plan MODEL --measure FILE`: this machine as a cluster. Internal to cli/. */
#ifndef WEFT_CLI_PLAN_MEASURE_H
#define WEFT_CLI_PLAN_MEASURE_H

#include "cli/verb.h"

/* MODEL has to be a run of weft. WEFT_INVALID for options that are about plans; WEFT_STOPPED. */
weft_status weft_plan_measure(const weft_arguments *arguments, weft_error *error) WEFT_CHECKED;

#endif
