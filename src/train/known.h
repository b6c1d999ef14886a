/*
 * What a device said of its workspace, kept for whoever builds many jobs of one model on one kind of device: jobs that
 * differ in how they are divided ask for few shapes, and some devices take milliseconds for each.
 *
 * Owns: its rows.  Lifetime: create to destroy.  Threads: any, several at once.
 */
#ifndef WEFT_TRAIN_KNOWN_H
#define WEFT_TRAIN_KNOWN_H

#include "model/model.h"

typedef struct weft_known weft_known;

weft_status weft_known_create(weft_known **out, weft_error *error) WEFT_CHECKED;
void weft_known_destroy(weft_known *known); /* accepts NULL */

/* What weft_stage_space_ask says of the shape. Model, kind of device and element are the same whenever one is asked. */
weft_status weft_known_space(weft_known *known, const weft_stage_shape *shape, weft_stage_space *out,
                             weft_error *error) WEFT_CHECKED;

#endif
