/*
 * RUN/timelines: the measured timelines of some steps of a run, one CSV a step (docs/timeline.md), and config.yaml, the
 * configuration that they were measured with. Written while training, read by weft timeline.
 *
 * Threads: main's, or rank 0's.
 */
#ifndef WEFT_CLI_TIMELINES_H
#define WEFT_CLI_TIMELINES_H

#include "train/train.h"

/* Makes the folder ready for a run that goes on behind a step: later steps go, and all that were measured with another
 * configuration. *out_dropped: how many of those. */
weft_status weft_timelines_begin(const weft_config *config, int64_t step, int64_t *out_dropped,
                                 weft_error *error) WEFT_CHECKED;

weft_status weft_timelines_keep(const weft_config *config, const weft_timeline_record *record,
                                weft_error *error) WEFT_CHECKED;

/* The configuration, and the steps that are there, ascending. WEFT_INVALID when the run has none. The caller ends the
 * configuration also after an error. */
weft_status weft_timelines_open(const char *run, weft_arena *arena, weft_config *config, int64_t **out_steps,
                                size_t *out_count, weft_error *error) WEFT_CHECKED;

/* Fills the record and timeline, which must be of the run's train program. */
weft_status weft_timelines_read(const char *run, int64_t step, weft_timeline *timeline, weft_timeline_record *record,
                                weft_error *error) WEFT_CHECKED;

#endif
