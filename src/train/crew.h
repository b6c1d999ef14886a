/*
 * A crew: all workers of a job, each with its endpoint of the transport, as threads of this process or with this
 * process as one of them. What a worker does is the caller's. Internal to train/.
 *
 * Threads: weft_crew_run is called by one; work and leave run in each worker's own, leave of a worker whose thread did
 * not start in the caller's.
 */
#ifndef WEFT_TRAIN_CREW_H
#define WEFT_TRAIN_CREW_H

#include "train/job.h"
#include "transport/transport.h"

typedef struct weft_crew {
    void *context;
    /* What worker number `rank` does; takes the transport. After an error it has told the others to stop. */
    weft_status (*work)(void *context, int32_t rank, weft_transport *transport, weft_error *error);
    /* Gives back what work took, the transport first. Called for every rank of this process, also where work was not
     * reached, by all at the same time: a worker may hold what it borrowed from another until it leaves. */
    void (*leave)(void *context, int32_t rank);
    /* Told by a thread of its own, with the name of the transport, when not all processes have come within the
     * configuration's timeout: nothing breaks off the calls that wait for them, so it has to end the process. NULL:
     * they are waited for. */
    void (*late)(void *context);
} weft_crew;

/* The first cause when several workers fail. Where workers are processes the caller has started
 * theirs (weft_transport_processes). */
weft_status weft_crew_run(const weft_job *job, const weft_crew *crew, weft_error *error) WEFT_CHECKED;

#endif
