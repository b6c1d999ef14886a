/*
 * Going on from a checkpoint: is there one, and was it trained as this run is configured? Internal to train/.
 *
 * Threads: the caller's, before workers start.
 */
#ifndef WEFT_TRAIN_RESUME_H
#define WEFT_TRAIN_RESUME_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "train/job.h"

/* *out stays NULL when the run folder holds no checkpoint. WEFT_INVALID when it holds one and resume is false, when it
 * is one itself, when the checkpoint is not what its own configuration says, when the model is another (naming the key)
 * or the tokenizer. notes: lines about what differs from the run that wrote it: keys on which the bits, the place in
 * the data or the learning rate depend; and that there was none to go on from. */
weft_status weft_resume_open(const weft_job *job, bool resume, weft_checkpoint **out, weft_text *notes,
                             weft_error *error) WEFT_CHECKED;

/* After that, when the data are open: text may have been tokenised meanwhile. WEFT_INVALID when they are others. */
weft_status weft_resume_check(const weft_job *job, const weft_data *data, const weft_checkpoint *checkpoint,
                              weft_error *error) WEFT_CHECKED;

#endif
