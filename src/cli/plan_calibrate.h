/* --calibrate: constants of a cluster from measured runs of it. */
#ifndef WEFT_CLI_PLAN_CALIBRATE_H
#define WEFT_CLI_PLAN_CALIBRATE_H

#include "base/text.h"
#include "plan/fit.h"

/* Fits the cluster to the runs of a CSV file (docs/plan.md) and says in out what was fitted, how well, and how many
 * rows could not be used for which reason. The cluster borrows from fit, which is the caller's to fini. */
weft_status weft_plan_calibrate(const char *path, weft_plan_cluster *cluster, weft_plan_fit *fit, weft_text *out,
                                weft_error *error) WEFT_CHECKED;

#endif
