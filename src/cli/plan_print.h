/* What `weft plan` prints: one table of columns for text, CSV and JSON. Internal to cli/. */
#ifndef WEFT_CLI_PLAN_PRINT_H
#define WEFT_CLI_PLAN_PRINT_H

#include "cli/plan_case.h"

/* The only case, best first. */
void weft_plan_print_text(const weft_planning *p, weft_text *out);
/* The best of each case, one line each. marks: (case_count) a character behind the batch; NULL: none. */
void weft_plan_print_cases(const weft_planning *p, const char *marks, weft_text *out);
void weft_plan_print_csv(const weft_planning *p, weft_text *out);
void weft_plan_print_json(const weft_planning *p, weft_text *out);

/* Counts by reason; the nearest miss of each schedule, and what would make it fit. */
weft_status weft_plan_print_refused(const weft_plan_case *which, weft_text *out, weft_error *error) WEFT_CHECKED;

/* Of a row, counted from 0: parts of time and memory, what limits it, its neighbours, where the inputs are from. */
weft_status weft_plan_print_row(const weft_plan_case *which, size_t row, bool exact, weft_text *out,
                                weft_error *error) WEFT_CHECKED;

/* What if: the front of hours and money and its knee, GPUs that reach the days, schedules against each other. */
weft_status weft_plan_print_what_if(const weft_planning *p, weft_text *out, weft_error *error) WEFT_CHECKED;
void weft_plan_print_rivals(const weft_planning *p, weft_text *out);

/* The pictures that are asked for. */
weft_status weft_plan_pictures(const weft_planning *p, const weft_arguments *arguments, weft_error *error) WEFT_CHECKED;

#endif
