/*
 * What would make a question have an answer: the smallest changes that fit, each found by trying it.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_ADVICE_H
#define WEFT_PLAN_ADVICE_H

#include "plan/moves.h"

/* The fewest GPUs of this kind that hold the model, all else as the question has it; 0: no number does. */
weft_status weft_plan_least_gpus(const weft_plan_question *question, int64_t *out, weft_error *error) WEFT_CHECKED;

/* Of a layout that does not fit: the fastest neighbour that does. *out_found false: none is one step away. */
weft_status weft_plan_rescue(const weft_plan_question *question, const weft_plan_layout *layout, weft_plan_move *out,
                             bool *out_found, weft_error *error) WEFT_CHECKED;

/* WEFT_INVALID, in one line: that no layout of the question fits, by how much, and the smallest change. screened: the
 * answer that has none. */
weft_status weft_plan_refuse(const weft_plan_question *question, const weft_plan_screened *screened, weft_error *error);

#endif
