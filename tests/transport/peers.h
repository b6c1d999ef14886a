/*
 * An ordered transport for tests, between workers of one process whose devices reach each other's memory: the host
 * pairs what both sides were asked for, the rest is the devices'. The receiver's stream waits for the sender's, copies,
 * and the sender's waits for the copy. Nobody waits for a device, but calls for each other until a transfer has its
 * place. Transfers without a stream, and control, are the inner endpoint's.
 *
 * Owns: the hub what was asked for; an endpoint the inner one.  Threads: an endpoint's own; the hub's: any.
 */
#ifndef WEFT_TESTS_PEERS_H
#define WEFT_TESTS_PEERS_H

#include "device/device.h"
#include "transport/transport.h"

typedef struct peers_hub peers_hub;

/* groups stay the caller's. */
weft_status peers_hub_create(const weft_group *groups, int32_t group_count, peers_hub **out, weft_error *error);
void peers_hub_destroy(peers_hub *hub); /* accepts NULL; after all endpoints */
/* Takes the inner endpoint over when it succeeds. */
weft_status peers_create(peers_hub *hub, weft_transport *inner, weft_transport **out, weft_error *error);

#endif
