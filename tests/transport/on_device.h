/*
 * An endpoint for tests that is given bytes of the host and has them travel between the memories of devices: in by a
 * copy, over the inner endpoint with a stream, out by a copy, each request on one of three streams. So every case that
 * is written for host memory is one for device memory.
 *
 * Owns: the inner endpoint; the device is the caller's, and outlives it.  Threads: the endpoint's.
 */
#ifndef WEFT_TESTS_ON_DEVICE_H
#define WEFT_TESTS_ON_DEVICE_H

#include "device/device.h"
#include "transport/transport.h"

/* Attaches the device to the inner endpoint, and takes that over when it succeeds. */
weft_status on_device_create(weft_transport *inner, const weft_group *groups, weft_device *device, weft_transport **out,
                             weft_error *error);
/* What works with device memory itself uses the inner endpoint and this stream. */
weft_transport *on_device_inner(weft_transport *transport);
weft_stream *on_device_stream(weft_transport *transport);

#endif
