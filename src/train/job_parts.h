/*
 * The steps in which a job is built, in this order (job_build.c). Each fills fields of the job from the configuration
 * and from those that are there. Internal to train/job_*.c.
 *
 * Threads: any.
 */
#ifndef WEFT_TRAIN_JOB_PARTS_H
#define WEFT_TRAIN_JOB_PARTS_H

#include "plan/split.h"
#include "train/job.h"

/* How the layers are divided over stages, and at what cost; in the job's arena. */
typedef struct weft_job_split {
    weft_split_problem problem;
    int32_t *layers; /* (S) */
    double *cost;    /* (4, S) forward, input gradient, weight gradient, update: in flops */
} weft_job_split;

/* WEFT_INVALID where tensor-parallel workers cannot divide the model. */
weft_status weft_job_check_slices(const weft_config *config, weft_error *error) WEFT_CHECKED;

/* Fills tied, tied_alias, tied_embedding, tied_head, elements and block_first; needs parameters, frozen and schedule.
 */
weft_status weft_job_find_tied(weft_job *job, weft_error *error) WEFT_CHECKED;

/* Fills data, workers, shard, weight_pages and gradient_pages. */
void weft_job_arrange_data(weft_job *job);

/* What the schedule is to be made with where it is a kind, and no file. */
weft_schedule_options weft_job_schedule_options(const weft_config *config);

/* What is to be split, of all of the above; its layers are in the job's arena. */
weft_status weft_job_pose_split(weft_job *job, weft_split_problem *out, weft_error *error) WEFT_CHECKED;

/* All of that, for a job as weft_job_build takes it. */
weft_status weft_job_pose(const weft_config *config, weft_job *job, weft_split_problem *out,
                          weft_error *error) WEFT_CHECKED;

/* Fills stages, input_share and all of *split but its problem, which is there. WEFT_INVALID where parallel.stages does
 * not fit. */
weft_status weft_job_divide_layers(weft_job *job, weft_job_split *split, weft_error *error) WEFT_CHECKED;

/* What the train program holds besides the schedule; sizes: of its slots, or NULL. */
weft_lower_options weft_job_lowering(const weft_job *job, const weft_slot_sizes *sizes);

/* Fills train, forward, slots, slot_messages, scratch and kept. prove: WEFT_INVALID where a program is not valid. */
weft_status weft_job_lower(weft_job *job, const weft_job_split *split, bool prove, weft_error *error) WEFT_CHECKED;

/* Fills predicted, predicted_bubble and predicted_efficiency. */
weft_status weft_job_predict(weft_job *job, const weft_job_split *split, weft_error *error) WEFT_CHECKED;

#endif
