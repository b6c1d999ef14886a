/* What `weft plan` prints: one table of columns for text, CSV and JSON. Internal to cli/. */
#ifndef WEFT_CLI_PLAN_PRINT_H
#define WEFT_CLI_PLAN_PRINT_H

#include "plan/answer.h"

typedef struct weft_plan_case {
    const weft_plan_question *question;
    const weft_plan_answer *answer;
    double tokens; /* to train; 0: not said */
} weft_plan_case;

/* At most top rows of an answer. */
void weft_plan_print_text(const weft_plan_case *which, size_t top, weft_text *out);
void weft_plan_print_csv(const weft_plan_case *which, size_t top, bool header, weft_text *out);
void weft_plan_print_json(const weft_plan_case *which, size_t top, weft_text *out); /* one object */

/* Counts by reason, and the nearest misses. */
void weft_plan_print_refused(const weft_plan_case *which, weft_text *out);

/* Parts of time and memory of a row, counted from 0. */
void weft_plan_print_row(const weft_plan_case *which, size_t row, weft_text *out);

#endif
