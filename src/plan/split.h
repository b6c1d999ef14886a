/*
 * Splits a model's layers over stages so that the simulated step time of the chosen schedule is smallest.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_SPLIT_H
#define WEFT_PLAN_SPLIT_H

#include "simulate/simulate.h"

/* Simulated actions after which a search of a very large program keeps the best it has: some seconds. More work never
 * makes a split worse. */
#define WEFT_SPLIT_WORK 5e7

/* Cost of one micro-batch, any one unit. The embedding is always in the first stage and the head in the last. */
typedef struct weft_layer_cost {
    double forward, backward_input, backward_weight, update;
} weft_layer_cost;

typedef struct weft_split_problem {
    const weft_schedule *schedule;
    const weft_layer_cost *layers; /* (L) */
    int32_t layer_count;
    weft_layer_cost embedding, head;
    double message;
    weft_lower_options lower; /* sizes are ignored */
    double work;              /* simulated actions after which the search ends; 0: WEFT_SPLIT_WORK */
} weft_split_problem;

/* out_layers: (S) layers of each stage, zero allowed, adding up to L. out_step_time, out_efficiency may be NULL.
 * Efficiency = compute time of all ranks / (P x step time). Deterministic: ties go to the earlier, more even split. */
weft_status weft_split_layers(const weft_split_problem *problem, int32_t *out_layers, double *out_step_time,
                              double *out_efficiency, weft_error *error) WEFT_CHECKED;

/* Costs of each stage under a given split: (S) each. Also what --dry-run simulates. */
void weft_split_stage_costs(const weft_split_problem *problem, const int32_t *layers, double *forward,
                            double *backward_input, double *backward_weight, double *update);

/* Efficiency and step time of a given split. */
weft_status weft_split_evaluate(const weft_split_problem *problem, const int32_t *layers, double *out_step_time,
                                double *out_efficiency, weft_error *error) WEFT_CHECKED;

#endif
