/*
 * How long to sleep before a device is looked at again: until it says that it may have ended something, or, where it
 * cannot tell, ever longer. Internal to train/.
 */
#ifndef WEFT_TRAIN_LOOK_H
#define WEFT_TRAIN_LOOK_H

#include <stdint.h>

typedef struct weft_look {
    double seconds; /* of the next sleep; 0: the shortest */
} weft_look;

/* Seconds to sleep. due: by weft_clock_nanoseconds, INT64_MAX: not known. Something has moved: begin with {0}. */
double weft_look_next(weft_look *look, int64_t due);

#endif
