/*
 * parallel.auto: the layout of a run, chosen by the plan for its model, its batch and this machine.
 *
 * The batch, batch.microbatches x batch.sequences x parallel.data as configured, stays; so does what the user has set
 * himself: keys in the file where parallel.auto stands there too, and keys on the command line.
 *
 * Internal to cli/.  Threads: main's.
 */
#ifndef WEFT_CLI_AUTO_H
#define WEFT_CLI_AUTO_H

#include "config/config.h"
#include "plan/machine.h"

#include <signal.h>

typedef struct weft_cli_auto {
    bool resumes;  /* the layout of the latest checkpoint is kept, where it fits what is configured */
    bool measures; /* this machine, where nobody has yet; else the layout stays as configured */
} weft_cli_auto;

/* Chooses for a configuration with parallel.auto, or with parallel.placement: auto (train/job.h), with origin "plan";
 * does nothing for others. said: a line for each thing that the user should know. WEFT_INVALID where nothing fits, with
 * what would; WEFT_STOPPED. */
weft_status weft_cli_auto_choose(weft_config *config, const weft_cli_auto *how, weft_text *said,
                                 weft_error *error) WEFT_CHECKED;

/* Says these lines on standard error. */
void weft_cli_auto_tell(const char *said);

/* The same for a machine that is known; nothing is read, measured or said. *out_step: predicted, in seconds. */
weft_status weft_cli_auto_plan(weft_config *config, const weft_plan_cluster *cluster, double *out_step,
                               weft_error *error) WEFT_CHECKED;

enum { WEFT_CLI_AUTO_STAGES = 4096 }; /* of a layout that is chosen */

/* Sequences of a step. */
static inline int64_t weft_cli_auto_batch(const weft_config *config)
{
    return config->batch.microbatches * config->batch.sequences * config->parallel.data;
}

/* The machine for so many workers, and its file (auto_machine.c). */

/* Measures this machine, with progress on standard error, and writes the file. */
weft_status weft_cli_auto_measure(const weft_config *config, int32_t workers, int64_t batch, const char *path,
                                  weft_arena *arena, weft_plan_cluster *out, weft_error *error) WEFT_CHECKED;
/* That of parallel.cluster, or the one kept in the run folder if it was measured for what is configured; else it is
 * measured, or, unless measures, *out_known is false. path: which file, the caller's to fini. */
weft_status weft_cli_auto_machine(const weft_config *config, bool measures, weft_arena *arena, weft_plan_cluster *out,
                                  bool *out_known, weft_text *path, weft_error *error) WEFT_CHECKED;

#endif
