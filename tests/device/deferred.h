/*
 * The deferred device: the reference operations, run late, on memory that the host cannot touch. What is right on it is
 * ready for a device that works beside the host.
 *
 * Operations go into queues, one a stream; they run in a random order that streams and events allow, some when they are
 * given, some when the host asks or waits. Device memory is out of the host's reach: an access ends the process. Pinned
 * memory is read when a copy runs, not when it is given. Unwritten and released memory holds NaN (the integer -1).
 * Operands that are not the instance's device memory (of copies from and to the host, pinned memory) are an error.
 * Guard pages surround every block.
 *
 * Environment, read by create:
 *   WEFT_DEFERRED_SEED   which order; seeds 3 n + 1 run nothing before it is asked for, 3 n + 2 some, 3 n all that can;
 *                        0: everything in the order in which it was given, as soon as it can
 *   WEFT_DEFERRED_DELAY  microseconds from when an event's work ran to when the event is reached; the seed is 0 then
 *                        unless it is given
 *
 * A machine has three, deferred:0 to deferred:2: the index goes into the order.
 *
 * Owns: an instance owns its streams, and the blocks that were released, until its end. Threads: as any device.
 */
#ifndef WEFT_TESTS_DEVICE_DEFERRED_H
#define WEFT_TESTS_DEVICE_DEFERRED_H

#include "device/device.h"

extern const weft_device_kind weft_device_deferred;

/* How often event_done was asked in this process, by all instances. */
int64_t deferred_polls(void);

#endif
