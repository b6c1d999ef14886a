/*
 * RUN/events.out.tfevents.NUMBER.weft: what TensorBoard reads of a run. Each start of a run writes a file of its own,
 * which sorts behind those that are there: readers take a folder's files by name.
 *
 * Owns: the open file and a buffer, from begin to end.  Threads: one at a time.
 */
#ifndef WEFT_CLI_EVENT_FILE_H
#define WEFT_CLI_EVENT_FILE_H

#include "base/text.h"
#include "train/record.h"

typedef struct weft_event_file {
    int descriptor; /* -1: none, and what is added goes nowhere */
    char path[4200];
    weft_text bytes;
} weft_event_file;

void weft_event_file_init(weft_event_file *file); /* nothing is written */
/* Begins a file in the folder, for steps behind this one. WEFT_FAILED. */
weft_status weft_event_file_begin(weft_event_file *file, const char *folder, int64_t resumed_step,
                                  weft_error *error) WEFT_CHECKED;
weft_status weft_event_file_step(weft_event_file *file, const weft_step_record *record, weft_error *error) WEFT_CHECKED;
weft_status weft_event_file_evaluation(weft_event_file *file, const weft_evaluation_record *record,
                                       weft_error *error) WEFT_CHECKED;
weft_status weft_event_file_end(weft_event_file *file, weft_error *error); /* frees; also reports a failed close */

#endif
