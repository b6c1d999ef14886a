/*
 * A layout by the program that would train it: schedule, lowering with what it shards, proof, simulation with the costs
 * of its stages. Exact where the closed forms of a screen are not.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_REPLAY_H
#define WEFT_PLAN_REPLAY_H

#include "plan/screen.h"
#include "simulate/simulate.h"

/* Above so many actions the closed form stands for the replay. */
#define WEFT_PLAN_REPLAY_ACTIONS 2e6

/* About how many actions the program of a layout has. */
double weft_plan_replay_actions(const weft_plan_layout *layout);

typedef struct weft_plan_replayed {
    bool exact;                        /* replayed; else by closed forms */
    weft_plan_time time;               /* parts of the rank that evenly divided has most to do, and what it waits for */
    weft_plan_memory memory;           /* with the activations that the program holds */
    bool counted;                      /* the memory is what the trainer counts; else by closed forms */
    double bubble;                     /* of the step, mean over the ranks */
    double cause[WEFT_BUBBLE_CAUSES];  /* shares of the step; zeros where it is not exact */
    double hidden;                     /* share of gathers and reductions that is hidden; NAN where there are none */
    int32_t first_layers, last_layers; /* of the first and the last stage */
    bool divided;                      /* layers by weft_plan_divide; else evenly, or as decided */
    uint32_t actions;
} weft_plan_replayed;

/* WEFT_INVALID when the layout has no such program. */
weft_status weft_plan_replay(const weft_plan_question *question, const weft_plan_layout *layout,
                             weft_plan_replayed *out, weft_error *error) WEFT_CHECKED;

/* Layers of each stage, (S). Evenly: the first stages get what is left over, but for runs whose edges have a layer
 * less. Else so that a step is shortest as simulated, by what layers, embedding and head cost; deterministic. */
void weft_plan_divide_evenly(const weft_plan_model *model, const weft_plan_layout *layout, int32_t *out_layers);
weft_status weft_plan_divide(const weft_plan_question *question, const weft_plan_layout *layout, int32_t *out_layers,
                             weft_error *error) WEFT_CHECKED;

#endif
