/*
 * One deferred device for several workers, as one GPU has them: each has a handle of its own, all have the same memory,
 * streams and events. Does what transports and sums ask of a device, nothing else.
 *
 * Owns: a handle nothing but itself; the shared device is destroyed after all handles.  Threads: any; a handle has one.
 */
#ifndef WEFT_TESTS_SHARED_DEVICE_H
#define WEFT_TESTS_SHARED_DEVICE_H

#include "device/device.h"

typedef struct shared_device shared_device;

weft_status shared_device_create(weft_element element, shared_device **out, weft_error *error);
void shared_device_destroy(shared_device *shared); /* accepts NULL */
weft_status shared_device_open(shared_device *shared, weft_device **out, weft_error *error);

#endif
