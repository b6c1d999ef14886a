/*
 * TensorBoard event files: what metrics.jsonl says of steps and evaluations, in the format of its "brain.Event:2"
 * files.
 *
 * A file is a row of records: uint64 length, masked CRC-32C of it, data, masked CRC-32C of the data; data is an Event
 * of tensorflow's event.proto. What is unknown or not finite is left out. Figures are fp32, as the format has it.
 *
 * Writers append bytes; the caller stores them. wall_time: seconds since 1970. Threads: any.
 */
#ifndef WEFT_REPORT_TENSORBOARD_H
#define WEFT_REPORT_TENSORBOARD_H

#include "base/text.h"
#include "train/record.h"

/* What a file begins with; readers drop what earlier files of the folder have of this step and of later ones. */
void weft_tensorboard_begin(double wall_time, int64_t first_step, weft_text *out);
void weft_tensorboard_step(double wall_time, const weft_step_record *record, weft_text *out);
void weft_tensorboard_evaluation(double wall_time, const weft_evaluation_record *record, weft_text *out);

#endif
