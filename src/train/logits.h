/*
 * The logits of an evaluation on their way to a file: every worker that has some of a batch writes them where they
 * belong, and nothing is kept longer than a batch. Internal to train/.
 *
 * The file gets its name when it is whole; until then it is FILE.tmp.
 *
 * Owns: its descriptor and a buffer.  Lifetime: that of the loop.  Threads: the worker's.
 */
#ifndef WEFT_TRAIN_LOGITS_H
#define WEFT_TRAIN_LOGITS_H

#include "train/loop_parts.h"

typedef struct weft_logits weft_logits;

/* WEFT_INVALID when the path cannot become a file: its folder is missing, or it is something else already. */
weft_status weft_logits_check(const char *path, weft_error *error) WEFT_CHECKED;

/* Makes the file for so many sequences and opens it, collective; nothing where no logits are wanted. What a worker
 * meets here and below is trouble. */
weft_status weft_logits_begin(weft_loop *loop, int64_t sequences, weft_error *error) WEFT_CHECKED;

/* Those of the batch that ran last, which began with that sequence. */
weft_status weft_logits_write(weft_loop *loop, int64_t first, weft_error *error) WEFT_CHECKED;

/* Gives the file its name when all have written without trouble; collective. */
weft_status weft_logits_end(weft_loop *loop, weft_error *error) WEFT_CHECKED;

/* Closes it; one that has not got its name is removed. */
void weft_logits_fini(weft_logits *logits);

#endif
