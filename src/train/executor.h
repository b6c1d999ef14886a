/*
 * Runs one rank's lanes of a program and records when each action began and ended. Internal to train/.
 *
 * Threads: the worker's.
 */
#ifndef WEFT_TRAIN_EXECUTOR_H
#define WEFT_TRAIN_EXECUTOR_H

#include "train/worker.h"

/* Lives in the worker's arena. stages: (S) */
weft_status weft_executor_create(weft_worker *worker, const weft_program *program, weft_stage **stages,
                                 weft_executor **out, weft_error *error) WEFT_CHECKED;
void weft_executor_destroy(weft_executor *executor); /* gives back its events; accepts NULL */
weft_status weft_executor_run(weft_executor *executor, weft_error *error) WEFT_CHECKED;

/* Runs one action of this rank at once, whatever comes before it, to its end; a message or a collective needs the other
 * ranks to do the same. out_seconds: from its begin. */
weft_status weft_executor_run_alone(weft_executor *executor, uint32_t action, double *out_seconds,
                                    weft_error *error) WEFT_CHECKED;

/* Times of this rank's actions in the last run, seconds from its start; begin and end: (own actions). */
void weft_executor_times(const weft_executor *executor, double *begin, double *end);
int64_t weft_executor_start(const weft_executor *executor);  /* weft_clock_nanoseconds of that start */
uint32_t weft_executor_count(const weft_executor *executor); /* actions of this rank */
double weft_executor_busy(const weft_executor *executor);    /* seconds of the compute lane in the last run */

#endif
