/*
 * A transport moves bytes between workers: a const table over local/ (threads of one process) and mpi/, and staged/ and
 * delay/ wrapped round either. kinds.h has the kinds.
 *
 * An endpoint has two halves: control (reports, stops, barriers: host bytes, in words) and data. An endpoint for data
 * may lie over another that stays the control channel (over.h).
 *
 * One endpoint per worker. All calls return at once except wait, barrier and create; progress is made inside test,
 * progress and wait. Messages of one (sender, receiver, tag) arrive in order; nothing relies on buffering: a send
 * is done only when its bytes may be reused, and may need its receive to be posted first. Buffers, and
 * counts of gathers, stay the caller's and untouched until the request is done. A size mismatch between send and
 * receive is an error at the receiver.
 *
 * Where the bytes are is said by the stream. NULL, or whatever stream of a device that the host reaches: in host
 * memory, and what is done is done for everybody. Else in memory of the attached device, and the transfer takes a place
 * on that stream: it comes after what was given to the stream before the call, and once the request is done, what is
 * given to the stream comes after it. Work elsewhere needs an event recorded on the stream then. Where ordered, it has
 * its place as soon as the call has returned: work behind it may be given at once, and the request, though it has to be
 * tested some time, is done whenever it is asked for. Such a call may wait for the calls of the other workers, never
 * for a device: so of all ordered transfers of a worker there has to be one order that agrees with the others', and
 * what workers give each other goes in one batch. A lane (peer and tag, or group) is not shared by transfers with and
 * without a stream that are under way at the same time.
 *
 * Collectives are made of these: gather is one of the operations, sums are in reduce.h. Members of a group start what
 * they do with it in one order; what may overtake each other needs a group of its own, even one of the same members.
 * Different groups are independent.
 *
 * Owns: an endpoint owns its connections and requests.  Lifetime: create to destroy; destroy is collective when no
 * error happened, releases what this worker borrowed and waits until nobody borrows from it.  Threads: an endpoint
 * belongs to one thread (interrogate, publish and stop included).
 */
#ifndef WEFT_TRANSPORT_TRANSPORT_H
#define WEFT_TRANSPORT_TRANSPORT_H

#include "base/memory.h"

typedef struct weft_transport weft_transport;
struct weft_stream; /* device/: the stream a transfer is ordered on */
struct weft_device;

typedef int32_t weft_request; /* >= 0; freed by the test that finds it done */

/* Tags from 0 on are for any two workers. This one is for members of the group, apart from all others and from gathers.
 */
static inline int32_t weft_group_tag(int32_t group)
{
    return -1 - group;
}

enum { WEFT_TRANSPORT_REPORT = 160 };

/* What a worker last finished and what it waits for, in words: for messages about stalls. */
typedef struct weft_transport_report {
    bool answered;
    char text[WEFT_TRANSPORT_REPORT];
} weft_transport_report;

typedef struct weft_transport_operations {
    void (*destroy)(weft_transport *transport); /* accepts NULL */

    /* Data. */

    /* The device of this worker, once, before the first transfer with a stream; it outlives the endpoint. NULL: there
     * are none with a stream, or the transport has no use for it. */
    weft_status (*attach)(weft_transport *transport, struct weft_device *device, weft_error *error);
    /* Where ordered: sends and receives between begin and end have one place, of which none is before another. */
    void (*batch_begin)(weft_transport *transport);
    weft_status (*batch_end)(weft_transport *transport, weft_error *error);
    weft_status (*send)(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                        const void *bytes, size_t count, weft_request *out, weft_error *error);
    weft_status (*receive)(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                           void *bytes, size_t count, weft_request *out, weft_error *error);
    /* A receive of host memory without a copy: the test that finds it done sets *where to the bytes in the sender's
     * memory, which stay there until release (any request that holds bytes has to be released); the sender's request is
     * done only then. where: the caller's, until that test. Both are NULL where workers do not share memory: use
     * receive. */
    weft_status (*borrow)(weft_transport *transport, int32_t peer, int32_t tag, size_t count, const void **where,
                          weft_request *out, weft_error *error);
    weft_status (*release)(weft_transport *transport, weft_request request, weft_error *error);
    /* Every member of the group gives count bytes (its own entry of counts) and gets all parts in member order, packed,
     * in out_bytes. Members call the gathers of one group in one order. counts: (members). group: index given at
     * create. */
    weft_status (*gather)(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                          const size_t *counts, void *out_bytes, weft_request *out, weft_error *error);
    weft_status (*test)(weft_transport *transport, weft_request request, bool *out_done, weft_error *error);
    weft_status (*progress)(weft_transport *transport, weft_error *error);
    /* Sleeps until something of this endpoint may have moved, or seconds passed. Never spins. WEFT_STOPPED when another
     * worker called stop. */
    weft_status (*wait)(weft_transport *transport, double seconds, weft_error *error);

    /* Control. */

    weft_status (*barrier)(weft_transport *transport, double timeout, weft_error *error);
    /* What interrogate tells others about this worker; kept by copy. */
    void (*publish)(weft_transport *transport, const char *text);
    /* Asks every worker for its published text; waits at most seconds. out: (size). */
    void (*interrogate)(weft_transport *transport, double seconds, weft_transport_report *out);
    /* This worker failed: all others' wait and test return WEFT_STOPPED soon; under MPI those that do not answer are
     * ended by weft_transport_abort (cli). */
    void (*stop)(weft_transport *transport);
} weft_transport_operations;

/* First member of every endpoint. */
struct weft_transport {
    const weft_transport_operations *operations;
    int32_t rank, size;
    /* Others hear this worker only while it calls test, progress or wait: where it has longer to do, it must call one
     * now and then, or it is taken for lost. */
    bool driven;
    bool ordered;       /* transfers with a stream have their place when the call returns */
    bool leads_machine; /* one worker of each machine does: for what is to be done once on each */
    /* weft_clock_nanoseconds when the request that test last found done was done: local, when its bytes were there,
     * perhaps by another thread; mpi, when this worker noticed. */
    int64_t finished;
};

typedef struct weft_group {
    const int32_t *members; /* ascending ranks */
    int32_t count;
} weft_group;

/* local: one hub for all workers of the process, one endpoint each (created by the worker's own thread). */
typedef struct weft_local_hub weft_local_hub;
weft_status weft_local_hub_create(int32_t size, const weft_group *groups, int32_t group_count, weft_local_hub **out,
                                  weft_error *error) WEFT_CHECKED;
void weft_local_hub_destroy(weft_local_hub *hub); /* after all endpoints */
void weft_local_hub_stop(
    weft_local_hub *hub); /* every endpoint gets WEFT_STOPPED; for a hub whose workers could not all start */
weft_status weft_local_transport_create(weft_local_hub *hub, int32_t rank, weft_transport **out,
                                        weft_error *error) WEFT_CHECKED;

/* delay: holds back every message and gather of another transport, and the news that it is done, each for a random time
 * of up to `longest` seconds, a function of seed, rank and count: order is kept only where the contract promises it.
 * For tests: it may change nothing but time. Takes the inner endpoint over when it succeeds. */
weft_status weft_delay_transport_create(weft_transport *inner, uint64_t seed, double longest, weft_transport **out,
                                        weft_error *error) WEFT_CHECKED;

/* staged: carries device memory over an endpoint that knows the host's only; without borrowing. attach makes 2 pieces
 * of pinned memory for each lane of transfers with a stream, and nothing is made later; more lanes than were asked for
 * are an error. Takes the inner endpoint over when it succeeds. */
typedef struct weft_staged_options {
    const weft_group *groups; /* as the inner endpoint was created with; only read by create */
    int32_t group_count;
    int32_t lanes; /* a peer, a tag and a way; or a group, by gathers */
    size_t piece;  /* bytes; a gather's has those of all members */
} weft_staged_options;
size_t weft_staged_transport_pinned(const weft_staged_options *options); /* bytes of pinned memory that attach takes */
weft_status weft_staged_transport_create(weft_transport *inner, const weft_staged_options *options,
                                         weft_transport **out, weft_error *error) WEFT_CHECKED;

/* mpi: the process's one endpoint over MPI_COMM_WORLD. */
bool weft_mpi_available(void); /* false in a build without MPI: the others then fail with WEFT_INVALID */
/* How many processes mpirun or srun started, this one among them, from the environment; 0: it was started by itself.
 * out_variable: set to the variable that says it, where there is one; may be NULL. Does not start MPI. */
int32_t weft_mpi_launched(const char **out_variable);
/* Starts MPI when it is not yet (MPI_THREAD_FUNNELED) and gives the world's rank and size. Once per process. It and
 * weft_mpi_transport_create wait for all processes, however long: see transport/watch.h. */
weft_status weft_mpi_start(int32_t *out_rank, int32_t *out_size, weft_error *error) WEFT_CHECKED;
weft_status weft_mpi_transport_create(const weft_group *groups, int32_t group_count, weft_transport **out,
                                      weft_error *error) WEFT_CHECKED;
/* Every process of the world, once, when it is done with transports, well or not: the least of their words. false when
 * not all have come within so many seconds (or something failed): only weft_mpi_abort is left then. */
bool weft_mpi_agree(int64_t own, double seconds, int64_t *out_least);
void weft_mpi_finish(void);    /* MPI_Finalize when started; collective */
void weft_mpi_abort(int code); /* ends every process of the world; may not return */

#endif
