/* What a run tells its observer; report/ turns it into progress lines and metrics.jsonl. */
#ifndef WEFT_TRAIN_RECORD_H
#define WEFT_TRAIN_RECORD_H

#include "program/program.h"

typedef enum weft_skipped { WEFT_NOT_SKIPPED, WEFT_SKIPPED_LOSS, WEFT_SKIPPED_NORM } weft_skipped;

/* Means over target tokens, nats. */
typedef struct weft_source_loss {
    const char *path; /* as data.sources has it */
    double loss;      /* NAN where none of the step's targets is of this source */
    int64_t targets;
} weft_source_loss;

typedef struct weft_step_record {
    int64_t step, steps; /* this one, counted from 1; all */
    double loss;         /* what is trained; mean over target tokens, nats */
    bool adds;           /* that is more than the cross entropy (loss.z, loss.label_smoothing), which is then: */
    double cross_entropy;
    const weft_source_loss *sources; /* of the same loss; one for each path of several data.sources */
    int32_t source_count;            /* 0: there are none */
    double gradient_norm, learning_rate;
    weft_skipped skipped; /* optimizer.skip: whether, and for which figure, the step has changed nothing */
    double limit;         /* that figure's, of a step that was skipped; NAN where the figure is not finite */
    double seconds;       /* of the step */
    double tokens_per_second;
    double flops_per_second, peak; /* model flops by docs/metrics.md; measured peak of all workers, 0 when unknown */
    double seconds_left;
    int32_t ranks;
    const double *bubble; /* (ranks) measured share of each rank's compute lane that was idle */
} weft_step_record;

/* A step whose actions were timed. */
typedef struct weft_timeline_record {
    int64_t step;
    bool drawn, kept; /* run.timeline_step; one of run.timelines, or the drawn one beside them */
    double begin,
        end; /* of the whole step: reading data comes before the first action, telling others after the last */
    const weft_timeline *measured; /* of all ranks, seconds from when the first rank began the program */
} weft_timeline_record;

typedef struct weft_evaluation_record {
    int64_t step;
    double loss;           /* mean over target tokens, nats */
    double bits_per_byte;  /* 0 when bytes per token are not known */
    int64_t tokens, bytes; /* targets, and bytes of text that they stand for, 0 when not known */
} weft_evaluation_record;

#endif
